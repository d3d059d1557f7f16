"""Where the news of a task comes from: announced by Redis, or looked for."""

import asyncio
import copy
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Protocol, TypeVar

from ailf.errors import BrokerError
from ailf.workers.feed import FAILURES, ResultFeed
from ailf.workers.reply import Reply, read_reply

SHORTEST_INTERVAL = 0.02
"""Seconds between two looks at a result just after something happened."""
LONGEST_INTERVAL = 1.0
"""Seconds that this grows up to while nothing happens."""
GROWTH = 1.3
"""By how much it grows each time."""
TROUBLE_LIMIT = 30.0
"""Seconds for which the result back-end may be out of reach before the wait for a result fails."""

_T = TypeVar("_T")


@cache
def _threads(_process: int) -> ThreadPoolExecutor:
    """Give this process's threads for Celery's calls, which block, some of them for seconds when a server is away.

    They are no others' threads, because of that; and no parent's, because a fork leaves all threads behind.
    """
    return ThreadPoolExecutor(max_workers=8, thread_name_prefix="ailf-celery")


async def in_thread(call: Callable[[], _T]) -> _T:
    """Run a blocking call of Celery's in a thread, and wait for what it returns."""
    return await asyncio.get_running_loop().run_in_executor(_threads(os.getpid()), call)


def next_interval(interval: float) -> float:
    """Say how long to wait until the look after the next, in seconds."""
    return min(LONGEST_INTERVAL, interval * GROWTH)


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


class PollingSource:
    """Looks at the stored result, often at first and then less and less."""

    def __init__(self, app: Any, celery_id: str) -> None:
        self._app = app
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
        return read_reply(await in_thread(self._stored))

    async def _try(self) -> Reply | None:
        try:
            reply = await self.look()
        except Exception as error:  # noqa: BLE001  a back-end raises what its driver raises
            self._trouble.happened(error)
            return None
        self._trouble.over()
        return reply

    def _stored(self) -> Mapping[str, Any]:
        # The back-end of a Celery application belongs to a thread: it is fetched in the one that uses it.
        meta: Mapping[str, Any] = raw_backend(self._app.backend).get_task_meta(self._id, cache=False)
        return meta


class AnnouncedSource:
    """Takes what Redis announces, and looks itself only when announcements may have been missed."""

    def __init__(self, backend: Any, feed: ResultFeed, queue: asyncio.Queue[bytes | None], key: bytes) -> None:
        self._raw = raw_backend(backend)
        self._feed = feed
        self._queue = queue
        self._key = key
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
            return read_reply(self._raw.decode_result(payload))
        try:
            reply = await self.look()
        except FAILURES as error:
            self._trouble.happened(error)
            return None
        self._trouble.over()
        return reply

    async def look(self) -> Reply:
        """Look once."""
        stored = await self._feed.get(self._key)
        return read_reply(None if stored is None else self._raw.decode_result(stored))


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
