"""Tasks that were submitted inside of tasks: whose child a new one is, and the end of a whole family."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from ailf.async_tasks import arguments
from ailf.async_tasks.arguments import Parent
from ailf.async_tasks.guard import log
from ailf.async_tasks.journal import Journal
from ailf.async_tasks.journal.reading import descendants_query, task_query
from ailf.async_tasks.running import Desk, LiveTasks, parent_at
from ailf.errors import AilfError, InvalidArgumentError

T = TypeVar("T")


class Families:
    """The families of a journal, as one manager sees them."""

    def __init__(self, journal: Journal, live: LiveTasks, desk: Desk, cancel: Callable[[str], Awaitable[bool]]) -> None:
        """Begin to know of them.

        Args:
            journal: the journal.
            live: the tasks of this manager.
            desk: the manager's, by which its tasks are known.
            cancel: cancels one task, and says whether it ended CANCELLED.
        """
        self._journal = journal
        self._live = live
        self._desk = desk
        self._cancel = cancel
        self._under_way: set[asyncio.Task[Any]] = set()

    def parent_of(self, task_id: str, given: str | Parent | None) -> str | None:
        """The parent of a task that is about to be submitted here.

        Args:
            task_id: its own id.
            given: what its submitter said.

        Raises:
            InvalidTypeError: ``given`` is no id.
            InvalidArgumentError: there is no such task, or it is the task itself.
            JournalError: the journal cannot be read.
        """
        if given is Parent.CURRENT:
            return parent_at(self._desk)
        if given is None:
            return None
        parent_id = arguments.known_task_id(given, "parent")
        if parent_id == task_id:
            raise InvalidArgumentError(f"parent is {given!r}, the task itself; give another task's id, or None.")
        if self._live.find(parent_id) is None and not self._journal.reader.rows(task_query(parent_id)):
            raise InvalidArgumentError(
                f"parent is {given!r}, and no such task is in the journal; give the id of one, or None."
            )
        return parent_id

    async def cancel_all(self, task_ids: Sequence[str]) -> int:
        """Cancel several tasks at once, and wait for their ends; how many ended CANCELLED.

        Args:
            task_ids: the tasks, whose family they are not.

        Raises:
            JournalError: another process's task cannot be asked for; the others were cancelled all the same.
            NotStartedError: the manager stopped meanwhile.
        """

        async def work() -> int:
            ends = await asyncio.gather(*(self._cancel(one) for one in task_ids), return_exceptions=True)
            if errors := [end for end in ends if isinstance(end, BaseException)]:
                raise errors[0]
            return sum(end is True for end in ends)

        return await self._apart(work())

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task and what was submitted in it; whether all that was unfinished ended CANCELLED.

        Args:
            task_id: the task.

        Raises:
            JournalError: the journal cannot be read, or another process's task cannot be asked for.
            NotStartedError: the manager stopped meanwhile.
        """
        return await self._apart(self._cancel_family(task_id))

    async def _apart(self, work: Coroutine[Any, Any, T]) -> T:
        """In a task of its own: whoever asks may be among those who are cancelled."""
        family = asyncio.get_running_loop().create_task(work, name="ailf cancel")
        self._under_way.add(family)
        family.add_done_callback(self._settled)
        return await asyncio.shield(family)

    def _settled(self, family: "asyncio.Task[Any]") -> None:
        self._under_way.discard(family)
        if not family.cancelled() and isinstance(error := family.exception(), AilfError):
            # Looked at: whoever asked may not be there any more.
            log.debug("Cancelling a family ended early: %s", error)

    async def _cancel_family(self, task_id: str) -> bool:
        is_cancelled = await self._cancel(task_id)
        tried: set[str] = set()
        # Once a task has ended, only what it left running somewhere can submit in its name; so look again.
        while chosen := [one for one in self._unfinished_below(task_id) if one not in tried]:
            tried.update(chosen)
            for one, was_cancelled in zip(
                chosen, await asyncio.gather(*(self._cancel(one) for one in chosen)), strict=True
            ):
                if not was_cancelled:
                    is_cancelled = False
                    self._say_why(one, task_id)
        return is_cancelled

    def _unfinished_below(self, task_id: str) -> list[str]:
        found = [one for (one,) in self._journal.reader.rows(descendants_query(task_id))]
        # The clean-up may have deleted one in between.
        return list(dict.fromkeys([*found, *self._live.below(task_id)]))

    def _say_why(self, task_id: str, ancestor_id: str) -> None:
        rows = self._journal.reader.rows(task_query(task_id))
        what = f"it is {rows[0][2]}" if rows else "it is gone from the journal"
        log.warning(
            "Task %s was not cancelled with task %s, in which it was submitted: %s.",
            task_id,
            ancestor_id,
            what,
            extra={"task_id": task_id},
        )
