"""The reads that people ask for, and the library itself does not: by a part of an id, sorted, by period.

And a page at a time, as statistics, and what runs now.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, select

from ailf.async_tasks.journal.form import (
    Statement,
    owners,
    positional,
    stats_sql,
    storable,
    task_info,
    tasks,
    time_of,
    time_text,
)
from ailf.async_tasks.journal.reading.queries import ROWID, Query, Row, Shape, bound, compiled, conditions_of, shape_of
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.model import TaskFilter, TaskInfo
from ailf.async_tasks.states import ENDED, UNFINISHED, TaskStatus

TASKS_A_PAGE = 1000
"""How many tasks one query of an export reads: it holds no snapshot of the journal, and no more in memory."""

CANDIDATES = 6
"""How many tasks are named at most where a part of an id fits several."""


class Sort(StrEnum):
    """What a list of tasks is in the order of."""

    CREATED = "created"
    STARTED = "started"
    ENDED = "ended"
    DURATION = "duration"
    NAME = "name"
    PROGRESS = "progress"


_RAN: ColumnElement[float] = literal_column(
    "julianday(coalesce(tasks.completed_at, 'now')) - julianday(tasks.started_at)"
)
_ORDER: dict[Sort, ColumnElement[Any]] = {
    Sort.CREATED: ROWID,
    Sort.STARTED: tasks.c.started_at,
    Sort.ENDED: tasks.c.completed_at,
    Sort.DURATION: _RAN,
    Sort.NAME: tasks.c.name,
    Sort.PROGRESS: tasks.c.progress,
}


@cache
def _sorted(shape: Shape, sort: Sort) -> Statement:
    key = _ORDER[sort]
    # What has no value to sort by comes last, whichever way round.
    order = [key.desc() if shape.newest_first else key]
    if sort is not Sort.CREATED:
        order = [key.is_(None), *order, ROWID.desc() if shape.newest_first else ROWID]
    chosen = select(tasks).where(*conditions_of(shape)).order_by(*order)
    return compiled(chosen.limit(bindparam("limit")).offset(bindparam("offset")), shape)


def sorted_query(
    task_filter: TaskFilter,
    sort: Sort,
    indexed: frozenset[str] = frozenset(),
    *,
    descending: bool,
    limit: int | None = None,
    offset: int = 0,
) -> Query:
    """The tasks that a filter lets through, in an order of the caller's choice.

    Args:
        task_filter: which tasks.
        sort: by what.
        indexed: the JSON paths of the keys of the metadata that have an index.
        descending: the highest first.
        limit: at most so many; None is all.
        offset: without the first so many.
    """
    shape, values = shape_of(task_filter, indexed, newest_first=descending)
    page = {"limit": -1 if limit is None else limit, "offset": offset}
    return bound(_sorted(shape, sort), values | page)


@cache
def _page(shape: Shape) -> Statement:
    # The columns as they are in the table: an export takes no value to pieces.
    chosen = select(ROWID.label("place"), tasks).where(*conditions_of(shape), bindparam("after") < ROWID)
    zero: ColumnElement[int] = literal_column("0")
    return compiled(chosen.order_by(ROWID).limit(bindparam("limit")).offset(zero), shape)


def pages(reader: Reader, task_filter: TaskFilter) -> Iterator[list[Row]]:
    """The tasks that a filter lets through, in order of submission, some at a time.

    Each page is a query of its own, so that the journal's log can be brought into the file meanwhile.

    Args:
        reader: reads the journal.
        task_filter: which tasks.

    Yields:
        Rows of ``tasks``, in the order of its columns.

    Raises:
        JournalError: the journal cannot be read.
    """
    shape, values = shape_of(task_filter, reader.indexed_paths())
    after = 0
    while True:
        rows = reader.rows(bound(_page(shape), values | {"after": after, "limit": TASKS_A_PAGE}))
        if rows:
            yield [row[1:] for row in rows]
        if len(rows) < TASKS_A_PAGE:
            return
        after = rows[-1][0]


COLUMNS = tuple(column.name for column in tasks.columns)
"""The names of the columns of ``tasks``, in their order."""

_LIKE_ID = (
    "SELECT id FROM tasks WHERE id = ? "
    "UNION SELECT * FROM (SELECT id FROM tasks WHERE id >= ? AND id < ? || char(1114111) LIMIT ?)"
)
_ID_ENDS = "SELECT id FROM tasks WHERE substr(id, -length(?)) = ? LIMIT ?"


def ids_like(reader: Reader, part: str) -> list[str]:
    """The ids that a part of one may stand for: itself, else those that begin with it, else those that end with it.

    Args:
        reader: reads the journal.
        part: the beginning or the end of an id.

    Returns:
        The ids, ``CANDIDATES`` at most: none is unknown, several are ambiguous.
    """
    wanted = storable(part)
    if not wanted:
        return []
    found = [task_id for (task_id,) in reader.rows(Query(_LIKE_ID, (wanted, wanted, wanted, CANDIDATES)))]
    if wanted in found:
        return [wanted]
    return found[:CANDIDATES] or [task_id for (task_id,) in reader.rows(Query(_ID_ENDS, (wanted, wanted, CANDIDATES)))]


_COMPLETIONS = (
    "SELECT id, name, status FROM tasks WHERE id >= ? AND id < ? || char(1114111) ORDER BY rowid DESC LIMIT ?"
)
_NEWEST = "SELECT id, name, status FROM tasks ORDER BY rowid DESC LIMIT ?"


def completions(reader: Reader, beginning: str, most: int) -> list[tuple[str, str, str]]:
    """The newest tasks whose ids begin with a text: id, name and status of each."""
    wanted = storable(beginning)
    query = Query(_COMPLETIONS, (wanted, wanted, most)) if wanted else Query(_NEWEST, (most,))
    return [(task_id, name, status) for task_id, name, status in reader.rows(query)]


@dataclass(frozen=True, slots=True)
class NameStats:
    """What became of the tasks of one name."""

    name: str
    tasks: int
    active: int
    completed: int
    failed: int
    cancelled: int
    median_s: float | None
    """The duration in seconds that half of those that ran did not exceed."""
    p90_s: float | None
    """The same for nine tenths of them."""
    worst_s: float | None
    last_failed: datetime | None
    last_error: str | None


def stats(reader: Reader, since: datetime | None = None) -> list[NameStats]:
    """The statistics of each name, the most frequent first.

    Args:
        reader: reads the journal.
        since: only of the tasks submitted then or later; None is all.
    """
    sql = stats_sql(lambda text, _: text, lambda moment: moment, since="?")
    begin = "" if since is None else time_text(since)
    rows = reader.rows(Query(sql, (begin,) * sql.count("?")))
    return [NameStats(*(*row[:9], time_of(row[9]), row[10])) for row in rows]


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


_PERIOD = positional(
    select(tasks)
    .where(
        ROWID.in_(
            select(literal_column("rowid"))
            .select_from(tasks)
            .where(
                tasks.c.status.in_([literal_column(f"'{status}'") for status in sorted(ENDED)]),
                tasks.c.completed_at >= bindparam("begin"),
            )
            .union_all(
                select(literal_column("rowid"))
                .select_from(tasks)
                .where(tasks.c.status.in_([literal_column(f"'{status}'") for status in sorted(UNFINISHED)]))
            )
        ),
        tasks.c.created_at < bindparam("end"),
    )
    .order_by(ROWID.desc())
    .limit(bindparam("limit"))
    .offset(literal_column("0"))
)


def period(reader: Reader, begin: datetime, end: datetime, most: int) -> list[TaskInfo]:
    """The tasks that were waiting or running at some time of a period, in order of submission.

    Args:
        reader: reads the journal.
        begin: when it begins.
        end: when it ends.
        most: how many at most: the last of them.
    """
    values = {"begin": time_text(begin), "end": time_text(end), "limit": most}
    return [task_info(row) for row in reader.rows(bound(_PERIOD, values))][::-1]


_SPAN = positional(select(func.min(tasks.c.created_at), func.max(tasks.c.created_at)))
_LAST_EVENT = "SELECT coalesce(max(seq), 0) FROM task_events"
_EVENT_BEFORE = "SELECT seq FROM task_events ORDER BY seq DESC LIMIT 1 OFFSET ?"
_TASK_EVENT_BEFORE = "SELECT seq FROM task_events WHERE task_id = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"


def span(reader: Reader) -> tuple[datetime | None, datetime | None]:
    """When the first and the last of the tasks were submitted."""
    [(first, last)] = reader.rows(Query(_SPAN.sql, ()))
    return time_of(first), time_of(last)


def event_before_the_last(reader: Reader, task_id: str | None, number: int) -> int:
    """The ``seq`` after which the last so many events come, of one task or of all."""
    if task_id is None:
        rows = reader.rows(Query(_EVENT_BEFORE, (number,)))
    else:
        rows = reader.rows(Query(_TASK_EVENT_BEFORE, (task_id, number)))
    return int(rows[0][0]) if rows else 0


_OWNER = positional(select(owners).where(owners.c.id == bindparam("owner_id")))


def owner_of(reader: Reader, owner_id: str) -> dict[str, Any] | None:
    """The row of a manager, by the names of its columns; None where it is gone."""
    rows = reader.rows(Query(_OWNER.sql, (owner_id,)))
    return dict(zip(owners.c.keys(), rows[0], strict=True)) if rows else None
