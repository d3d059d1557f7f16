"""``History``: a journal read without an event loop and without being part of it, for scripts and notebooks."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, Unpack

from ailf.async_tasks import arguments
from ailf.async_tasks.conditions import Conditions, StatusArgument, task_filter
from ailf.async_tasks.encoding import Coder
from ailf.async_tasks.journal import open_reader
from ailf.async_tasks.journal.form import journal_path, leaving_nothing, log_line, task_event, task_info
from ailf.async_tasks.journal.reading import count_query, events_query, reports, task_query
from ailf.async_tasks.model import LogLine, TaskEvent, TaskInfo
from ailf.async_tasks.reads import lines_query, page_query


class History:
    """A journal to read: synchronous, from any thread, of programs that run as well as of those that have ended.

    ::

        with History("tasks.db") as history:
            failed = history.list_tasks("failed", newest_first=True, limit=10)
            frame = pandas.DataFrame(history.to_dicts(name="report *"))

    It changes nothing in the journal, and makes none where there is none.
    """

    def __init__(self, journal: str | os.PathLike[str] | None = None, *, decoder: Coder | None = None) -> None:
        """Open a journal.

        Args:
            journal: its path; None is ``$AILF_JOURNAL``, else ``ailf_tasks.db`` in the working directory.
            decoder: makes the results of what the ``encoder`` of the manager has made of them; None shows that.

        Raises:
            JournalError: it is not there, is no journal, or is one of another release.
            InvalidTypeError: it is no path, or ``decoder`` no function.
        """
        self._decoder = arguments.coder(decoder, "decoder")
        self._path = journal_path(Path(journal) if isinstance(journal, os.PathLike) else journal)
        with ExitStack() as opening:
            opening.enter_context(leaving_nothing(self._path))
            self._reader = opening.enter_context(open_reader(self._path))
            self._open = opening.pop_all()

    @property
    def journal(self) -> Path:
        """The path of the journal."""
        return self._path

    def __repr__(self) -> str:
        """Which journal."""
        return f"<{type(self).__name__} of {str(self._path)!r}>"

    def __enter__(self) -> Self:
        """Use it for a while."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the journal; nothing of this is left beside it."""
        self._open.close()

    def get_task_info(self, task_id: str) -> TaskInfo | None:
        """A task, or None if it is unknown.

        Raises:
            JournalError: the journal cannot be read.
        """
        rows = self._reader.rows(task_query(arguments.known_task_id(task_id)))
        return task_info(rows[0], self._decoder) if rows else None

    def list_tasks(
        self,
        status: StatusArgument = None,
        *,
        newest_first: bool = False,
        limit: int | None = None,
        offset: int = 0,
        **conditions: Unpack[Conditions],
    ) -> list[TaskInfo]:
        """The tasks that fit every condition, in order of submission: see ``TaskManager.list_tasks``."""
        chosen = task_filter(status, **conditions)
        query = page_query(self._reader, chosen, newest_first=newest_first, limit=limit, offset=offset)
        return [task_info(row, self._decoder) for row in self._reader.rows(query)]

    def iter_tasks(self, status: StatusArgument = None, **conditions: Unpack[Conditions]) -> Iterator[TaskInfo]:
        """The same one by one, of a history of any length: a thousand are in memory at a time."""
        pages = reports.pages(self._reader, task_filter(status, **conditions))
        return (task_info(row, self._decoder) for page in pages for row in page)

    def to_dicts(self, status: StatusArgument = None, **conditions: Unpack[Conditions]) -> list[dict[str, Any]]:
        """The tasks that fit as rows for pandas or polars: see ``TaskInfo.to_dict``, but times are times.

        Args:
            status: as for ``list_tasks``.
            conditions: see ``Conditions``.

        Raises:
            InvalidTypeError: a condition is of a wrong type.
            InvalidArgumentError: there is no such status.
            JournalError: the journal cannot be read.
        """
        times = ("created_at", "started_at", "completed_at", "cancel_requested_at")
        infos = self.iter_tasks(status, **conditions)
        return [info.to_dict() | {name: getattr(info, name) for name in times} for info in infos]

    def count_tasks(self, status: StatusArgument = None, **conditions: Unpack[Conditions]) -> int:
        """How many tasks fit every condition."""
        chosen = task_filter(status, **conditions)
        [(number,)] = self._reader.rows(count_query(chosen, self._reader.indexed_paths()))
        return int(number)

    def get_task_events(self, task_id: str) -> list[TaskEvent]:
        """The timeline of a task, oldest event first; empty if the task is unknown."""
        return [task_event(row) for row in self._reader.rows(events_query(arguments.known_task_id(task_id)))]

    def get_task_logs(
        self, task_id: str, *, level: str | int | None = None, after: int | None = None, limit: int | None = None
    ) -> list[LogLine]:
        """What a task has logged: see ``TaskManager.get_task_logs``."""
        return [log_line(row) for row in self._reader.rows(lines_query(task_id, level, after, limit))]
