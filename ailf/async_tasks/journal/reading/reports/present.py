"""What the tasks are doing at this moment."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, func, literal_column, select

from ailf.async_tasks.journal.form import positional, task_info, tasks, time_text
from ailf.async_tasks.journal.reading.queries import ROWID, Query, bound
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import ENDED, TaskStatus


@dataclass(frozen=True, slots=True)
class Now:
    """What a journal's tasks are doing at one moment."""

    running: list[TaskInfo]
    """The first that started first."""
    latest: list[TaskInfo]
    """What ended last, the newest first."""
    counts: dict[TaskStatus, int]
    """How many there are in each state."""
    submitted: int
    """How many were submitted since the beginning of the stretch that was asked for."""
    ended: int
    """How many ended since then."""


def _latest(status: TaskStatus) -> Select[Any]:
    return (
        select(tasks)
        .where(tasks.c.status == literal_column(f"'{status}'"), tasks.c.completed_at.is_not(None))
        .order_by(tasks.c.completed_at.desc())
        .limit(bindparam("limit"))
        .offset(literal_column("0"))
    )


# One read by the index for each end state: SQLite would sort the whole history for the newest of several.
_LATEST = {status: positional(_latest(status)) for status in sorted(ENDED)}
_RUNNING = positional(
    select(tasks)
    .where(tasks.c.status == literal_column(f"'{TaskStatus.RUNNING}'"))
    .order_by(tasks.c.started_at, ROWID)
    .limit(bindparam("limit"))
    .offset(literal_column("0"))
)
_COUNTS = positional(select(tasks.c.status, func.count()).group_by(tasks.c.status))
_SUBMITTED = positional(select(func.count()).where(tasks.c.created_at >= bindparam("since")))
_ENDED = positional(
    select(func.count()).where(
        tasks.c.status.in_([literal_column(f"'{status}'") for status in sorted(ENDED)]),
        tasks.c.completed_at >= bindparam("since"),
    )
)


def now(reader: Reader, *, running: int, latest: int, since: datetime) -> Now:
    """What the tasks are doing.

    Args:
        reader: reads the journal.
        running: how many of the running ones at most.
        latest: how many of those that ended.
        since: the beginning of the stretch of time of the rates.
    """
    at = {"since": time_text(since)}
    ended = [task_info(row) for query in _LATEST.values() for row in reader.rows(bound(query, {"limit": latest}))]
    ended.sort(key=lambda info: info.completed_at or since, reverse=True)
    [(submitted,)] = reader.rows(bound(_SUBMITTED, at))
    [(done,)] = reader.rows(bound(_ENDED, at))
    return Now(
        running=[task_info(row) for row in reader.rows(bound(_RUNNING, {"limit": running}))],
        latest=ended[:latest],
        counts=counts(reader),
        submitted=submitted,
        ended=done,
    )


def counts(reader: Reader) -> dict[TaskStatus, int]:
    """How many tasks there are in each state."""
    found = dict.fromkeys(TaskStatus, 0)
    return found | {TaskStatus(status): number for status, number in reader.rows(Query(_COUNTS.sql, ()))}
