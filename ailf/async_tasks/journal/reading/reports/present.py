"""What the tasks are doing at this moment."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Select, bindparam, func, literal_column, select

from ailf.async_tasks.journal.form import positional, task_info, tasks, time_of, time_text
from ailf.async_tasks.journal.reading.filters import ROWID, Query, bound
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import LINE, Line, line_of
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import ENDED, UNFINISHED, TaskStatus


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
    counts_of: dict[str, int] = dict(reader.rows(Query(_COUNTS.sql, ())))
    return {status: counts_of.get(status, 0) for status in TaskStatus}


MOST_COUNTED = 10_000
"""How far tasks are counted; one more stands for "more"."""

MOST_ENDS = 10_000
"""After how many ends the minutes further back are left for the next time."""

MINUTES_TO_SETTLE = 3
"""After how many minutes a minute is taken as counted for good: a journal in trouble is written late."""

MINUTES = 60
"""How many minutes of ends there are."""


@dataclass(frozen=True, slots=True)
class Running:
    """A task that runs, and when it last said anything."""

    line: Line
    last_said: datetime
    """The time of its last event or line of log."""


@dataclass(frozen=True, slots=True)
class Minute:
    """What ended in a minute."""

    begin: datetime
    ended: dict[TaskStatus, int]


@dataclass(frozen=True, slots=True)
class Board:
    """What a journal's tasks are doing, read in a time that does not grow with the journal."""

    running: list[Running]
    """The first that were submitted."""
    queue: list[Line]
    """The first of those that wait."""
    latest: list[Line]
    """What ended last, the newest first."""
    last_failure: Line | None
    counts: dict[TaskStatus, int]
    """How many there are in each state, counted up to ``MOST_COUNTED`` + 1."""
    minutes: list[Minute]
    """The ends of the last hour: see ``minutes``."""


_LINES_OF = {
    status: f"SELECT {LINE} FROM tasks WHERE status = '{status}' ORDER BY rowid LIMIT ?" for status in UNFINISHED
}
_RUNNING_LINES = f"""\
SELECT {LINE}, max(
  coalesce((SELECT at FROM task_events WHERE task_id = tasks.id ORDER BY seq DESC LIMIT 1), ''),
  coalesce((SELECT at FROM task_logs WHERE task_id = tasks.id ORDER BY seq DESC LIMIT 1), '')
)
FROM tasks WHERE status = '{TaskStatus.RUNNING}' ORDER BY rowid LIMIT ?"""
_LATEST_LINES = {
    status: f"SELECT {LINE} FROM tasks WHERE status = '{status}' AND completed_at IS NOT NULL "
    "ORDER BY completed_at DESC LIMIT ?"
    for status in ENDED
}
_COUNTED = {
    status: f"SELECT count(*) FROM (SELECT 1 FROM tasks WHERE status = '{status}' LIMIT ?)" for status in TaskStatus
}
_A_MINUTE = ", ".join(
    f"(SELECT count(*) FROM (SELECT 1 FROM tasks WHERE status = '{status}' AND completed_at IS NOT NULL "
    "AND completed_at >= :begin AND completed_at < :until LIMIT :most))"
    for status in sorted(ENDED)
)


def board(
    reader: Reader, at: datetime, *, running: int, queue: int, latest: int, known: dict[str, Minute] | None = None
) -> Board:
    """What the tasks are doing.

    Args:
        reader: reads the journal.
        at: now.
        running: how many of the running ones at most.
        queue: how many of those that wait.
        latest: how many of those that ended.
        known: see ``minutes``.

    Raises:
        JournalError: the journal cannot be read.
    """
    ended = [line_of(row) for sql in _LATEST_LINES.values() for row in reader.rows(Query(sql, (latest,)))]
    ended.sort(key=lambda line: line.completed_at or at, reverse=True)
    failures = [line for line in ended if line.status is TaskStatus.FAILED]
    waiting = reader.rows(Query(_LINES_OF[TaskStatus.PENDING], (queue,)))
    return Board(
        running=[
            Running(line_of(row[:-1]), time_of(row[-1] or None) or at)
            for row in reader.rows(Query(_RUNNING_LINES, (running,)))
        ],
        queue=[line_of(row) for row in waiting],
        latest=ended[:latest],
        last_failure=failures[0] if failures else None,
        counts=counted(reader),
        minutes=minutes(reader, at, {} if known is None else known),
    )


def counted(reader: Reader) -> dict[TaskStatus, int]:
    """How many tasks there are in each state, counted up to ``MOST_COUNTED`` + 1."""
    most = (MOST_COUNTED + 1,)
    return {status: int(reader.rows(Query(sql, most))[0][0]) for status, sql in _COUNTED.items()}


def minutes(reader: Reader, at: datetime, known: dict[str, Minute]) -> list[Minute]:
    """What ended in each minute of the last hour, as far back as it is counted at once, the oldest first.

    Args:
        reader: reads the journal.
        at: now.
        known: what was counted before, of minutes that are over; it is brought up to date, so that what is not
            counted at once is the next time.
    """
    found: list[Minute] = []
    left = MOST_ENDS
    last = at.replace(second=0, microsecond=0)
    begins = [time_text(last - timedelta(minutes=back)) for back in range(-1, MINUTES)]
    for back, (until, begin) in enumerate(pairwise(begins)):
        minute = known.get(begin)
        if minute is None:
            if left <= 0:
                break
            [ends] = reader.rows(Query(f"SELECT {_A_MINUTE}", {"begin": begin, "until": until, "most": MOST_ENDS}))
            left -= sum(ends)
            minute = Minute(datetime.fromisoformat(begin), dict(zip(sorted(ENDED), ends, strict=True)))
            if back >= MINUTES_TO_SETTLE:
                known[begin] = minute
        found.append(minute)
    for begin in known.keys() - begins:
        del known[begin]
    return found[::-1]
