"""Every read of the journal: one builder of SELECTs, for a blocking and for an awaitable reader.

The builder makes each SELECT with SQLAlchemy, once for each combination of conditions; what runs is
the compiled text with the values bound to it.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache

from sqlalchemy import ColumnElement, bindparam, column, func, literal_column, select, table

from ailf.async_tasks.journal.form import Statement, owners, positional, task_events, tasks
from ailf.async_tasks.journal.reading.filters import (
    ROWID,
    Query,
    Shape,
    bound,
    compiled,
    conditions_of,
    literal,
    shape_of,
)
from ailf.async_tasks.model import TaskFilter
from ailf.async_tasks.states import ENDED, UNFINISHED

MOST_GENERATIONS = 1000
"""How far down a family is followed: no further than anybody nests, should a shell have made a circle of it."""


@cache
def _select_tasks(shape: Shape) -> Statement:
    conditions = conditions_of(shape)
    if shape.count:
        return compiled(select(func.count()).select_from(tasks).where(*conditions), shape)
    order = ROWID.desc() if shape.newest_first else ROWID
    page = select(tasks).where(*conditions).order_by(order)
    return compiled(page.limit(bindparam("limit")).offset(bindparam("offset")), shape)


def tasks_query(
    task_filter: TaskFilter,
    indexed: frozenset[str] = frozenset(),
    *,
    newest_first: bool = False,
    limit: int | None = None,
    offset: int = 0,
) -> Query:
    """The tasks that a filter lets through, in order of submission.

    Args:
        task_filter: which tasks.
        indexed: the JSON paths of the keys of the metadata that have an index.
        newest_first: the other way round.
        limit: at most so many; None is all.
        offset: without the first so many.
    """
    shape, values = shape_of(task_filter, indexed, newest_first=newest_first)
    # A negative LIMIT is none (https://sqlite.org/lang_select.html#limitoffset).
    return bound(_select_tasks(shape), values | {"limit": -1 if limit is None else limit, "offset": offset})


def count_query(task_filter: TaskFilter, indexed: frozenset[str] = frozenset()) -> Query:
    """How many tasks a filter lets through."""
    shape, values = shape_of(task_filter, indexed, count=True)
    return bound(_select_tasks(shape), values)


_ZERO: ColumnElement[int] = literal_column("0")
"""Said, since SQLAlchemy would bind a parameter of its own for the OFFSET that goes with a LIMIT."""

_TASK = positional(select(tasks).where(tasks.c.id == bindparam("task_id")))
_SUBMISSION = positional(select(tasks.c.created_at).where(tasks.c.id == bindparam("task_id")))
_EVENTS = positional(
    select(task_events).where(task_events.c.task_id == bindparam("task_id")).order_by(task_events.c.seq)
)
_EVENTS_AFTER = positional(
    select(task_events)
    .where(task_events.c.seq > bindparam("after"))
    .order_by(task_events.c.seq)
    .limit(bindparam("limit"))
    .offset(_ZERO)
)
_TASK_EVENTS_AFTER = positional(
    select(task_events)
    .where(task_events.c.task_id == bindparam("task_id"), task_events.c.seq > bindparam("after"))
    .order_by(task_events.c.seq)
    .limit(bindparam("limit"))
    .offset(_ZERO)
)
_EXISTING = positional(
    select(tasks.c.id).where(tasks.c.id.in_(select(func.json_each(bindparam("ids")).table_valued("value").c.value)))
)


def task_query(task_id: str) -> Query:
    """One task."""
    return Query(_TASK.sql, (task_id,))


def submission_query(task_id: str) -> Query:
    """When the task was submitted that has an id now: of two submissions with one id, which of them it is."""
    return Query(_SUBMISSION.sql, (task_id,))


def events_query(task_id: str) -> Query:
    """The timeline of one task."""
    return Query(_EVENTS.sql, (task_id,))


def events_after_query(after: int, task_id: str | None, limit: int) -> Query:
    """The next events after one, of one task or of all."""
    values = {"after": after, "task_id": task_id, "limit": limit}
    return bound(_EVENTS_AFTER if task_id is None else _TASK_EVENTS_AFTER, values)


_FOLLOWED = """\
SELECT journal.deleted_seq, next.* FROM journal LEFT JOIN (
  SELECT seq, task_id, at, kind, progress, message, {fits} AS fits
  FROM task_events WHERE seq > ? {of_task}ORDER BY seq LIMIT ?
) AS next ORDER BY next.seq"""


@cache
def _followed(shape: Shape, *, of_task: bool) -> Statement:
    of_its_task = tasks.c.id == literal_column("task_events.task_id")
    conditions = conditions_of(shape)
    fits = positional(select(literal_column("1")).select_from(tasks).where(of_its_task, *conditions))
    sql = _FOLLOWED.format(
        fits=f"EXISTS ({fits.sql})" if conditions else "1", of_task="AND task_id = ? " if of_task else ""
    )
    chosen = fits.parameters if conditions else ()
    return Statement(sql, (*chosen, "after", *(["task_id"] if of_task else []), "limit"))


def followed_query(after: int, task_id: str | None, chosen: TaskFilter, limit: int) -> Query:
    """The same, each behind the highest number of a deleted event; one row with that alone where there is no event.

    Both as of one moment: an event that is deleted between two reads would be missed by whoever looks for it next.
    For the same reason those of other tasks than the chosen ones come as well, each with whether it is one of these.
    """
    shape, values = shape_of(chosen)
    return bound(
        _followed(shape, of_task=task_id is not None), values | {"after": after, "task_id": task_id, "limit": limit}
    )


def last_event_query() -> Query:
    """The number of the last event, deleted or not."""
    return Query("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'task_events'", ())


_LAST_NUMBERS = """\
SELECT coalesce(max(seq) FILTER (WHERE name = 'task_events'), 0),
  coalesce(max(seq) FILTER (WHERE name = 'task_logs'), 0)
