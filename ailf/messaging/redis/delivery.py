"""From the socket to the handlers: one queue for each handler and channel, within a bound.

``Subscription.offer`` is what the reader of the socket calls: it never waits. A lane is the queue of one
channel and one handler, with the task that empties it; it exists only while something is in it.
"""

import asyncio
import contextvars
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ailf.messaging.redis.message import decode

Handler = Callable[[str, str], Awaitable[object] | object]
"""What a message is given to: ``(channel, message)``, a plain function or an async one."""

YIELD_EVERY = 64
"""How many messages in a row are handled before the rest of the event loop gets a turn."""
OVERFLOW_LOG_INTERVAL = 5.0
"""Seconds between two log lines on the overflow of one subscription; what comes between is in the next line."""
UNWINDING = 5.0
"""Seconds that a task which was cancelled has to clean up, before it is cancelled again."""
BLOCKING_HANDLER = 0.25
"""Seconds that a plain function may hold up the event loop before the log says so."""

_log = logging.getLogger("ailf.messaging.redis")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait for one handler."""

    messages: int
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class SubscriptionInfo:
    """What one handler on one channel or pattern was given so far."""

    channel: str
    """The channel, or the pattern."""
    is_pattern: bool
    """Whether ``channel`` is a pattern."""
    handler: Handler
    """The handler."""
    handled: int
    """Messages that the handler was called with, whether it raised or not."""
    errors: int
    """How many of these calls raised."""
    waiting: int
    """Messages that wait for the handler."""
    waiting_bytes: int
    """Their size."""
    dropped: int
    """Messages that the handler never sees: the backlog was full, or draining ran out of time."""
    refusal: str | None = None
    """Why the server does not let this user hear them at the moment; None where it does."""


class Subscription:
    """A handler on a channel or on a pattern."""

    def __init__(self, channel: str, handler: Handler, limits: Limits, *, is_pattern: bool) -> None:
        self.channel = channel
        self.handler = handler
        self.is_pattern = is_pattern
        self._limits = limits
        # The handler runs as what subscribed it, not as what happened to start the reader.
        self._context = contextvars.copy_context()
        self._lanes: dict[str, deque[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._handled = self._errors = self._waiting = self._waiting_bytes = self._dropped = 0
        self._dropped_logged = 0
        self._overflow_logged_at = float("-inf")
        self._blocking_logged = False

    @property
    def info(self) -> SubscriptionInfo:
        """The counters as they are now."""
        return SubscriptionInfo(
            channel=self.channel,
            is_pattern=self.is_pattern,
            handler=self.handler,
            handled=self._handled,
            errors=self._errors,
            waiting=self._waiting,
            waiting_bytes=self._waiting_bytes,
            dropped=self._dropped,
        )

    def offer(self, channel: str, message: bytes) -> None:
        """Queue a message for the handler, or drop and count it where the backlog is full."""
        if self._waiting >= self._limits.messages or (
            # A single message above the limit still gets through an empty queue.
            self._waiting and self._waiting_bytes + len(message) > self._limits.size
        ):
            self._dropped += 1
            self._log_overflow()
            return
        self._waiting += 1
        self._waiting_bytes += len(message)
        lane = self._lanes.get(channel)
        if lane is None:
            lane = self._lanes[channel] = deque()
            context = self._context.copy()
            task = asyncio.get_running_loop().create_task(self._empty(channel, lane), context=context)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        lane.append(message)

    async def drain(self, seconds: float, caller: asyncio.Task[Any] | None) -> None:
        """Wait until the handler has had what waits for it; past ``seconds`` the rest is dropped.

        ``caller`` is the task that asks: where that is the handler itself, it cannot wait for itself.
        """
        others = [task for task in self._tasks if task is not caller]
        if others:
            _, late = await asyncio.wait(others, timeout=seconds)
            await cancel(late)
        if not any(task is caller for task in self._tasks):
            self._dropped += self._waiting
            self._waiting = self._waiting_bytes = 0
            self._lanes.clear()
        self._log_overflow(last=True)

    async def _empty(self, channel: str, lane: deque[bytes]) -> None:
        turn = 0
        while lane:
            message = lane.popleft()
            self._waiting -= 1
            self._waiting_bytes -= len(message)
            await self._handle(channel, message)
            turn += 1
            if turn % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        # No await since the lane was seen empty: the next offer starts a new one.
        if self._lanes.get(channel) is lane:
            del self._lanes[channel]

    async def _handle(self, channel: str, message: bytes) -> None:
        self._handled += 1
        started = time.monotonic()
        try:
            outcome = self.handler(channel, decode(message))
            self._log_blocking(time.monotonic() - started)
            if inspect.isawaitable(outcome):
                await outcome
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Something that the handler awaited was cancelled, not the handler: it gets the next message.
            self._errors += 1
            _log.warning("The handler %s was cancelled from inside at a message on %r", self._name, channel)
        except Exception:  # noqa: BLE001  a handler may raise anything, and the next message must reach it
            self._errors += 1
            _log.exception("The handler %s raised at a message on %r", self._name, channel)

    @property
    def _name(self) -> str:
        return getattr(self.handler, "__qualname__", None) or repr(self.handler)

    def _log_overflow(self, *, last: bool = False) -> None:
        fresh = self._dropped - self._dropped_logged
        now = time.monotonic()
        if not fresh or (not last and now - self._overflow_logged_at < OVERFLOW_LOG_INTERVAL):
            return
        self._dropped_logged = self._dropped
        self._overflow_logged_at = now
        _log.warning(
            "The handler %s on %r is too slow: %d more messages dropped, %d in all (backlog %d messages, %d bytes)",
            self._name,
            self.channel,
            fresh,
            self._dropped,
            self._limits.messages,
            self._limits.size,
        )

    def _log_blocking(self, seconds: float) -> None:
        if seconds < BLOCKING_HANDLER or self._blocking_logged:
            return
        self._blocking_logged = True
        _log.warning(
            "The handler %s on %r held up the event loop for %.2f s: make it async, or run it in a thread "
            "(lambda channel, message: asyncio.to_thread(handler, channel, message))",
            self._name,
            self.channel,
            seconds,
        )


async def cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel the tasks and wait until they have unwound, whatever they raise then.

    A cancellation can be lost: before Python 3.12 ``asyncio.wait_for``, which redis-py sends with, drops one that comes
    as what it waits for ends. Who has not unwound after a while is cancelled again.
    """
    waiting = set(tasks)
    while waiting:
        for task in waiting:
            task.cancel()
        ended, waiting = await asyncio.wait(waiting, timeout=UNWINDING)
        for task in ended:
            # Whoever cancelled it knows; nobody is to be told that its exception was never retrieved.
            _ = task.cancelled() or task.exception()


async def uninterrupted(call: Awaitable[object]) -> None:
    """Wait for a call, and be cancelled after it where the cancellation was lost in it.

    Raises:
        CancelledError: the task was cancelled meanwhile.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    await call
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
