"""Keeps a connection with every subscription on it, over as many connections as that takes."""

import asyncio
import inspect
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from ailf.messaging.redis.address import CONNECTION_FAILURES, explain, redis_errors
from ailf.messaging.redis.client import AsyncRedisClient
from ailf.messaging.redis.delivery import cancel
from ailf.messaging.redis.link import Link, Topic

FIRST_DELAY = 0.05
"""Seconds before the first attempt to reconnect."""
LONGEST_DELAY = 5.0
"""Seconds that the wait between two attempts doubles up to."""

LONGEST_REFUSAL = 2.0
"""Seconds that the wait between two attempts at a subscription that was refused doubles up to."""

_log = logging.getLogger("ailf.messaging.redis")


@dataclass(frozen=True, slots=True)
class Reconnection:
    """The connection was lost and is back, every subscription with it."""

    downtime: float
    """Seconds in which messages may have been published that no handler here will see, from the last sign of life."""
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
        self._retrying: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

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
        self.loop = asyncio.get_running_loop()
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

    def abandon(self) -> None:
        """Forget about a connection that belongs to another event loop, or to another process."""
        self._task = self._link = self._outage = self._retrying = self.loop = None
        self._notifications.clear()

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
            except Exception as error:  # noqa: BLE001  whatever it is, nobody listens before there is another connection
                cause = str(error) or type(error).__name__
                _log.warning("Lost the pub/sub connection to Redis at %s: %s", self._client.address, cause)
                # Lost again before it was quite back: it is the same outage.
                outage = self._outage = self._outage or _Outage(link.alive_at, cause)
                await self._drop()
                link = await self._reopen(outage)
                self._notify(link)

    async def _open(self) -> Link:
        link = Link(self._client, self._heartbeat, self._answered)
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
            except Exception as error:  # noqa: BLE001  a credential provider, say, raises what it likes
                failed += 1
                level = logging.WARNING if failed == 1 else logging.DEBUG
                _log.log(level, "Attempt %d to reconnect: %s", failed, explain(self._client.address, error))

    async def _drop(self) -> None:
        link, self._link = self._link, None
        retrying, self._retrying = self._retrying, None
        if retrying is not None and retrying is not asyncio.current_task():
            await cancel([retrying])
        for topic in self._topics.values():
            topic.answered.clear()
        if link is not None:
            await link.close()

    def _notify(self, link: Link) -> None:
        task = asyncio.create_task(self._tell_when_back(link))
        self._notifications.add(task)
        task.add_done_callback(self._notifications.discard)

    async def _tell_when_back(self, link: Link) -> None:
        for topic in [topic for topic in self._topics.values() if not topic.leaving]:
            await topic.answered.wait()
        outage = self._outage
        if self._link is not link or outage is None:
            # Lost again meanwhile: the next connection tells.
            return
        self._outage = None
        topics = [topic for topic in self._topics.values() if not topic.leaving]
        heard = [topic for topic in topics if topic.is_heard]
        if topics and not heard:
            # There is a connection, and nothing is heard on it: that is told when something is.
            return
        # What was refused the last time, and is heard now, was away for longer than the connection.
        since = min([outage.since, *(topic.unheard_since for topic in heard if topic.unheard_since is not None)])
        for topic in heard:
            topic.unheard_since = None
        await self._tell(Reconnection(time.monotonic() - since, outage.attempts, outage.cause))

    def _answered(self, topic: Topic) -> None:
        """Try a subscription again that the server has refused, where somebody counts on it."""
        if topic.refusal is None or topic.leaving or self._topics.get(topic.key) is not topic:
            return
        if topic.unheard_since is None and self._outage is not None:
            topic.unheard_since = self._outage.since
        if topic.unheard_since is not None and self._retrying is None:
            self._retrying = asyncio.create_task(self._retry_refused(), name="ailf-redis-refused")

    async def _retry_refused(self) -> None:
        attempts = 0
        while refused := [topic for topic in self._topics.values() if topic.refusal and topic.unheard_since]:
            await asyncio.sleep(min(LONGEST_REFUSAL, backoff(attempts, random.random())))  # noqa: S311  as above
            attempts += 1
            asked = [topic for topic in refused if topic.refusal and not topic.leaving]
            cause = next((str(topic.refusal) for topic in asked), "")
            for topic in asked:
                topic.answered.clear()
                await self.subscribe(topic)
            for topic in asked:
                await topic.answered.wait()
            back = [topic for topic in asked if topic.is_heard and topic.unheard_since is not None]
            if back and self._outage is None:
                since = min(topic.unheard_since or 0.0 for topic in back)
                for topic in back:
                    topic.unheard_since = None
                await self._tell(Reconnection(time.monotonic() - since, attempts, f"a refusal: {cause}"))
        self._retrying = None

    async def _tell(self, news: Reconnection) -> None:
        _log.warning(
            "The pub/sub connection to Redis at %s is back after %.2f s: messages of that time may be missing",
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
