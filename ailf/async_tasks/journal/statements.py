"""The writes: each statement made with SQLAlchemy, compiled once, and a batch of changes grouped by statement.

Every UPDATE names the owner and the state that it expects. What changes no row, though it should
have, has lost its guard: the journal holds something else than this process believes.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Insert, Update, bindparam, insert, update

from ailf.async_tasks.journal.rows import storable, time_text
from ailf.async_tasks.journal.schema import task_events, tasks
from ailf.async_tasks.journal.sql import Statement, positional
from ailf.async_tasks.model import Change, Ended, Progressed, Submitted
from ailf.async_tasks.states import EVENT_OF_STATUS, UNFINISHED, EventKind, Reason, ResultFormat, TaskStatus
from ailf.errors import TaskConflictError

Row = tuple[Any, ...]


def ordered(clause: Insert | Update, parameters: str) -> Statement:
    """The compiled clause, whose parameters come in the order in which they are listed here."""
    statement = positional(clause)
    if statement.parameters != tuple(parameters.split()):
        raise AssertionError(f"the parameters of {statement.sql} are {statement.parameters}")
    return statement


def values(*columns: str) -> dict[str, Any]:
    """Each of the columns set to a parameter ``new_<column>``."""
    return {column: bindparam(f"new_{column}") for column in columns}


# The driver binds a plain str at once, and asks around for an adapter of any subclass, an enum's members too.
_WORD: Mapping[StrEnum, str] = {
    member: str(member.value) for enum in (TaskStatus, EventKind, Reason, ResultFormat) for member in enum
}
_PENDING, _RUNNING = _WORD[TaskStatus.PENDING], _WORD[TaskStatus.RUNNING]
_SUBMITTED, _STARTED, _PROGRESS = (_WORD[kind] for kind in (EventKind.SUBMITTED, EventKind.STARTED, EventKind.PROGRESS))

_OURS = (tasks.c.id == bindparam("task_id"), tasks.c.owner_id == bindparam("owner"))

INSERT_TASK = ordered(
    insert(tasks).values(values("id", "name", "status", "created_at", "started_at", "timeout", "metadata", "owner_id")),
    "new_id new_name new_status new_created_at new_started_at new_timeout new_metadata new_owner_id",
)
START_TASK = ordered(
    update(tasks).where(*_OURS, tasks.c.status == bindparam("expected")).values(values("status", "started_at")),
    "new_status new_started_at task_id owner expected",
)
PROGRESS_TASK = ordered(
    update(tasks)
    .where(*_OURS, tasks.c.status.in_([bindparam(f"expected_{status}") for status in sorted(UNFINISHED)]))
    .values(values("progress", "progress_message")),
    "new_progress new_progress_message task_id owner expected_pending expected_running",
)
END_TASK = ordered(
    update(tasks)
    .where(*_OURS, tasks.c.status == bindparam("expected"))
    .values(
        values("status", "reason", "completed_at", "result", "result_format", "error", "error_type", "traceback"),
    ),
    "new_status new_reason new_completed_at new_result new_result_format new_error new_error_type new_traceback"
    " task_id owner expected",
)
INSERT_EVENT = ordered(
    insert(task_events).values(values("task_id", "at", "kind", "progress", "message")),
    "new_task_id new_at new_kind new_progress new_message",
)


class Batch:
    """The changes of one transaction as rows, grouped by statement.

    Run group by group, the changes of one task keep their order: it is inserted, started, reports
    and ends. The events are one group, in the order in which everything happened.
    """

    def __init__(self, owner_id: str) -> None:
        self._owner_id = owner_id
        self._inserts: list[Row] = []
        self._starts: list[Row] = []
        # Only the last progress of a task is worth an UPDATE; each one is an event.
        self._progress: dict[str, Row] = {}
        self._ends: list[Row] = []
        self._events: list[Row] = []
        self._last_time: datetime | None = None
        self._last_text = ""

    def add(self, changes: Sequence[Change]) -> None:
        """Take in changes that belong together."""
        first = changes[0]
        if isinstance(first, Submitted):
            # Submitted and started in one transaction: one INSERT says both, and two events.
            self._insert(first, changes[1] if len(changes) > 1 else None)
            return
        for change in changes:
            if isinstance(change, Progressed):
                self._report(change)
            elif isinstance(change, Ended):
                self._end(change)
            else:
                at = self._time_text(change.at)
                self._starts.append((_RUNNING, at, change.task_id, self._owner_id, _PENDING))
                self._events.append((change.task_id, at, _STARTED, None, None))

    def _insert(self, change: Submitted, started: Change | None) -> None:
        task_id, at = change.task_id, self._time_text(change.at)
        name, status, started_at = storable(change.name), _PENDING, None
        self._events.append((task_id, at, _SUBMITTED, None, None))
        if started is not None:
            status, started_at = _RUNNING, self._time_text(started.at)
            self._events.append((task_id, started_at, _STARTED, None, None))
        self._inserts.append((task_id, name, status, at, started_at, change.timeout, change.metadata, self._owner_id))

    def _report(self, change: Progressed) -> None:
        task_id, progress = change.task_id, change.progress
        message = change.message and storable(change.message)
        self._progress[task_id] = (
            *(progress, message, task_id, self._owner_id),
            *(_PENDING, _RUNNING),
        )
        self._events.append((task_id, self._time_text(change.at), _PROGRESS, progress, message))

    def _end(self, change: Ended) -> None:
        task_id, at, outcome = change.task_id, self._time_text(change.at), change.outcome
        reason = None if outcome.reason is None else _WORD[outcome.reason]
        result_format = None if change.result_format is None else _WORD[change.result_format]
        error = outcome.error and storable(outcome.error)
        error_type = outcome.error_type and storable(outcome.error_type)
        traceback = outcome.traceback and storable(outcome.traceback)
        self._ends.append(
            (
                *(_WORD[outcome.status], reason, at, change.result, result_format, error, error_type, traceback),
                *(task_id, self._owner_id, _WORD[change.expected]),
            )
        )
        self._events.append((task_id, at, _WORD[EVENT_OF_STATUS[outcome.status]], None, error or reason))

    def _time_text(self, at: datetime) -> str:
        # Most changes of a task share their time with another one.
        if at is not self._last_time:
            self._last_time, self._last_text = at, time_text(at)
        return self._last_text

    def execute(self, connection: sqlite3.Connection) -> None:
        """Run the statements in the open transaction.

        Raises:
            TaskConflictError: an UPDATE met another state than the one it names.
            sqlite3.Error: whatever the driver says.
        """
        groups: Iterable[tuple[Statement, Sequence[Row]]] = (
            (INSERT_TASK, self._inserts),
            (START_TASK, self._starts),
            (PROGRESS_TASK, list(self._progress.values())),
            (END_TASK, self._ends),
            (INSERT_EVENT, self._events),
        )
        for statement, rows in groups:
            if rows:
                changed = connection.executemany(statement.sql, rows).rowcount
                if changed != len(rows):
                    raise TaskConflictError(
                        "The journal holds another state of the task than this process expects: "
                        "another program ended or deleted it."
                    )
