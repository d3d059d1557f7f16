"""The events of a journal on a Redis channel, so that another process can follow along."""

import asyncio
import json
import logging
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, Self

from ailf.async_tasks.model import TaskEvent
from ailf.async_tasks.states import EventKind
from ailf.errors import InvalidArgumentError, ManagerError, RedisConnectionError
from ailf.messaging.redis.delivery import cancel
from ailf.messaging.redis.listener import backoff
from ailf.messaging.redis.pubsub import RedisPubSub

DEFAULT_CHANNEL = "ailf:events"

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
    return json.dumps(
        {
            "seq": event.seq,
            "previous": envelope.previous,
            "task_id": event.task_id,
            "at": at,
            "kind": event.kind.value,
            "progress": event.progress,
            "message": event.message,
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )


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

    While Redis is away the publisher waits, and then goes on where it stopped: the journal keeps the events. Each
    message holds the event's ``seq`` and that of the one sent before, so that a subscriber sees what it missed.

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

    @property
    def last_seq(self) -> int | None:
        """The ``seq`` of the last event that Redis has taken; ``after=`` of another publisher goes on from it."""
        return self._last

    async def start(self) -> None:
        """Begin to forward; does nothing where it has begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._forward(), name="ailf-event-publisher")
            self._task.add_done_callback(_log_failure)

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

    async def _forward(self) -> None:
        async for event in self._manager.watch(after=self._last):
            await self._publish(to_json(Envelope(event, self._last)))
            self._last = event.seq

    async def _publish(self, message: str) -> None:
        failed = 0
        while True:
            try:
                await self._pubsub.publish(self._channel, message)
            except RedisConnectionError as error:
                if not failed:
                    _log.warning("Events wait for Redis: %s", error)
                await asyncio.sleep(backoff(failed, random.random()))  # noqa: S311  it spreads load, it guards nothing
                failed += 1
            else:
                return


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("The publisher of task events stopped", exc_info=task.exception())


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
