"""Keeps a connection with every subscription on it, over as many connections as that takes."""

import asyncio
import inspect
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import RedisError

from ailf.errors import MessagingError
from ailf.messaging.redis.address import CONNECTION_FAILURES, explain, redis_errors
from ailf.messaging.redis.client import AsyncRedisClient
from ailf.messaging.redis.delivery import cancel
from ailf.messaging.redis.link import Link, Topic

FIRST_DELAY = 0.05
"""Seconds before the first attempt to reconnect."""
LONGEST_DELAY = 5.0
"""Seconds that the wait between two attempts doubles up to."""

_FAILURES = (*CONNECTION_FAILURES, RedisError, MessagingError)
_log = logging.getLogger("ailf.messaging.redis")


@dataclass(frozen=True, slots=True)
class Reconnection:
    """The connection was lost and is back, every subscription with it."""

    downtime: float
    """Seconds in which messages may have been published that no handler here will see."""
    attempts: int
    """How many attempts it took."""
    cause: str
    """What broke the connection."""


@dataclass(slots=True)
class _Outage:
    since: float
    cause: str
    attempts: int = 0


OnReconnect = Callable[[Reconnection], Awaitable[object] | object]


def backoff(attempt: int, jitter: float) -> float:
    """Say how long to wait before an attempt to reconnect.

    Args:
        attempt: how many attempts have failed so far.
        jitter: 0 to 1; it spreads the clients of one server, which all lose it at the same moment.

    Returns:
        Seconds: doubling from 0.05 up to 5, between half of that and all of it.
    """
    # The exponent is bounded so that a day without a server does not overflow a float.
    delay = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempt, 16))
    return delay * (0.5 + 0.5 * jitter)


class Listener:
    """Listens to topics until it is stopped, reconnecting whenever the connection is lost.

    Args:
        client: the client whose server it listens to.
        topics: the topics by key; the owner adds and removes, this class only reads.
        heartbeat: as for ``RedisPubSub``.
        on_reconnect: as for ``RedisPubSub``.
    """

    def __init__(
        self,
        client: AsyncRedisClient,
        topics: Mapping[tuple[bool, bytes], Topic],
        heartbeat: float,
        on_reconnect: OnReconnect | None,
    ) -> None:
        self._client = client
        self._topics = topics
        self._heartbeat = heartbeat
        self._on_reconnect = on_reconnect
        self._link: Link | None = None
        self._outage: _Outage | None = None
        self._task: asyncio.Task[None] | None = None
        self._notifications: set[asyncio.Task[None]] = set()

    @property
    def is_running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._task is not None

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at the moment."""
        return self._link is not None

    async def start(self) -> None:
        """Open the first connection, and listen to the topics that there are.

        Raises:
            RedisConnectionError: that failed. Nothing is tried again then.
        """
        with redis_errors(self._client.address):
            link = await self._open()
        self._task = asyncio.create_task(self._listen(link), name="ailf-redis-pubsub")

    async def stop(self) -> None:
        """Close the connection and forget about it."""
        task, self._task = self._task, None
        # A handler or on_reconnect may be what stops it: no task waits for itself.
        mine = asyncio.current_task()
        if task is not None and task is not mine:
            await cancel([task])
        await cancel([notification for notification in self._notifications if notification is not mine])
        self._outage = None
        await self._drop()

    async def subscribe(self, topic: Topic) -> None:
        """Ask for a topic that the owner has added; without a connection, the next one asks for it."""
        if self._link is not None:
            # What fails here fails the reader as well, which then reconnects.
            with suppress(*CONNECTION_FAILURES):
                await self._link.subscribe([topic])

    async def unsubscribe(self, topic: Topic, *, timeout: float) -> None:
        """Be rid of a topic that the owner is about to remove; waits up to ``timeout`` seconds for the confirmation.

        Until then the topic's handlers get what is still on its way.
        """
        topic.leaving = True
        if self._link is not None:
            # On a connection that is gone there is nothing to unsubscribe from.
            with suppress(*CONNECTION_FAILURES):
                await self._link.unsubscribe(topic, timeout=timeout)

    async def _listen(self, link: Link) -> None:
        while True:
            try:
                await link.read(self._topics)
            except _FAILURES as error:
                cause = str(error) or type(error).__name__
                _log.warning("Lost the pub/sub connection to Redis at %s: %s", self._client.address, cause)
                # Lost again before it was quite back: it is the same outage.
                outage = self._outage = self._outage or _Outage(time.monotonic(), cause)
                await self._drop()
                link = await self._reopen(outage)
                self._notify(link)

    async def _open(self) -> Link:
        link = Link(self._client, self._heartbeat)
        try:
            await link.open()
            # From here on a topic that is added asks for itself; those that there are, are asked for here.
            self._link = link
            await link.subscribe([topic for topic in self._topics.values() if not topic.leaving])
        except BaseException:
            self._link = None
            await link.close()
            raise
        return link

    async def _reopen(self, outage: _Outage) -> Link:
        failed = 0
        while True:
            await asyncio.sleep(backoff(failed, random.random()))  # noqa: S311  it spreads load, it guards nothing
            outage.attempts += 1
            try:
                return await self._open()
            except _FAILURES as error:
                failed += 1
                level = logging.WARNING if failed == 1 else logging.DEBUG
                _log.log(level, "Attempt %d to reconnect: %s", failed, explain(self._client.address, error))

    async def _drop(self) -> None:
        link, self._link = self._link, None
        for topic in self._topics.values():
            topic.confirmed.clear()
        if link is not None:
            await link.close()

    def _notify(self, link: Link) -> None:
        task = asyncio.create_task(self._tell_when_back(link))
        self._notifications.add(task)
        task.add_done_callback(self._notifications.discard)

    async def _tell_when_back(self, link: Link) -> None:
        for topic in [topic for topic in self._topics.values() if not topic.leaving]:
            await topic.confirmed.wait()
        outage = self._outage
        if self._link is not link or outage is None:
            # Lost again meanwhile: the next connection tells.
            return
        self._outage = None
        news = Reconnection(time.monotonic() - outage.since, outage.attempts, outage.cause)
        _log.warning(
            "The pub/sub connection to Redis at %s is back after %.2f s: messages of that time were missed",
            self._client.address,
            news.downtime,
        )
        if self._on_reconnect is None:
            return
        try:
            outcome = self._on_reconnect(news)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception:  # noqa: BLE001  whatever the user's callback raises, the listener lives on
            _log.exception("on_reconnect raised")