FROM sqlite_sequence"""


def last_numbers_query() -> Query:
    """The same, and the number of the last line of a log."""
    return Query(_LAST_NUMBERS, ())


def new_lines_query(after: int) -> Query:
    """Which tasks have lines in their logs after this one, each with the number of its last."""
    return Query("SELECT task_id, max(seq) FROM task_logs WHERE seq > ? GROUP BY task_id", (after,))


@cache
def _fitting(shape: Shape) -> Statement:
    return positional(select(tasks.c.id).where(*conditions_of(shape)))


def fitting_query(chosen: TaskFilter) -> Query:
    """The ids of the tasks that a filter lets through; made to be asked of a few of them, see ``among_query``."""
    shape, values = shape_of(chosen)
    return bound(_fitting(shape), values)


def among_query(chosen: Sequence[Query], task_ids: Iterable[str]) -> Query:
    """Which of these tasks are in the journal, each behind None; and which of them each of some other queries gives.

    Args:
        chosen: the ids of tasks, each; their numbers here stand before what they give.
        task_ids: the tasks.
    """
    parts = [
        f"SELECT {number}, there.id FROM there "  # noqa: S608 - made of this module's own words
        f"WHERE EXISTS (SELECT 1 FROM ({ids.sql}) AS fitting WHERE fitting.id = there.id)"
        for number, ids in enumerate(chosen)
    ]
    existing = existing_query(task_ids)
    union = " UNION ALL ".join(["SELECT NULL, there.id FROM there", *parts])
    sql = f"WITH there(id) AS ({existing.sql}) {union}"
    return Query(sql, (*existing.values, *(value for ids in chosen for value in ids.values)))


_UNFINISHED_OF = positional(
    select(tasks.c.id).where(
        tasks.c.id.in_(select(func.json_each(bindparam("ids")).table_valued("value").c.value)),
        tasks.c.status.in_([literal(status) for status in sorted(UNFINISHED)]),
    )
)


def unfinished_query(task_ids: Iterable[str]) -> Query:
    """Which of these tasks are in the journal, and have not ended."""
    return Query(_UNFINISHED_OF.sql, (json.dumps(list(task_ids)),))


_DESCENDANTS = f"""\
WITH RECURSIVE family(id, depth) AS (
  SELECT id, 1 FROM tasks WHERE parent_id = ?
  UNION
  SELECT tasks.id, depth + 1 FROM family JOIN tasks ON tasks.parent_id = family.id WHERE depth < {MOST_GENERATIONS}
)
SELECT tasks.id FROM family JOIN tasks ON tasks.id = family.id
WHERE tasks.status IN ({", ".join(f"'{status}'" for status in sorted(UNFINISHED))}) ORDER BY depth, tasks.rowid"""  # noqa: S608 - words of ours


def descendants_query(task_id: str) -> Query:
    """The ids of the unfinished tasks that were submitted in a task, or in one of those, the nearest first."""
    return Query(_DESCENDANTS, (task_id,))


def existing_query(task_ids: Iterable[str]) -> Query:
    """Which of these tasks are in the journal."""
    return Query(_EXISTING.sql, (json.dumps(list(task_ids)),))


_RUNS = positional(
    select(
        func.strftime("%Y-%m-%d %H:%M:%S", owners.c.started_at, "localtime"),
        owners.c.pid,
        func.count(tasks.c.id),
        *(func.sum(tasks.c.status == literal(status)) for status in sorted(ENDED)),
    )
    .join(tasks, tasks.c.owner_id == owners.c.id)
    .group_by(owners.c.id)
    .order_by(owners.c.started_at)
)


def view_query(view: str, columns: Sequence[str], limit: int) -> Query:
    """The first rows of one of the views, in its own order.

    Args:
        view: its name.
        columns: which of its columns.
        limit: how many rows.
    """
    named = table(view, *(column(name) for name in columns))
    return Query(positional(select(named).limit(bindparam("limit")).offset(_ZERO)).sql, (limit,))


def runs_query() -> Query:
    """The managers that have tasks: when started (local time), pid, tasks, and how many ended in each state."""
    return Query(_RUNS.sql, ("%Y-%m-%d %H:%M:%S", "localtime"))
