"""The reads of ``TaskManager``: each one SQL query over the whole history, with what is not written yet laid over."""

from typing import Unpack

from ailf.async_tasks import arguments
from ailf.async_tasks.conditions import Conditions, StatusArgument, task_filter
from ailf.async_tasks.journal.form import log_line, task_event
from ailf.async_tasks.journal.reading import (
    Query,
    Reader,
    count_query,
    events_query,
    logs_query,
    task_query,
    tasks_query,
)
from ailf.async_tasks.lifecycle import Lifecycle
from ailf.async_tasks.model import LogLine, TaskEvent, TaskFilter, TaskInfo
from ailf.async_tasks.session import Session


class Reads(Lifecycle):
    """What can be asked of a manager that was started; each blocking call has an awaitable twin."""

    def get_task_info(self, task_id: str) -> TaskInfo | None:
        """A task as it stands, of this run or an earlier one.

        Args:
            task_id: the task.

        Returns:
            The task, or None if it is unknown.

        Raises:
            NotStartedError: the manager was not started.
            JournalError: the journal cannot be read.
        """
        session = self._started()
        known_id = arguments.known_task_id(task_id)
        made = session.info_of(session.live.unwritten(known_id))
        return session.asked([made(row) for row in session.journal.reader.rows(task_query(known_id))])

    async def aget_task_info(self, task_id: str) -> TaskInfo | None:
        """The awaitable twin of ``get_task_info``: the event loop goes on while the journal is read."""
        session = self._here()
        known_id = arguments.known_task_id(task_id)
        made = session.info_of(session.live.unwritten(known_id))
        return session.asked(await session.journal.areader.values(task_query(known_id), made))

    def list_tasks(
        self,
        status: StatusArgument = None,
        *,
        newest_first: bool = False,
        limit: int | None = None,
        offset: int = 0,
        **conditions: Unpack[Conditions],
    ) -> list[TaskInfo]:
        """The tasks of the whole history that fit every condition, in order of submission; one SQL query.

        Args:
            status: a TaskStatus, its name in any case, or several of these; of none of these is no task.
            newest_first: in the opposite order.
            limit: at most so many.
            offset: without the first so many.
            conditions: see ``Conditions``.

        Returns:
            The tasks.

        Raises:
            InvalidTypeError: a condition is of a wrong type.
            InvalidArgumentError: there is no such status, or a number is negative.
            NotStartedError: the manager was not started.
            JournalError: the journal cannot be read.
        """
        session = self._started()
        chosen = task_filter(status, **conditions)
        query = page_query(session.journal.reader, chosen, newest_first=newest_first, limit=limit, offset=offset)
        made = session.info_of(session.live.unwritten())
        return [made(row) for row in session.journal.reader.rows(query)]

    async def alist_tasks(
        self,
        status: StatusArgument = None,
        *,
        newest_first: bool = False,
        limit: int | None = None,
        offset: int = 0,
        **conditions: Unpack[Conditions],
    ) -> list[TaskInfo]:
        """The awaitable twin of ``list_tasks``: the event loop goes on while the journal is read."""
        session = self._here()
        chosen = task_filter(status, **conditions)
        query = page_query(session.journal.reader, chosen, newest_first=newest_first, limit=limit, offset=offset)
        return await session.journal.areader.values(query, session.info_of(session.live.unwritten()))

    def count_tasks(self, status: StatusArgument = None, **conditions: Unpack[Conditions]) -> int:
        """How many tasks fit every condition: see ``list_tasks`` for these, and for what is raised."""
        session = self._started()
        [(number,)] = session.journal.reader.rows(_count_query(session, task_filter(status, **conditions)))
        return int(number)

    async def acount_tasks(self, status: StatusArgument = None, **conditions: Unpack[Conditions]) -> int:
        """The awaitable twin of ``count_tasks``: the event loop goes on while the journal is read."""
        session = self._here()
        query = _count_query(session, task_filter(status, **conditions))
        [(number,)] = await session.journal.areader.rows(query)
        return int(number)

    def get_task_logs(
        self, task_id: str, *, level: str | int | None = None, after: int | None = None, limit: int | None = None
    ) -> list[LogLine]:
        """What a task has logged, oldest line first; empty if the task is unknown.

        A line comes into the journal some milliseconds after it was logged; those of an ended task are all there.

        Args:
            task_id: the task.
            level: of this level of ``logging`` or above, by name or by number; None is any.
            after: the ``seq`` of a line, to begin after it; None is from the first on.
            limit: at most so many.

        Raises:
            InvalidTypeError: an argument is of a wrong type.
            InvalidArgumentError: there is no such level, or a number is negative.
            NotStartedError: the manager was not started.
            JournalError: the journal cannot be read.
        """
        return [log_line(row) for row in self._started().journal.reader.rows(lines_query(task_id, level, after, limit))]

    async def aget_task_logs(
        self, task_id: str, *, level: str | int | None = None, after: int | None = None, limit: int | None = None
    ) -> list[LogLine]:
        """The awaitable twin of ``get_task_logs``: the event loop goes on while the journal is read."""
        query = lines_query(task_id, level, after, limit)
        return await self._here().journal.areader.values(query, log_line)

    def get_task_events(self, task_id: str) -> list[TaskEvent]:
        """The timeline of a task, oldest event first; empty if the task is unknown.

        Args:
            task_id: the task.

        Raises:
            NotStartedError: the manager was not started.
            JournalError: the journal cannot be read.
        """
        rows = self._started().journal.reader.rows(events_query(arguments.known_task_id(task_id)))
        return [task_event(row) for row in rows]

    async def aget_task_events(self, task_id: str) -> list[TaskEvent]:
        """The awaitable twin of ``get_task_events``: the event loop goes on while the journal is read."""
        query = events_query(arguments.known_task_id(task_id))
        return await self._here().journal.areader.values(query, task_event)


def lines_query(task_id: str, level: str | int | None, after: int | None, limit: int | None) -> Query:
    """Some lines of a task's log.

    Raises:
        InvalidTypeError: an argument is of a wrong type.
        InvalidArgumentError: there is no such level, or a number is negative.
    """
    return logs_query(
        arguments.known_task_id(task_id),
        level=None if level is None else arguments.log_level(level, "level")[0],
        after=None if after is None else arguments.count(after, "after"),
        limit=None if limit is None else arguments.count(limit, "limit"),
    )


def page_query(reader: Reader, chosen: TaskFilter, *, newest_first: bool, limit: int | None, offset: int) -> Query:
    """Some of the tasks that a filter lets through.

    Raises:
        InvalidTypeError: a number is none.
        InvalidArgumentError: it is negative.
        JournalError: the journal cannot be read.
    """
    return tasks_query(
        chosen,
        reader.indexed_paths(),
        newest_first=bool(newest_first),
        limit=None if limit is None else arguments.count(limit, "limit"),
        offset=arguments.count(offset, "offset"),
    )


def _count_query(session: Session, task_filter: TaskFilter) -> Query:
    return count_query(task_filter, session.journal.reader.indexed_paths())
