"""The threads of one manager, in which plain functions run: bounded, never waited for, and its own.

Python cannot interrupt a function in a thread. One that nobody waits for any more, past its time limit or cancelled,
runs on to its own end, which may never come: its thread is given up, and another one takes its place.
"""

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from ailf.async_tasks.guard import log

MANY_GIVEN_UP = 50
"""At how many threads that were given up it is said that there are so many, and at each doubling."""


class Worker:
    """A thread, and the calls that it is to make: None ends it."""

    __slots__ = ("calls", "is_given_up")

    def __init__(self) -> None:
        self.calls: SimpleQueue[Call | None] = SimpleQueue()
        self.is_given_up = False


class Call:
    """A function that waits for a thread, or runs in one."""

    __slots__ = ("answer", "context", "function", "worker")

    def __init__(self, function: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        self.function = function
        self.context = contextvars.copy_context()
        self.answer = answer
        self.worker: Worker | None = None


class Threads:
    """The threads; used on one event loop alone."""

    def __init__(self, name: str, most: int) -> None:
        """Start none yet.

        Args:
            name: what they are called.
            most: how many functions run at a time; further ones wait for their turn.
        """
        self._name = name
        self._most = most
        self._busy = 0
        self._given_up = 0
        self._said_of = MANY_GIVEN_UP
        self._idle: list[Worker] = []
        # Ordered, and any of them leaves in constant time.
        self._waiting: OrderedDict[Call, None] = OrderedDict()
        self._is_closed = False

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run a function in a thread, with the caller's context variables; gives and raises what it does.

        Who is cancelled while it waits gives the thread up; a function that has not begun by then never does.

        Args:
            function: the function. What it raises must be an ``Exception``, and no StopIteration.
        """
        loop = asyncio.get_running_loop()
        call = Call(function, loop.create_future())
        self._waiting[call] = None
        try:
            self._begin(loop)
        except BaseException:
            self._waiting.pop(call, None)
            raise
        try:
            return await call.answer
        except asyncio.CancelledError:
            self._give_up(call, loop)
            raise

    def close(self) -> None:
        """End the threads, those at work with the end of what they do; they are not waited for."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().calls.put(None)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._waiting and self._busy < self._most:
            # The worker first: where there is no memory for one, the call waits on.
            worker = self._idle.pop() if self._idle else self._started(loop)
            call, _ = self._waiting.popitem(last=False)
            call.worker = worker
            self._busy += 1
            worker.calls.put(call)

    def _started(self, loop: asyncio.AbstractEventLoop) -> Worker:
        worker = Worker()
        # A daemon: a program that ends does not wait for a function that may never do.
        Thread(target=_work, args=(worker.calls, self._done, loop), name=self._name, daemon=True).start()
        return worker

    def _done(self, call: Call, loop: asyncio.AbstractEventLoop, value: Any, error: BaseException | None) -> None:
        worker = call.worker
        assert worker is not None  # noqa: S101 - it has made the call
        if worker.is_given_up:
            self._given_up -= 1
            worker.calls.put(None)
            return
        self._busy -= 1
        if self._is_closed:
            worker.calls.put(None)
        else:
            self._idle.append(worker)
        # Whoever waits for this one first: they have their answer, whatever becomes of the next.
        if not call.answer.done():
            if error is None:
                call.answer.set_result(value)
            else:
                call.answer.set_exception(error)
        self._begin(loop)

    def _give_up(self, call: Call, loop: asyncio.AbstractEventLoop) -> None:
        """Let a thread go its own way, unless it has come back meanwhile."""
        if call.worker is None:
            del self._waiting[call]
            return
        if call.answer.done() and not call.answer.cancelled():
            return
        call.worker.is_given_up = True
        self._busy -= 1
        self._given_up += 1
        if self._given_up >= self._said_of:
            self._said_of *= 2
            log.warning(
                "%d functions that were cancelled or are past their time limit still run, each in a thread of its own; "
                "Python cannot end them. Give them time limits of their own.",
                self._given_up,
            )
        self._begin(loop)


def _work(
    calls: "SimpleQueue[Call | None]",
    done: Callable[[Call, asyncio.AbstractEventLoop, Any, BaseException | None], None],
    loop: asyncio.AbstractEventLoop,
) -> None:
    while (call := calls.get()) is not None:
        value, error = None, None
        try:
            value = call.context.run(call.function)
        except BaseException as raised:  # noqa: BLE001 - it is raised again where it is waited for
            error = raised
        try:
            loop.call_soon_threadsafe(done, call, loop, value, error)
        except RuntimeError:
            # The loop is closed, and nobody waits.
            return
        # Whoever is given it is not to share it with a thread that has nothing to do.
        del call, value, error
