"""Tasks in an order of the reader's choice, some at a time, and by a part of an id."""

from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, bindparam, literal_column, select

from ailf.async_tasks.journal.form import Statement, storable, tasks
from ailf.async_tasks.journal.reading.filters import ROWID, Query, Row, Shape, bound, compiled, conditions_of, shape_of
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.model import TaskFilter

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


END_OF_ID = 12
"""How many characters at its end tell the id of a task from others: a UUID of version 7 begins with the time."""

LOOKED_THROUGH = 10_000

_COMPLETIONS = (
    "SELECT id, name, status FROM tasks WHERE id >= ? AND id < ? || char(1114111) ORDER BY rowid DESC LIMIT ?"
)
_NEWEST = "SELECT id, name, status FROM tasks ORDER BY rowid DESC LIMIT ?"
# Their ends have no index: of a long history the newest are looked through, which are those that somebody sees.
_ENDS = f"SELECT * FROM ({_NEWEST}) WHERE substr(id, -{END_OF_ID}, length(?)) = ? AND length(id) > {END_OF_ID} LIMIT ?"


def completions(reader: Reader, beginning: str, most: int) -> list[tuple[str, str, str]]:
    """The newest tasks whose ids begin with a text, else those whose ends do: id, name and status of each."""
    wanted = storable(beginning)
    if not wanted:
        return list(reader.rows(Query(_NEWEST, (most,))))
    found = reader.rows(Query(_COMPLETIONS, (wanted, wanted, most)))
    return list(found or reader.rows(Query(_ENDS, (LOOKED_THROUGH, wanted, wanted, most))))
