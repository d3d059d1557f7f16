"""Sends the events of a journal to a Redis channel."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol, Self

from redis.asyncio import Redis

from ailf.async_tasks import TaskEvent
from ailf.errors import EventsDeletedError, ManagerError, MessagingError, RedisConnectionError
from ailf.messaging.redis.address import redis_errors
from ailf.messaging.redis.delivery import cancel
from ailf.messaging.redis.events import DEFAULT_CHANNEL, Envelope, shortened, to_json
from ailf.messaging.redis.listener import backoff
from ailf.messaging.redis.pubsub import RedisPubSub

LONGEST_WAIT = 2.0
"""Seconds that the wait between two attempts to publish an event doubles up to."""

_log = logging.getLogger("ailf.messaging.redis")


class Watchable(Protocol):
    """What has events to follow: a ``TaskManager``."""

    def watch(self, task_id: str | None = None, *, after: int | None = None) -> AsyncIterator[TaskEvent]:
        """Give the events after ``after``, and then each new one."""
        ...


class TaskEventPublisher:
    """Forwards the events of a journal to a Redis channel, as JSON and in order.

    ::

        async with TaskEventPublisher(manager, pubsub):
            ...

    While Redis is away, or does not take an event, the publisher waits, and then goes on where it stopped: the journal
    keeps the events. Each message holds the event's ``seq`` and that of the one sent before, so that a subscriber
    sees what it missed. An event that is longer than the server takes is sent with its text cut short, and logged.

    Args:
        manager: the manager whose journal it forwards; started.
        pubsub: what it publishes with; its client is connected.
        channel: the channel to publish to.
        after: begin after this ``seq``, such as the ``last_seq`` of the publisher before; None begins with the
            oldest event that the journal holds. A subscriber passes over what it has had already.
    """

    def __init__(
        self, manager: Watchable, pubsub: RedisPubSub, channel: str = DEFAULT_CHANNEL, *, after: int | None = None
    ) -> None:
        self._manager = manager
        self._pubsub = pubsub
        self._channel = channel
        self._last = after
        self._task: asyncio.Task[None] | None = None
        self._trouble: str | None = None
        self._redis: Redis | None = None

    @property
    def last_seq(self) -> int | None:
        """The ``seq`` of the last event that Redis has taken; ``after=`` of another publisher goes on from it."""
        return self._last

    @property
    def is_publishing(self) -> bool:
        """Whether it has begun, and neither stopped nor waits for a trouble to pass."""
        return self._is_running and self._trouble is None

    @property
    def trouble(self) -> str | None:
        """What it waits for, or what it stopped at; None where all is well."""
        return self._trouble

    async def start(self) -> None:
        """Begin to forward, after the last event that was sent; does nothing where it has begun and goes on."""
        if not self._is_running:
            self._trouble = None
            self._task = asyncio.create_task(self._forward(), name="ailf-event-publisher")

    async def stop(self) -> None:
        """Stop forwarding; does nothing where it has stopped."""
        task, self._task = self._task, None
        if task is not None:
            await cancel([task])

    async def __aenter__(self) -> Self:
        """Begin to forward."""
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Stop forwarding."""
        await self.stop()

    @property
    def _is_running(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _forward(self) -> None:
        failed = 0
        try:
            while True:
                try:
                    async for event in self._manager.watch(after=self._last):
                        await self._publish(event)
                        failed = 0
                except EventsDeletedError as error:
                    # The next message names this one as the one before, which no subscriber has had: they see the gap.
                    _log.warning("The publisher of task events leaves out what is gone: %s", error)
                    self._last = error.resume_after
                except ManagerError as error:
                    # There is nothing to watch, and no waiting for it: whoever starts the manager starts this again.
                    self._trouble = str(error)
                    _log.error("The publisher of task events stopped: %s", error)
                    return
                except Exception as error:  # noqa: BLE001  a journal in trouble has whatever trouble the disk has
                    await self._wait(failed, error)
                    failed += 1
        finally:
            redis, self._redis = self._redis, None
            if redis is not None:
                await redis.aclose()

    async def _publish(self, event: TaskEvent) -> None:
        failed = cut_off = 0
        sent = event
        while True:
            try:
                await self._send(to_json(Envelope(sent, self._last)))
            except MessagingError as error:
                await self._wait(failed, error)
                failed += 1
                # A server that breaks off at this event twice, and answers otherwise, finds it too long.
                if _is_breaking_off(error) and await self._is_answered():
                    cut_off += 1
                sent = shortened(event) if cut_off > 1 else event
            else:
                if sent is not event:
                    _log.error("Event %d was too long for Redis, and was sent with its text cut short", event.seq)
                self._last = event.seq
                self._trouble = None
                return

    async def _send(self, message: str) -> None:
        """Publish once: what fails is tried again here, and can be told from what hangs."""
        client = self._pubsub.client
        _ = client.redis  # says so when the client is not connected
        if self._redis is None:
            self._redis = client.open()
        with redis_errors(client.address):
            await self._redis.publish(self._channel, message)

    async def _is_answered(self) -> bool:
        # Twice: the first attempt may be on the connection that was broken off. A server that is busy, or forbids this,
        # cannot tell.
        for _attempt in range(2):
            with suppress(MessagingError), redis_errors(self._pubsub.client.address):
                return self._redis is not None and bool(await self._redis.ping())
        return False

    async def _wait(self, failed: int, error: Exception) -> None:
        if self._trouble is None:
            _log.warning("Events wait for a trouble to pass: %s", error)
        self._trouble = str(error) or type(error).__name__
        await asyncio.sleep(min(LONGEST_WAIT, backoff(failed, random.random())))  # noqa: S311  it spreads load, it guards nothing


def _is_breaking_off(error: MessagingError) -> bool:
    return isinstance(error, RedisConnectionError) or "Protocol error" in str(error)
