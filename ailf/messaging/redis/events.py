"""The events of a journal on a Redis channel, so that another process can follow along."""

import asyncio
import json
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from redis.asyncio import Redis

from ailf.async_tasks import EventKind, TaskEvent
from ailf.errors import InvalidArgumentError, ManagerError, MessagingError, RedisConnectionError
from ailf.messaging.redis.address import redis_errors
from ailf.messaging.redis.delivery import cancel
from ailf.messaging.redis.listener import backoff
from ailf.messaging.redis.message import to_text
from ailf.messaging.redis.pubsub import RedisPubSub

DEFAULT_CHANNEL = "ailf:events"
LONGEST_WAIT = 2.0
"""Seconds that the wait between two attempts to publish an event doubles up to."""
LONGEST_TEXT = 64 * 1024
"""Characters that an event's text is cut down to, where the server does not take it whole."""

_log = logging.getLogger("ailf.messaging.redis")


class Watchable(Protocol):
    """What has events to follow: a ``TaskManager``."""

    def watch(self, task_id: str | None = None, *, after: int | None = None) -> AsyncIterator[TaskEvent]:
        """Give the events after ``after``, and then each new one."""
        ...


@dataclass(frozen=True, slots=True)
class EventGap:
    """Events were missed: those after ``after`` and before ``before``."""

    after: int
    """The ``seq`` of the last event received."""
    before: int
    """The ``seq`` of the event that came next."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event, and the ``seq`` of the one that the publisher sent before it."""

    event: TaskEvent
    previous: int | None


def to_json(envelope: Envelope) -> str:
    """Give the message that an event is sent as."""
    event = envelope.event
    at = event.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = {
        "seq": event.seq,
        "previous": envelope.previous,
        "task_id": event.task_id,
        "at": at,
        "kind": event.kind.value,
        "progress": event.progress,
        "message": event.message,
    }
    return to_text(data)


def from_json(text: str) -> Envelope:
    """Read the message that an event was sent as.

    Args:
        text: the message.

    Returns:
        The event and the ``seq`` before it. Keys that this release does not know are ignored.

    Raises:
        InvalidArgumentError: the message is no event.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        event = TaskEvent(
            seq=int(data["seq"]),
            task_id=str(data["task_id"]),
            at=datetime.fromisoformat(data["at"]),
            kind=EventKind(data["kind"]),
            progress=data["progress"],
            message=data["message"],
        )
        previous = data.get("previous")
        return Envelope(event, None if previous is None else int(previous))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InvalidArgumentError(f"The message {text[:200]!r} is no event of a task: {error!r}.") from error


def gap_between(last: int | None, envelope: Envelope) -> EventGap | None:
    """Say whether events are missing before this one.

    Args:
        last: the ``seq`` of the last event received, or None before the first.
        envelope: the event that came now.

    Returns:
        The gap, or None where nothing is missing.
    """
    if last is None or envelope.event.seq <= last:
        return None
    # A publisher that has just started cannot say what came before: then only the next number is no gap.
    known = envelope.event.seq - 1 if envelope.previous is None else envelope.previous
    return None if known <= last else EventGap(last, envelope.event.seq)


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


def shortened(event: TaskEvent) -> TaskEvent:
    """Give an event with a text that any server takes."""
    if event.message is None or len(event.message) <= LONGEST_TEXT:
        return event
    left_out = len(event.message) - LONGEST_TEXT
    return replace(event, message=f"{event.message[:LONGEST_TEXT]}... ({left_out} characters more in the journal)")


class TaskEventSubscriber:
    """Yields the events that a :class:`TaskEventPublisher` sends, from whichever process.

    ::

        async with TaskEventSubscriber(pubsub) as events:
            async for event in events:
                print(event.seq, event.task_id, event.kind)

    An event that comes twice is yielded once. Events that were missed are counted in :attr:`gaps`, and told to
    ``on_gap``: read them from the journal (``manager.watch(after=gap.after)``) where that is within reach.

    Args:
        pubsub: what it subscribes with; its client is connected.
        channel: the channel of the publisher.
        on_gap: called with an :class:`EventGap`, before the event after it is yielded.
        backlog: how many events may wait to be taken; past it the oldest go, which is a gap.
    """

    def __init__(
        self,
        pubsub: RedisPubSub,
        channel: str = DEFAULT_CHANNEL,
        *,
        on_gap: Callable[[EventGap], object] | None = None,
        backlog: int = 10_000,
    ) -> None:
        self._pubsub = pubsub
        self._channel = channel
        self._on_gap = on_gap
        self._waiting: deque[Envelope] = deque(maxlen=backlog)
        self._news = asyncio.Event()
        self._open = False
        self._last: int | None = None
        self._gaps = 0

    @property
    def gaps(self) -> int:
        """How many times events were missed."""
        return self._gaps

    async def __aenter__(self) -> Self:
        """Subscribe; returns when Redis has confirmed it."""
        await self._pubsub.subscribe(self._channel, self._receive)
        self._open = True
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Unsubscribe; what waits to be yielded is still yielded, and then the iteration ends."""
        self._open = False
        self._news.set()
        await self._pubsub.unsubscribe(self._channel, self._receive)

    def __aiter__(self) -> Self:
        """Iterate over the events."""
        return self

    async def __anext__(self) -> TaskEvent:
        """Wait for the next event.

        Raises:
            ManagerError: it was not entered with ``async with``.
        """
        while True:
            while self._waiting:
                envelope = self._waiting.popleft()
                if self._last is None or envelope.event.seq > self._last:
                    self._tell_gap(envelope)
                    self._last = envelope.event.seq
                    return envelope.event
            if not self._open:
                if not self._news.is_set():
                    raise ManagerError("Enter it first: async with TaskEventSubscriber(pubsub) as events.")
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    def _receive(self, channel: str, message: str) -> None:
        with suppress(InvalidArgumentError):
            self._waiting.append(from_json(message))
            self._news.set()
            return
        _log.warning("A message on %r is no event of a task: %.200r", channel, message)

    def _tell_gap(self, envelope: Envelope) -> None:
        gap = gap_between(self._last, envelope)
        if gap is None:
            return
        self._gaps += 1
        if self._on_gap is not None:
            self._on_gap(gap)
