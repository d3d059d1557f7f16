"""Takes the events of a journal from a Redis channel."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from ailf.async_tasks import TaskEvent
from ailf.errors import InvalidArgumentError, ManagerError
from ailf.messaging.redis.events import DEFAULT_CHANNEL, Envelope, EventGap, from_json, gap_between
from ailf.messaging.redis.pubsub import RedisPubSub

_log = logging.getLogger("ailf.messaging.redis")


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
