"""One Celery task, from its sending to its end."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from kombu.utils.url import maybe_sanitize_url

from ailf.errors import BrokerError, InvalidArgumentError, ResultExpiredError, WorkerLostError
from ailf.workers.liveness import Signs, Verdict, is_held, judge
from ailf.workers.reply import Place, Reply, Stage, failure
from ailf.workers.sources import AnnouncedSource, PollingSource, Source, in_thread

Progress = Callable[[float, str | None], object]
"""What is told of a task's progress: 0 to 100, and a message."""

SEND_LIMIT = 20.0
"""Seconds that sending a task may take; Celery tries a few times within them."""
REVOKE_LIMIT = 5.0
"""Seconds that revoking a task may take, when its waiter is cancelled."""
QUIET = 1.0
"""Seconds without news after which the result and the signs of life on this machine are looked at."""
INQUIRY_INTERVAL = 5.0
"""Seconds without news after which the workers are asked, and again."""
ANSWER_TIME = 1.0
"""Seconds that the workers have for an answer."""
CERTAIN = 2
"""How many times in a row a task must be found missing to be lost: once, it may be on its way from the queue."""


class Watch:
    """The sending of one task and the wait for its end.

    Args:
        signature: what to run; a copy of it gets the id.
        celery_id: the id.
        progress: what is told of the task's progress.
        worker_timeout: seconds without a sign of life after which the task counts as lost.
    """

    def __init__(self, signature: Any, celery_id: str, progress: Progress, worker_timeout: float) -> None:
        self._signature = signature
        self._app = signature.app
        self._id = celery_id
        self._progress = progress
        self._worker_timeout = worker_timeout
        self._sending: asyncio.Future[Any] | None = None
        self._last: Reply | None = None
        self._place: Place | None = None
        self._heard_at = 0.0
        self._asked_at = 0.0
        self._missing = 0
        self._vanished = 0

    async def run(self) -> Any:
        """Send the task and wait.

        Returns:
            What it returned.

        Raises:
            RemoteTaskError: it ended otherwise, or will not end.
            BrokerError: the broker or the result back-end cannot be reached.
            InvalidArgumentError: the signature is a group.
        """
        self._signature, backend = await self._prepare()
        async with self._source(backend) as source:
            eager = await self._send()
            if eager is not None:
                return eager.get()
            self._heard()
            while True:
                reply = await source.news(QUIET)
                if reply is not None and self._is_over(reply):
                    return reply.value
                if self._has_to_ask():
                    verdict = judge(await self._signs())
                    # It may have ended while the workers were asked: what is stored goes before what they say.
                    reply = await self._look(source)
                    if reply is not None and self._is_over(reply):
                        return reply.value
                    self._weigh(verdict)

    async def revoke(self) -> None:
        """Have the task never run, or stop it: best effort, within bounds."""
        with suppress(Exception):
            async with asyncio.timeout(REVOKE_LIMIT):
                # What is still being sent would arrive after its own revocation.
                if self._sending is not None:
                    await asyncio.wait([self._sending])
                await in_thread(lambda: self._app.control.revoke(self._id, terminate=True))

    async def _prepare(self) -> tuple[Any, Any]:
        """Give the signature its id, and the back-end its connection: with a database that takes a while."""
        try:
            return await in_thread(self._prepared)
        except InvalidArgumentError:
            raise
        except Exception as error:
            raise BrokerError(
                f"The Celery result back-end cannot be used: {error}. Check $CELERY_RESULT_BACKEND and the server "
                "that it names."
            ) from error

    def _prepared(self) -> tuple[Any, Any]:
        backend = _own_backend(self._app)
        return freeze(self._signature, self._id), backend

    @asynccontextmanager
    async def _source(self, backend: Any) -> AsyncIterator[Source]:
        """Listen before the task is sent, so that no announcement is missed."""
        parameters = getattr(backend, "connparams", None)
        options = None
        if parameters is not None:
            # Only where Redis is the back-end, for which redis-py is installed.
            from ailf.workers.feed import client_options, feed_of  # noqa: PLC0415

            options = client_options(parameters)
        if options is None:
            yield PollingSource(self._app, self._id)
            return
        feed = feed_of(options)
        key = bytes(backend.get_key_for_task(self._id))
        queue = await feed.listen(key)
        try:
            yield AnnouncedSource(backend, feed, queue, key)
        finally:
            await feed.leave(key)

    async def _send(self) -> Any:
        """Send the task; gives its result at once where Celery is set to run tasks eagerly, else None."""
        try:
            async with asyncio.timeout(SEND_LIMIT):
                self._sending = asyncio.ensure_future(in_thread(self._apply))
                # Whoever gives up waiting for it still gets to know how it ended.
                self._sending.add_done_callback(lambda sending: sending.cancelled() or sending.exception())
                return await asyncio.shield(self._sending)
        except TimeoutError as error:
            raise self._unsent(f"it did not answer within {SEND_LIMIT:g} s") from error
        except Exception as error:
            raise self._unsent(error) from error

    def _apply(self) -> Any:
        _own_backend(self._app)
        sent = self._signature.apply_async()
        return sent if self._app.conf.task_always_eager else None

    def _unsent(self, error: object) -> BrokerError:
        address = maybe_sanitize_url(str(self._app.conf.broker_url))
        return BrokerError(
            f"The Celery task {self._signature.task} could not be sent to the broker at {address}: {error}. "
            "Start the broker, or set $CELERY_BROKER_URL to where it is."
        )

    def _is_over(self, reply: Reply) -> bool:
        """Take note of a reply: True where the task succeeded; any other end is raised."""
        if reply.stage is Stage.SUCCEEDED:
            return True
        if reply.stage in {Stage.FAILED, Stage.REVOKED}:
            raise failure(reply, self._id)
        if reply.stage is Stage.UNKNOWN:
            self._check_expiry()
        elif reply != self._last:
            self._heard()
            self._place = reply.place or self._place
            if reply.progress is not None:
                self._progress(reply.progress, reply.message)
            self._last = reply
        return False

    def _check_expiry(self) -> None:
        if self._last is None:
            return
        # Something was stored, and is no more.
        self._vanished += 1
        if self._vanished >= CERTAIN:
            raise ResultExpiredError(
                f"The Celery task {self._id} ran, but its result is gone from the result back-end: it expired, or the "
                "back-end was emptied. The setting result_expires says how long results are kept.",
                celery_id=self._id,
            )

    def _heard(self) -> None:
        self._heard_at = self._asked_at = _now()
        self._missing = self._vanished = 0

    def _has_to_ask(self) -> bool:
        # A process that is gone is a reason to ask at once.
        return _now() - self._asked_at >= INQUIRY_INTERVAL or _is_alive(self._place) is False

    async def _signs(self) -> Signs:
        self._asked_at = _now()
        try:
            replies, queued = await in_thread(self._ask)
        except Exception:  # noqa: BLE001  a broker raises what its driver raises; one that is away says nothing
            replies, queued = {}, None
        return Signs(
            workers=len(replies),
            held=is_held(replies, self._id),
            queued=queued,
            process_alive=_is_alive(self._place),
        )

    def _ask(self) -> tuple[dict[str, Any], int | None]:
        replies = self._app.control.inspect(timeout=ANSWER_TIME).query_task(self._id) or {}
        # The id of a chain or a chord is that of its last task, which nobody has before the others have ended.
        if self._signature.subtask_type is not None:
            return replies, None
        queue = self._signature.options.get("queue") or self._app.conf.task_default_queue
        if self._app.conf.task_routes and "queue" not in self._signature.options:
            return replies, None
        with self._app.connection_for_read() as connection:
            try:
                return replies, int(connection.default_channel.queue_declare(queue=queue, passive=True).message_count)
            except connection.channel_errors:
                # Redis keeps no queue that is empty.
                return replies, 0

    async def _look(self, source: Source) -> Reply | None:
        try:
            return await source.look()
        except Exception:  # noqa: BLE001  a back-end raises what its driver raises; the source bounds such trouble
            return None

    def _weigh(self, verdict: Verdict) -> None:
        if verdict is Verdict.ALIVE:
            self._heard()
        elif verdict is Verdict.MISSING:
            self._missing += 1
        else:
            self._missing = 0
        if self._missing >= CERTAIN:
            raise self._lost("no worker has it, and it is not in its queue")
        if _now() - self._heard_at > self._worker_timeout:
            raise self._lost(f"no worker gave a sign of life for {self._worker_timeout:g} s")

    def _lost(self, finding: str) -> WorkerLostError:
        if self._place is not None:
            story = f"its worker (process {self._place.pid} on {self._place.host}) died with it"
        elif self._last is not None:
            story = "its worker died with it"
        else:
            story = "no worker has begun it, and one that is started now may still find it in its queue"
        return WorkerLostError(
            f"The Celery task {self._id} is lost: {story}; {finding}. Start a worker "
            "(celery -A ailf.workers.celery_app worker, with the same broker) and send it again.",
            celery_id=self._id,
        )


def freeze(signature: Any, celery_id: str) -> Any:
    """Give a copy of the signature an id.

    Args:
        signature: a task, a chain or a chord.
        celery_id: the id of its result.

    Returns:
        The copy.

    Raises:
        InvalidArgumentError: it is a group.
    """
    frozen = signature.clone()
    frozen.options.pop("task_id", None)
    # The results of several tasks can be joined, the result of one cannot.
    if hasattr(frozen.freeze(celery_id), "join"):
        raise InvalidArgumentError(
            "A group has a result for each of its tasks: run them one by one with asyncio.gather, or make it a "
            "chord, with a task that takes all the results."
        )
    return frozen


def _own_backend(app: Any) -> Any:
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


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_alive(place: Place | None) -> bool | None:
    """Whether the process is alive; None where it is on another machine, or nowhere yet."""
    if place is None or place.host != socket.gethostname():
        return None
    try:
        os.kill(place.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
