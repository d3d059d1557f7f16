"""The writes: each statement made with SQLAlchemy, compiled once, and a batch of changes grouped by statement.

Every UPDATE names the owner and the state that it expects. What changes no row, though it should
have, has lost its guard: the journal holds something else than this process believes.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Insert, Update, bindparam, insert, update

from ailf.async_tasks.journal.rows import storable, time_text
from ailf.async_tasks.journal.schema import task_events, tasks
from ailf.async_tasks.journal.sql import Statement, positional
from ailf.async_tasks.model import Change, Ended, Progressed, Started, Submitted
from ailf.async_tasks.states import EVENT_OF_STATUS, UNFINISHED, EventKind, TaskStatus
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

    def add(self, changes: Sequence[Change]) -> None:
        """Take in changes that belong together."""
        match changes:
            case [Submitted() as submitted, Started() as started]:
                # Submitted and started in one transaction: one INSERT says both, and two events.
                self._insert(submitted, TaskStatus.RUNNING, time_text(started.at))
                self._event(started, EventKind.STARTED)
            case _:
                for change in changes:
                    self._add_one(change)

    def _add_one(self, change: Change) -> None:
        match change:
            case Progressed():
                message = change.message and storable(change.message)
                self._progress[change.task_id] = (
                    *(change.progress, message, change.task_id, self._owner_id),
                    *(TaskStatus.PENDING, TaskStatus.RUNNING),
                )
                self._event(change, EventKind.PROGRESS, message, change.progress)
            case Ended():
                self._end(change)
            case Started():
                self._starts.append(
                    (TaskStatus.RUNNING, time_text(change.at), change.task_id, self._owner_id, TaskStatus.PENDING)
                )
                self._event(change, EventKind.STARTED)
            case Submitted():
                self._insert(change, TaskStatus.PENDING, None)

    def _insert(self, change: Submitted, status: TaskStatus, started_at: str | None) -> None:
        self._inserts.append(
            (
                *(change.task_id, storable(change.name), status, time_text(change.at), started_at),
                *(change.timeout, change.metadata, self._owner_id),
            )
        )
        self._event(change, EventKind.SUBMITTED)

    def _end(self, change: Ended) -> None:
        outcome = change.outcome
        error, error_type, traceback = (
            text and storable(text) for text in (outcome.error, outcome.error_type, outcome.traceback)
        )
        self._ends.append(
            (
                *(outcome.status, outcome.reason, time_text(change.at)),
                *(change.result, change.result_format, error, error_type, traceback),
                *(change.task_id, self._owner_id, change.expected),
            )
        )
        self._event(change, EVENT_OF_STATUS[outcome.status], error if error is not None else outcome.reason)

    def _event(
        self, change: Change, kind: EventKind, message: str | None = None, progress: float | None = None
    ) -> None:
        self._events.append((change.task_id, time_text(change.at), kind, progress, message))

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
