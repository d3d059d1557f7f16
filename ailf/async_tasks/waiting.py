"""The waits of ``TaskManager``: for the end of a task, and for whatever happens next."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal

from ailf.async_tasks import arguments
from ailf.async_tasks.conditions import task_filter
from ailf.async_tasks.endings import value_of
from ailf.async_tasks.journal.reading import last_event_query
from ailf.async_tasks.log_watching import follow_logs
from ailf.async_tasks.model import Ending, LogLine, TaskEvent
from ailf.async_tasks.reads import Reads
from ailf.async_tasks.states import TaskStatus
from ailf.async_tasks.watching import follow
from ailf.errors import ManagerError, TaskNotFoundError, WaitTimeoutError


class Waiting(Reads):
    """What can be waited for; none of it disturbs a task."""

    async def wait_for_task(self, task_id: str, timeout: float | timedelta | None = None) -> Any:
        """Wait until a task ends, without disturbing it: neither the time-out nor a cancelled wait does.

        Args:
            task_id: the task.
            timeout: how many seconds to wait; None is for ever.

        Returns:
            What the task returned; None if it timed out, failed, was cancelled or is unknown. See
            ``result`` to tell these apart.

        Raises:
            NotStartedError: the manager was not started.
            ManagerError: called by the task itself, or on another event loop than ``start``.
            InvalidArgumentError: ``timeout`` is negative.
        """
        try:
            ending = await self._ending(task_id, timeout)
        except WaitTimeoutError:
            return None
        return None if ending is None or ending.outcome.status is not TaskStatus.COMPLETED else ending.outcome.value

    async def result(self, task_id: str, timeout: float | timedelta | None = None) -> Any:
        """Wait until a task ends, without disturbing it, and return or raise how it ended.

        Args:
            task_id: the task.
            timeout: how many seconds to wait; None is for ever.

        Returns:
            What the task returned. In the process that ran it this is the object itself, and everybody who asks is
            handed the same one: what changes it changes what the others have. After a restart, and in other
            processes, it is what the journal holds (see ``TaskInfo.result_format``): an equal value where JSON
            holds it exactly ("json"); the nearest JSON ("lossy"), such as the ISO text of a date, a dict of a
            dataclass's fields, a list for a tuple; what the manager's ``decoder`` makes ("custom"); or the
            ``repr`` as text. That is so here as well once more than ``result_memory`` bytes are kept.

        Raises:
            TaskFailedError: it failed. Its cause is what the task raised, where this process ran it and still has that
                (it keeps the last hundred); the recorded traceback is a note.
            TaskCancelledError: it was cancelled.
            TaskNotFoundError: it is unknown.
            WaitTimeoutError: it was unfinished when ``timeout`` had passed. It is a TimeoutError.
            NotStartedError: the manager was not started.
            ManagerError: called by the task itself, or on another event loop than ``start``.
            InvalidArgumentError: ``timeout`` is negative.
        """
        ending = await self._ending(task_id, timeout)
        if ending is None:
            raise TaskNotFoundError(f"No task {task_id!r} is in the journal.", task_id=task_id)
        return value_of(task_id, ending)

    def watch(
        self,
        task_id: str | None = None,
        *,
        after: int | Literal["now"] | None = None,
        name: str | Iterable[str] | None = None,
        metadata: Mapping[Any, Any] | None = None,
        parent: str | None = None,
    ) -> AsyncIterator[TaskEvent]:
        """Iterate over events: those that the journal has, then each new one, with no gap between the two.

        What is wrong with the arguments is raised by the call, before the first step.

        Args:
            task_id: a task, after whose last event the iteration ends; None is every task, until ``stop``.
            after: the ``seq`` of an event, to begin after it; "now" begins with what happens from this call on;
                None is from the first event on that the journal still has.
            name: of tasks of this name alone, or of any of several: see ``Conditions``, as for the next two.
            metadata: of tasks with these values under these keys.
            parent: of tasks that were submitted inside of this one.

        Returns:
            The events, in the order of their ``seq``.

        Raises:
            EventsDeletedError: on the way: the clean-up has deleted events that were to come next. Its
                ``resume_after`` says after which event to go on.
            InvalidTypeError: ``after`` is neither a whole number nor "now", or a condition is of a wrong type.
            InvalidArgumentError: ``after`` is negative, or a condition is no JSON.
            TaskNotFoundError: the task is unknown.
            NotStartedError: the manager was not started.
            ManagerError: called on another event loop than ``start``.
            JournalError: the journal cannot be read.
        """
        session = self._here()
        begin = arguments.position(after)
        chosen = task_filter(name=name, metadata=metadata, parent=parent)
        if task_id is not None and self.get_task_info(task_id) is None:
            raise TaskNotFoundError(f"No task {task_id!r} is in the journal.", task_id=task_id)
        if begin == arguments.NOW:
            [(begin,)] = session.journal.reader.rows(last_event_query())
        return follow(session.journal.areader, session.tail, task_id, begin, chosen, give_way=session.giving_way)

    def watch_logs(
        self, task_id: str, *, level: str | int | None = None, after: int | None = None
    ) -> AsyncIterator[LogLine]:
        """Iterate over the log of a task: the lines that the journal has, then each new one, until the task has ended.

        Args:
            task_id: the task; one of another process on the same journal too.
            level: of this level of ``logging`` or above, by name or by number; None is any.
            after: the ``seq`` of a line, to begin after it; None is from the first line on.

        Returns:
            The lines, in the order of their ``seq``.

        Raises:
            TaskNotFoundError: the task is unknown.
            InvalidArgumentError: there is no such level, or ``after`` is negative.
            NotStartedError: the manager was not started.
            ManagerError: called on another event loop than ``start``.
            JournalError: the journal cannot be read.
        """
        session = self._here()
        begin = 0 if after is None else arguments.count(after, "after")
        number = None if level is None else arguments.log_level(level, "level")[0]
        if self.get_task_info(task_id) is None:
            raise TaskNotFoundError(f"No task {task_id!r} is in the journal.", task_id=task_id)
        return follow_logs(
            session.journal.areader,
            session.tail,
            arguments.known_task_id(task_id),
            level=number,
            after=begin,
            give_way=session.giving_way,
        )

    async def _ending(self, task_id: str, timeout: float | timedelta | None) -> Ending | None:
        session = self._here()
        known_id = arguments.known_task_id(task_id)
        seconds = arguments.optional_seconds(timeout, "timeout", zero=True)
        if session.task_around() == known_id:
            raise ManagerError(f"Task {task_id} waits for its own end; wait for it from outside of it.")
        return await session.ending(known_id, seconds)
