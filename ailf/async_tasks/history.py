"""The reads of ``TaskManager``: each one SQL query over the whole history, with what is not written yet laid over."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ailf.async_tasks import arguments
from ailf.async_tasks.journal.form import task_event
from ailf.async_tasks.journal.reading import Query, count_query, events_query, task_query, tasks_query
from ailf.async_tasks.model import TaskEvent, TaskFilter, TaskInfo
from ailf.async_tasks.session import Session
from ailf.errors import ManagerError, NotStartedError


class History:
    """What can be asked of a manager that was started."""

    _session: Session | None = None

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
        return session.info(session.journal.reader.rows(task_query(arguments.known_task_id(task_id))))

    async def aget_task_info(self, task_id: str) -> TaskInfo | None:
        """The awaitable twin of ``get_task_info``: the event loop goes on while the journal is read."""
        session = self._here()
        return session.info(await session.journal.areader.rows(task_query(arguments.known_task_id(task_id))))

    def list_tasks(
        self,
        status: arguments.StatusArgument = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[TaskInfo]:
        """The tasks of the whole history that fit every condition, in order of submission; one SQL query.

        Args:
            status: a TaskStatus, its name in any case, or several of these; of none of these is no task.
            name: exactly this name.
            metadata: each of these keys with its value.
            created_after: submitted then or later; a naive datetime is local time.
            created_before: submitted before then.
            newest_first: in the opposite order.
            limit: at most so many.
            offset: without the first so many.

        Returns:
            The tasks.

        Raises:
            InvalidTypeError: a condition is of a wrong type.
            InvalidArgumentError: there is no such status, or a number is negative.
            NotStartedError: the manager was not started.
            JournalError: the journal cannot be read.
        """
        session = self._started()
        query = _page_query(
            session,
            arguments.task_filter(status, name, metadata, created_after, created_before),
            newest_first=newest_first,
            limit=limit,
            offset=offset,
        )
        return session.infos(session.journal.reader.rows(query))

    async def alist_tasks(
        self,
        status: arguments.StatusArgument = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        newest_first: bool = False,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[TaskInfo]:
        """The awaitable twin of ``list_tasks``: the event loop goes on while the journal is read."""
        session = self._here()
        query = _page_query(
            session,
            arguments.task_filter(status, name, metadata, created_after, created_before),
            newest_first=newest_first,
            limit=limit,
            offset=offset,
        )
        return session.infos(await session.journal.areader.rows(query))

    def count_tasks(
        self,
        status: arguments.StatusArgument = None,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> int:
        """How many tasks fit every condition: see ``list_tasks`` for these, and for what is raised."""
        reader = self._started().journal.reader
        task_filter = arguments.task_filter(status, name, metadata, created_after, created_before)
        [(number,)] = reader.rows(count_query(task_filter, reader.indexed_paths()))
        return int(number)

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

    def _started(self) -> Session:
        """The session; for calls that work in any thread."""
        session = self._session
        if session is None:
            raise NotStartedError(
                "The manager is not started; call `await manager.start()` first, or use `async with`."
            )
        session.assert_not_inherited()
        return session

    def _here(self) -> Session:
        """The session; for calls that work on its event loop alone."""
        session = self._started()
        if session.loop is not asyncio.get_running_loop():
            raise ManagerError(
                "The manager was started on another event loop; use it there, or make one for this loop."
            )
        return session


def _page_query(
    session: Session, task_filter: TaskFilter, *, newest_first: bool, limit: int | None, offset: int
) -> Query:
    return tasks_query(
        task_filter,
        session.journal.reader.indexed_paths(),
        newest_first=bool(newest_first),
        limit=None if limit is None else arguments.count(limit, "limit"),
        offset=arguments.count(offset, "offset"),
    )
