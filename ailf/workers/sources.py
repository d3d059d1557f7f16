"""Where the news of a task comes from: announced by Redis, or looked for."""

import asyncio
import copy
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from ailf.errors import BrokerError, RemoteTaskError
from ailf.workers.batch import Batch
from ailf.workers.feed import FAILURES, ResultFeed, client_options, feed_of
from ailf.workers.reply import Reply, read_reply
from ailf.workers.threads import in_thread

SHORTEST_INTERVAL = 0.02
"""Seconds between two looks at a result just after something happened."""
LONGEST_INTERVAL = 1.0
"""Seconds that this grows up to while nothing happens."""
GROWTH = 1.3
"""By how much it grows each time."""
TROUBLE_LIMIT = 30.0
"""Seconds for which the result back-end may be out of reach before the wait for a result fails."""
LARGE = 64 * 1024
"""Bytes above which a result is decoded in a thread, so that the event loop goes on meanwhile."""


def next_interval(interval: float) -> float:
    """Say how long to wait until the look after the next, in seconds."""
    return min(LONGEST_INTERVAL, interval * GROWTH)


def own_backend(app: Any) -> Any:
    """Give this thread's result back-end, told not to listen for results: that is done here by other means.

    Celery would subscribe to each result, over a connection of this thread, and unsubscribe when the
    collector runs, in whichever thread that is: the event loop's too.
    """
    backend = app.backend
    if not backend.thread_safe:
        # It belongs to this thread, which is ours.
        backend.on_task_call = lambda _producer, _celery_id: None
        backend.add_pending_result = lambda result, *_args, **_options: result
    return backend


def raw_backend(backend: Any) -> Any:
    """Give a copy of a result back-end that leaves stored exceptions as the JSON that they are.

    Celery makes objects of them, and loses the module of a type that this process does not know.
    """
    raw = copy.copy(backend)
    raw.meta_from_decoded = lambda meta: meta
    return raw


class Source(Protocol):
    """Gives the news of one task."""

    async def news(self, seconds: float) -> Reply | None:
        """Wait up to ``seconds`` for a change; None where there was none."""
        ...

    async def look(self) -> Reply:
        """Look at what is stored now."""
        ...


@asynccontextmanager
async def open_source(app: Any, backend: Any, celery_id: str) -> AsyncIterator[Source]:
    """Begin to listen for the news of a task, before it is sent, so that no announcement is missed.

    Args:
        app: the Celery application.
        backend: its result back-end.
        celery_id: the task's id.

    Yields:
        The source.

    Raises:
        BrokerError: the result back-end cannot be reached.
    """
    parameters = getattr(backend, "connparams", None)
    options = None if parameters is None else client_options(parameters)
    if options is None:
        yield PollingSource(looker_of(app), celery_id)
        return
    feed = feed_of(options)
    key = bytes(backend.get_key_for_task(celery_id))
    queue = await feed.listen(key)
    try:
        yield AnnouncedSource(backend, feed, queue, key, celery_id)
    finally:
        await feed.leave(key)


class PollingSource:
    """Looks at the stored result, often at first and then less and less."""

    def __init__(self, looker: Batch[str, Mapping[str, Any] | None], celery_id: str) -> None:
        self._looker = looker
        self._id = celery_id
        self._interval = SHORTEST_INTERVAL
        self._last: Reply | None = None
        self._trouble = Trouble()

    async def news(self, seconds: float) -> Reply | None:
        """Look until there is something new."""
        deadline = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(self._interval)
            self._interval = next_interval(self._interval)
            reply = await self._try()
            if reply is not None and reply != self._last:
                self._interval = SHORTEST_INTERVAL
                self._last = reply
                return reply
        return None

    async def look(self) -> Reply:
        """Look once."""
        return read_reply(await self._looker.get(self._id))

    async def _try(self) -> Reply | None:
        try:
            reply = await self.look()
        except RemoteTaskError:
            raise
        except Exception as error:  # noqa: BLE001  a back-end raises what its driver raises
            self._trouble.happened(error)
            return None
        self._trouble.over()
        return reply


