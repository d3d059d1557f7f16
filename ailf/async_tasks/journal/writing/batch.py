"""The changes of one transaction, as rows for the statements that write them."""

import sqlite3
from collections.abc import Mapping
from enum import StrEnum

from ailf.async_tasks.journal.form import microseconds_text, storable
from ailf.async_tasks.journal.writing.statements import (
    COMPLETE_TASK,
    END_TASK,
    INSERT_EVENT,
    INSERT_FAMILY,
    INSERT_TASK,
    PROGRESS_TASK,
    START_TASK,
    Row,
)
from ailf.async_tasks.model import Change, Ended, LeftOut, Microseconds, Progressed, Submitted
from ailf.async_tasks.states import EVENT_OF_STATUS, EventKind, Reason, ResultFormat, TaskStatus
from ailf.errors import TaskConflictError

# The driver binds a plain str at once, and asks around for an adapter of any subclass, an enum's members too.
_WORD: Mapping[StrEnum, str] = {
    member: str(member.value) for enum in (TaskStatus, EventKind, Reason, ResultFormat) for member in enum
}
_PENDING, _RUNNING = _WORD[TaskStatus.PENDING], _WORD[TaskStatus.RUNNING]
_SUBMITTED, _STARTED, _PROGRESS, _COMPLETED, _LEFT_OUT = (
    _WORD[kind]
    for kind in (
        *(EventKind.SUBMITTED, EventKind.STARTED, EventKind.PROGRESS),
        *(EventKind.COMPLETED, EventKind.LEFT_OUT),
    )
)


class Batch:
    """The changes of one transaction as rows, grouped by statement.

    Run group by group, the changes of one task keep their order: it is inserted, started, reports
    and ends. The events are one group, in the order in which everything happened.
    """

    def __init__(self, owner_id: str, now: Microseconds, before: Microseconds = 0) -> None:
        """Begin with none.

        Args:
            owner_id: whose changes they are.
            now: the time of the transaction, in which a task that starts may begin to run.
            before: the same of the transaction before, in which the other tasks have started at the latest.
        """
        self._owner_id = owner_id
        self.now = now
        self._before = before
        # A task that was cancelled while its start was written ended no earlier than it started.
        self._starting: set[str] = set()
        self._inserts: list[Row] = []
        self._starts: list[Row] = []
        # Only the last progress of a task is worth an UPDATE; each one is an event.
        self._progress: dict[str, tuple[float, str | None]] = {}
        self._completions: list[Row] = []
        self._ends: list[Row] = []
        self._events: list[Row] = []
        self._has_timeouts = False
        self._has_parents = False
        self._has_fractions = False

    def add(self, change: Change) -> None:
        """Take in a change."""
        if isinstance(change, Progressed):
            self._report(change)
        elif isinstance(change, Submitted):
            self._insert(change)
        elif isinstance(change, Ended):
            self._end(change)
        elif isinstance(change, LeftOut):
            text = f"{change.reports:,} reports were left out here: more came than can wait to be written"
            self._events.append((change.task_id, microseconds_text(change.at), _LEFT_OUT, None, text))
        else:
            at = microseconds_text(max(change.at, self.now))
            self._starting.add(change.task_id)
            self._starts.append((at, change.task_id, self._owner_id))
            self._events.append((change.task_id, at, _STARTED, None, None))

    def _insert(self, change: Submitted) -> None:
        task_id, at = change.task_id, microseconds_text(change.at)
        name, status, started_at = storable(change.name), _PENDING, None
        self._events.append((task_id, at, _SUBMITTED, None, None))
        if change.starts:
            # One INSERT says that it was submitted and started, and two events.
            status, started_at = _RUNNING, microseconds_text(max(change.at, self.now))
            self._starting.add(task_id)
            self._events.append((task_id, started_at, _STARTED, None, None))
        self._has_timeouts |= change.timeout is not None
        self._has_parents |= change.parent_id is not None
        what = (task_id, name, status, at, started_at, change.timeout, change.metadata)
        self._inserts.append((*what, self._owner_id, change.parent_id))

    def _report(self, change: Progressed) -> None:
        task_id, progress, message = change.task_id, change.progress, change.message
        if message is not None:
            message = storable(message)
        if type(progress) is float:
            self._has_fractions = True
        self._progress[task_id] = (progress, message)
        self._events.append((task_id, self._time_of(change), _PROGRESS, progress, message))

    def _end(self, change: Ended) -> None:
        task_id, at, outcome = change.task_id, self._time_of(change), change.outcome
        if outcome.status is TaskStatus.COMPLETED:
            result_format = None if change.result_format is None else _WORD[change.result_format]
            self._completions.append((change.progress, at, change.result, result_format, task_id, self._owner_id))
            self._events.append((task_id, at, _COMPLETED, None, None))
            return
        reason = None if outcome.reason is None else _WORD[outcome.reason]
        error = outcome.error and storable(outcome.error)
        error_type = outcome.error_type and storable(outcome.error_type)
        traceback = outcome.traceback and storable(outcome.traceback)
        self._ends.append(
            (
                *(_WORD[outcome.status], reason, at, error, error_type, traceback),
                *(task_id, self._owner_id, _WORD[change.expected]),
            )
        )
        self._events.append((task_id, at, _WORD[EVENT_OF_STATUS[outcome.status]], None, error or reason))

    def _time_of(self, change: Progressed | Ended) -> str:
        """When it happened, and no earlier than the start of its task may have been written down."""
        earliest = self.now if change.task_id in self._starting else self._before
        # Not by max(), which takes longer than all the rest.
        return microseconds_text(change.at if change.at > earliest else earliest)  # noqa: FURB136

    def _progress_rows(self) -> list[Row]:
        owner = self._owner_id
        return [(progress, message, task_id, owner) for task_id, (progress, message) in self._progress.items()]

    def execute(self, connection: sqlite3.Connection) -> None:
        """Run the statements in the open transaction.

        Raises:
            TaskConflictError: an UPDATE met another state than the one it names.
            sqlite3.Error: whatever the driver says.
        """
        insert, inserts = INSERT_FAMILY, self._inserts
        if not self._has_parents:
            insert, inserts = INSERT_TASK, [row[:-1] for row in inserts]
        for write, rows, as_json in (
            (insert, inserts, not self._has_timeouts),
            (START_TASK, self._starts, True),
            (PROGRESS_TASK, self._progress_rows(), not self._has_fractions),
            (COMPLETE_TASK, self._completions, True),
            (END_TASK, self._ends, True),
            (INSERT_EVENT, self._events, not self._has_fractions),
        ):
            if rows and write.run(connection, rows, as_json=as_json) != len(rows):
                raise TaskConflictError(
                    "The journal holds another state of the task than this process expects: "
                    "another program ended or deleted it."
                )
