"""Whose turn it is: a task takes a slot, waits for one, and gives it back, for good or while it waits for another."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ailf.async_tasks.running.live_task import LiveTask
from ailf.async_tasks.running.phases import Phase
from ailf.async_tasks.running.slots import Slots
from ailf.async_tasks.states import TaskStatus
from ailf.errors import ManagerError, WaitTimeoutError

T = TypeVar("T")


class Turns:
    """The slots that the tasks of one manager run in, and the queue for a slot."""

    def __init__(self, most: int | None, begin: Callable[[LiveTask], None]) -> None:
        """Begin with all slots free.

        Args:
            most: how many there are; None is no limit.
            begin: has a task start that waited, for which a slot was taken.
        """
        self._slots: Slots[LiveTask | asyncio.Future[None]] = Slots(most)
        self._begin = begin

    def try_to_begin(self, task: LiveTask) -> bool:
        """Take a slot for a new task, where one is free and nobody waits for it."""
        if not self._slots.try_to_take():
            return False
        self._take(task)
        return True

    def queue(self, task: LiveTask) -> None:
        """Have a task wait until it may begin, which it does at once where a slot is free."""
        self._slots.wait_to_begin(task)
        task.enter(Phase.QUEUED)
        self._fill()

    def leave(self, task: LiveTask) -> None:
        """Have a task wait no more, if it does."""
        self._slots.leave(task)

    def release(self, task: LiveTask) -> None:
        """Give the slot of a task to the next one, if it has any."""
        if task.has_slot:
            task.has_slot = False
            self._slots.give_back()
            self._fill()

    def end(self) -> None:
        """Nobody's turn comes any more."""
        self._slots = Slots(None)

    def _take(self, task: LiveTask) -> None:
        task.has_slot = True
        task.status = TaskStatus.RUNNING
        if task.phase is not Phase.STARTING:
            task.enter(Phase.STARTING)

    def _have_begin(self, task: LiveTask) -> None:
        self._take(task)
        self._begin(task)

    def _fill(self) -> None:
        for entry in self._slots.admitted():
            if isinstance(entry, LiveTask):
                try:
                    self._have_begin(entry)
                except MemoryError:
                    # Nobody else knows of it any more: it is out of the queue, and has a slot.
                    self._have_begin(entry)
            elif entry.done():
                self._slots.give_back()
            else:
                entry.set_result(None)

    async def while_waiting(self, waiter: LiveTask, other: LiveTask | None, wait: Awaitable[T]) -> T:
        """Wait within a task, which gives its slot back meanwhile: the one it waits for may need it.

        Args:
            waiter: the task within which somebody waits.
            other: the task that it waits for itself, without a time limit, if it is one of these.
            wait: the wait.

        Returns:
            What it returns.

        Raises:
            ManagerError: the two would wait for each other for ever.
        """
        if other is not None and waiter.waits_in_a_circle(other):
            if asyncio.iscoroutine(wait):
                wait.close()
            raise ManagerError(
                f"Task {waiter.id} waits for task {other.id}, which waits for it: neither would ever end. "
                "Give one of the waits a timeout, or let a third task wait for both."
            )
        waiter.waits_for, before = other or waiter.waits_for, waiter.waits_for
        waiter.waits += 1
        self.release(waiter)
        # A task that was cancelled must unwind, and one that waits for a time must go on once that is over.
        at_once = True
        try:
            value = await wait
            at_once = False
        except Exception as error:
            at_once = isinstance(error, WaitTimeoutError)
            raise
        finally:
            waiter.waits -= 1
            waiter.waits_for = before
            if not waiter.waits and waiter.outcome is None and self._slots.are_limited:
                await self._return_to_slot(waiter, at_once=at_once)
        return value

    async def _return_to_slot(self, task: LiveTask, *, at_once: bool) -> None:
        """Have a task go on: in its turn, or at once, when nobody else gets a slot until one more is given back."""
        if task.has_slot:
            return
        if at_once:
            self._slots.take_anyway()
            task.has_slot = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slots.wait_to_return(turn)
        self._fill()
        try:
            await turn
        except BaseException:
            self._slots.leave(turn)
            if not turn.done() or turn.cancelled():
                self._slots.take_anyway()
            raise
        finally:
            task.has_slot = True
            if task.outcome is not None:
                # It was something that the task has left behind.
                self.release(task)
