"""The ASGI application: routes, forms, downloads, streams; every view is asked in a thread of its own."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import anyio
from anyio import CapacityLimiter
from markupsafe import Markup
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.reports import LogLine
from ailf.async_tasks.source import Source
from ailf.errors import AilfError, InvalidArgumentError, JournalError, ManagerError, TaskNotFoundError
from ailf.web.addresses import Pairs, address, one
from ailf.web.guard import Guard
from ailf.web.live import HEARTBEAT_SECONDS, MOST_STREAMS, SEND_PATIENCE_SECONDS, Frame, Hub, Part, Position, now
from ailf.web.rendering import Rendering
from ailf.web.views import VIEWS, Asking, View
from ailf.web.views.asking import Memory

log = logging.getLogger("ailf.web")
STATIC = Path(__file__).parent / "static"
T = TypeVar("T")

LINE_END = "\n"
"""Of a stream: one character for each is enough."""

READS_AT_A_TIME = 4
CANCEL_PATIENCE_SECONDS = 2.0
"""How long an answer waits for a task that is cancelled to end."""

LOG_LINES_KEPT = 2_000
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

LONGEST_QUERY = 16_000
LONGEST_FORM = 4_000


def dashboard(
    manager_or_path: TaskManager | str | Path, *, actions: bool = False, hosts: Collection[str] = ()
) -> ASGIApp:
    """The page as an ASGI application, to be served or mounted at any path of one's own.

    It asks nobody who they are: what it is mounted in does.

    Args:
        manager_or_path: whose journal, or the path of a journal, which is only read.
        actions: whether tasks may be cancelled from the page.
        hosts: the names by which it may be asked for over the loopback interface, beside ``localhost`` and its
            addresses: those of a proxy on the same machine.

    Returns:
        The application.

    Raises:
        InvalidTypeError: ``manager_or_path`` is neither a manager nor a path.
        InvalidArgumentError: no file can have this path.
    """
    return _Slashed(Guard(Pages(Source(manager_or_path), actions=actions).app(), hosts))


class _Slashed:
    """Has the first page asked for with a slash at its end, since all addresses are relative to that."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        mounted = scope.get("root_path", "")
        if scope["type"] == "http" and mounted and scope["path"] in ("", mounted):
            await RedirectResponse(f"{mounted.rstrip('/').rsplit('/', 1)[-1]}/")(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Pages:
    """The pages of one journal."""

    def __init__(self, source: Source, *, actions: bool) -> None:
        self._source = source
        self._actions = actions
        self._rendering = Rendering()
        self._memory = Memory()
        self._hub = Hub(partial(self._in_thread, source.has_changed))
        # A line of a log never changes, and is shown again and again.
        self._log_line = lru_cache(maxsize=LOG_LINES_KEPT)(self._log_line_html)
        self._cancelling: set[asyncio.Future[bool]] = set()
        # Of its own: whoever mounts the page has other work for the threads of the application.
        self._limiter: CapacityLimiter | None = None
        self._live = {view.name: view for view in VIEWS}

    def app(self) -> ASGIApp:
        """The application, without what guards it."""
        routes: list[Route | Mount] = [
            Route(f"/{view.path}", partial(self._page, view), name=view.name) for view in VIEWS
        ]
        routes += [
            Route("/live", self._stream),
            Route("/download", self._download),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        if self._actions:
            routes.append(Route("/cancel", self._cancel, methods=["POST"]))
        app = Starlette(
            routes=routes,
            middleware=[Middleware(GZipMiddleware, minimum_size=500, compresslevel=6)],
            exception_handlers={404: self._not_found, 405: self._not_found, AilfError: self._failed},
            lifespan=self._lifespan,
        )
        # Its redirects know nothing of a proxy before it.
        app.router.redirect_slashes = False
        return app

    @asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        self._source.close()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        self._limiter = self._limiter or CapacityLimiter(READS_AT_A_TIME)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    async def _page(self, view: View, request: Request) -> Response:
        pairs = _pairs(request)

        def work() -> Response:
            at = now()
            values, frame, is_live = self._made(view, pairs, at)
            shown = {part.id: Markup(part.html) for part in frame.parts}  # noqa: S704 - made by a template
            shown["log"] = Markup("".join(html for _, html in frame.logs))  # noqa: S704
            position = Position(frame.last_log, {part.id: part.digest for part in frame.parts})
            live = [("view", view.name), *(pair for pair in pairs if pair[0] not in ("view", "have"))]
            around = {"parts": shown, "is_live": is_live, "live": address("live", [*live, ("have", position)])}
            return HTMLResponse(self._rendering.html(f"{view.name}.html", values | around, at))

        return await self._in_thread(work)

    def _made(self, view: View, pairs: Pairs, at: datetime) -> tuple[dict[str, Any], Frame, bool]:
        """What a view shows, its parts that are kept up to date, and whether they are."""
        began = time.thread_time()
        asking = Asking(self._source.reader(), self._source, pairs, at, self._memory, self._actions)
        try:
            answer = view.answer(asking)
            values = self._around(view) | dict(answer.values)
            parts = [Part.of(part, self._rendering.html(f"{view.name}-{part}.html", values, at)) for part in view.parts]
            logs = tuple((line.seq, self._log_line(line)) for line in answer.logs)
        except AilfError:
            raise
        except OSError as error:
            raise JournalError(f"The journal cannot be looked at: {error.strerror}; is it still there?") from error
        except Exception as error:
            # Whatever it is: who looks at an open page is told, and its stream goes on.
            log.debug("A page could not be made.", exc_info=error)
            raise JournalError(
                f"The journal holds a row that ailf has not written: {error}; mend or delete it in the sqlite3 shell."
            ) from error
        frame = Frame((Part.of("notice", ""), *parts), logs, cost=time.thread_time() - began)
        return values, frame, answer.is_live

    def _log_line_html(self, line: LogLine) -> str:
        # With the day, whichever it is: what is kept is shown tomorrow, too.
        return self._rendering.html("log-line.html", {"line": line}, BEGINNING)

    def _around(self, view: View | None) -> dict[str, Any]:
        """What every page shows around its own content."""
        try:
            journal = self._source.path.name
        except AilfError:
            journal = "no journal"
        views = [each for each in VIEWS if each.path != "task"]
        return {"view": view, "views": views, "journal": journal, "actions": self._actions}

    async def _failed(self, _request: Request, error: Exception) -> Response:
        status = (
            404 if isinstance(error, TaskNotFoundError) else 400 if isinstance(error, InvalidArgumentError) else 503
        )
        return self._trouble(str(error), status)

    def _trouble(self, error: str, status: int) -> Response:
        values = self._around(None) | {"error": error, "status": status, "is_live": False}
        return HTMLResponse(self._rendering.html("trouble.html", values, now()), status_code=status)

    async def _not_found(self, _request: Request, error: Exception) -> Response:
        return self._trouble("There is no such page here.", getattr(error, "status_code", 404))

    async def _stream(self, request: Request) -> Response:
        pairs = _pairs(request)
        view = self._live.get(one(pairs, "view") or "")
        if view is None:
            return PlainTextResponse("No such view.\n", status_code=404)
        if self._hub.is_full:
            html = self._rendering.html("full.html", {"most": MOST_STREAMS}, now())
            return HTMLResponse(html, status_code=503, headers={"Retry-After": "60"})
        position = Position.of(request.headers.get("last-event-id") or one(pairs, "have"))
        kept = tuple(pair for pair in pairs if pair[0] not in ("view", "have"))

        async def render() -> Frame:
            return await self._in_thread(partial(self._frame, view, kept))

        ending = anyio.Event()

        async def end() -> None:
            await ending.wait()
            self._hub.end()

        async def events() -> AsyncIterator[ServerSentEvent]:
            waiting = asyncio.create_task(end(), name="ailf page's end")
            try:
                async with aclosing(
                    self._hub.follow((view.name, kept), render, view.every_seconds, position)
                ) as messages:
                    async for message in messages:
                        yield ServerSentEvent(data=message.html, id=message.number, sep=LINE_END)
            finally:
                waiting.cancel()

        return EventSourceResponse(
            events(),
            ping=HEARTBEAT_SECONDS,
            send_timeout=SEND_PATIENCE_SECONDS,
            # Told before, a stream ends as one that is complete.
            shutdown_event=ending,
            shutdown_grace_period=1.0,
            ping_message_factory=lambda: ServerSentEvent(comment="still here", sep=LINE_END),
            sep=LINE_END,
        )

    def _frame(self, view: View, pairs: Pairs) -> Frame:
        """A page as it is now, or what is wrong with it."""
        at = now()
        try:
            return self._made(view, pairs, at)[1]
        except AilfError as error:
            return Frame((Part.of("notice", self._rendering.html("notice.html", {"error": str(error)}, at)),))

    async def _download(self, request: Request) -> Response:
        pairs = _pairs(request)
        task_id, name = one(pairs, "id") or "", one(pairs, "part") or ""

        def work() -> str | None:
            reader = self._source.reader()
            return reports.whole_log(reader, task_id) if name == "log" else reports.part(reader, task_id, name)

        text = await self._in_thread(work)
        if not text:
            raise TaskNotFoundError("There is no such text of this task.", task_id=task_id)
        # As bytes that nobody opens: whatever is in them, no browser shows it here.
        headers = {"Content-Disposition": f'attachment; filename="{name}.txt"'}
        return Response(text.encode("utf-8", "replace"), media_type="application/octet-stream", headers=headers)

    async def _cancel(self, request: Request) -> Response:
        form = tuple(parse_qsl((await _body(request)).decode("utf-8", "replace"), keep_blank_values=True))
        task_id, children = one(form, "id"), one(form, "children") is not None
        if task_id is None:
            raise InvalidArgumentError("No task is named: open one, and press its button.")
        await self._ask_to_cancel(task_id, children=children)
        return RedirectResponse(address("task", {"id": task_id}), status_code=303)

    async def _ask_to_cancel(self, task_id: str, *, children: bool) -> None:
        manager = self._source.manager
        if manager is not None:
            with suppress(ManagerError):
                cancelling = asyncio.ensure_future(manager.cancel_task(task_id, children=children))
                self._cancelling.add(cancelling)
                cancelling.add_done_callback(self._cancelling.discard)
                # A task may take its time to end, or not end at all.
                await asyncio.wait([cancelling], timeout=CANCEL_PATIENCE_SECONDS)
                if cancelling.done():
                    cancelling.result()
                return
        # Its own process hears of it by the journal: so does a manager that runs on another event loop.
        await self._in_thread(partial(self._source.ask_to_cancel, task_id, children=children))


async def _body(request: Request) -> bytes:
    """The body of a form.

    Raises:
        InvalidArgumentError: it is longer than any of ours.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_FORM:
            raise InvalidArgumentError("The form is too long for one of this page.")
    return body


def _pairs(request: Request) -> Pairs:
    """What an address asks for.

    Raises:
        InvalidArgumentError: it is longer than any of ours.
    """
    query = request.scope["query_string"]
    if len(query) > LONGEST_QUERY:
        raise InvalidArgumentError("The address is too long; begin with the first page.")
    try:
        pairs = parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=64)
    except ValueError:
        raise InvalidArgumentError("The address asks for too much; begin with the first page.") from None
    return tuple(pairs)