class AnnouncedSource:
    """Takes what Redis announces, and looks itself only when announcements may have been missed."""

    def __init__(
        self, backend: Any, feed: ResultFeed, queue: asyncio.Queue[bytes | None], key: bytes, celery_id: str
    ) -> None:
        self._raw = raw_backend(backend)
        self._feed = feed
        self._queue = queue
        self._key = key
        self._id = celery_id
        self._trouble = Trouble()

    async def news(self, seconds: float) -> Reply | None:
        """Wait for an announcement; after ``seconds`` without one, look."""
        payload: bytes | None = None
        try:
            async with asyncio.timeout(seconds):
                payload = await self._queue.get()
        except TimeoutError:
            pass
        if payload is not None:
            self._trouble.over()
            return await self._read(payload)
        try:
            reply = await self.look()
        except FAILURES as error:
            self._trouble.happened(error)
            return None
        self._trouble.over()
        return reply

    async def look(self) -> Reply:
        """Look once."""
        return await self._read(await self._feed.get(self._key))

    async def _read(self, payload: bytes | None) -> Reply:
        if payload is None:
            return read_reply(None)
        try:
            if len(payload) < LARGE:
                return read_reply(self._raw.decode_result(payload))
            return await in_thread(lambda: read_reply(self._raw.decode_result(payload)))
        except Exception as error:
            raise _unreadable(self._id, error) from error


class Trouble:
    """A back-end that is out of reach: how long already."""

    def __init__(self) -> None:
        self._since: float | None = None

    def happened(self, error: Exception) -> None:
        """Take note that it could not be reached.

        Raises:
            BrokerError: that has been so for too long.
        """
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        if now - self._since > TROUBLE_LIMIT:
            raise BrokerError(
                f"The Celery result back-end could not be reached for {TROUBLE_LIMIT:g} s: {error}. The task may have "
                "run all the same. Check $CELERY_RESULT_BACKEND and the server that it names."
            ) from error

    def over(self) -> None:
        """Take note that it was reached."""
        self._since = None


def stored(app: Any, ids: Sequence[str]) -> list[Mapping[str, Any] | Exception | None]:
    """Look at what is stored of several tasks; blocks.

    Args:
        app: the Celery application.
        ids: the tasks.

    Returns:
        What is stored of each; None where nothing is, and an exception where it cannot be read.

    Raises:
        Exception: whatever the back-end's driver raises where it cannot be reached.
    """
    # The back-end of a Celery application belongs to a thread: it is fetched in the one that uses it.
    raw = raw_backend(app.backend)
    if hasattr(raw, "ResultSession"):
        rows = _rows(raw, ids)
        return [rows.get(celery_id) for celery_id in ids]
    if len(ids) == 1:
        return [raw.get_task_meta(ids[0], cache=False)]
    found: list[Mapping[str, Any] | Exception | None] = []
    for celery_id in ids:
        try:
            found.append(raw.get_task_meta(celery_id, cache=False))
        except Exception as error:  # noqa: BLE001  what one task holds may be unreadable, and the next one's not
            found.append(error)
    return found


def _rows(backend: Any, ids: Sequence[str]) -> dict[str, Mapping[str, Any] | Exception]:
    """Read the rows of a database in one question."""
    with closing(backend.ResultSession()) as session:
        query = session.query(backend.task_cls).filter(backend.task_cls.task_id.in_(ids))
        return {str(row.task_id): _row(backend, row) for row in query}


def _row(backend: Any, row: Any) -> Mapping[str, Any] | Exception:
    meta: dict[str, Any] = row.to_dict()
    try:
        return {**meta, "result": backend._decode_stored_result(meta["result"])}  # noqa: SLF001  as its own reader does
    except Exception as error:  # noqa: BLE001  it may hold what only the worker's process can read
        return _unreadable(str(row.task_id), error)


def _unreadable(celery_id: str, error: Exception) -> RemoteTaskError:
    return RemoteTaskError(
        f"What the result back-end holds of the Celery task {celery_id} cannot be read: {error}. Worker and "
        "sender need the same result_serializer, and result_accept_content has to name it.",
        celery_id=celery_id,
    )


_lookers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Batch[str, Mapping[str, Any] | None]]] = (
    WeakKeyDictionary()
)


def looker_of(app: Any) -> Batch[str, Mapping[str, Any] | None]:
    """Give what looks at an application's results for the running event loop, for everybody there together."""
    lookers = _lookers.setdefault(asyncio.get_running_loop(), {})
    found = lookers.get(id(app))
    if found is None:

        async def fetch(ids: Sequence[str]) -> Sequence[Mapping[str, Any] | Exception | None]:
            return await in_thread(lambda: stored(app, ids))

        found = lookers[id(app)] = Batch(fetch)
    return found
