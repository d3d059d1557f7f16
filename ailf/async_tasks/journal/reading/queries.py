"""Every read of the journal: one builder of SELECTs, for a blocking and for an awaitable reader.

The builder makes each SELECT with SQLAlchemy, once for each combination of conditions; what runs is
the compiled text with the values bound to it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    column,
    false,
    func,
    literal_column,
    select,
    table,
    union_all,
)

from ailf.async_tasks.journal.form import (
    Statement,
    encode_value,
    indexes,
    key_in,
    last_said_sql,
    metadata_path,
    owners,
    positional,
    storable,
    task_events,
    tasks,
    time_text,
)
from ailf.async_tasks.model import TaskFilter
from ailf.async_tasks.states import ENDED, UNFINISHED, TaskStatus

Row = tuple[Any, ...]

MOST_GENERATIONS = 1000
"""How far down a family is followed: no further than anybody nests, should a shell have made a circle of it."""

ROWID: ColumnElement[int] = literal_column("tasks.rowid")
"""The order of submission: SQLite numbers the rows as they come (https://sqlite.org/rowidtable.html)."""


class Query(NamedTuple):
    """A SELECT as text, and the values bound to it."""

    sql: str
    values: tuple[Any, ...] | dict[str, Any]
    """In the order of the question marks, or by the names of the parameters."""


class KeyShape(NamedTuple):
    """How a key of the metadata is compared."""

    kind: str
    """As a number, or as JSON text."""
    path: str | None = None
    """Its JSON path, where there is an index of the key."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which conditions a SELECT has, without their values."""

    count: bool = False
    statuses: int | None = None
    name: bool = False
    metadata: tuple[KeyShape, ...] = ()
    created_after: bool = False
    created_before: bool = False
    newest_first: bool = False
    parent: bool = False
    quiet: bool = False

    @property
    def has_key_index(self) -> bool:
        """Whether a key of the metadata goes by an index of its own."""
        return any(key.path is not None for key in self.metadata)


def _literal(word: str) -> ColumnElement[Any]:
    """A word of SQLite's own, as it stands in the SQL text."""
    return literal_column(f"'{word}'")


_RUNNING: ColumnElement[bool] = tasks.c.status == _literal(TaskStatus.RUNNING)
_LAST_SAID: ColumnElement[str] = literal_column(last_said_sql())
"""When a task last said anything: the time of its last event, or of the last line in its log."""


def _metadata_condition(index: int, key: KeyShape) -> ColumnElement[bool]:
    """One key of the metadata having one value."""
    metadata = tasks.c.metadata
    path: ColumnElement[str] = bindparam(f"path_{index}")
    spelled: ColumnElement[str] = bindparam(f"key_{index}")
    value: ColumnElement[Any] = bindparam(f"value_{index}")
    if key.path is not None:
        path, spelled = _literal(f"path {index}"), _literal(f"key {index}")
    # Since 3.45 SQLite takes a key for another one that goes on with a NUL: it has to stand in the text as well.
    is_there = and_(func.instr(metadata, spelled) > literal_column("0"), func.json_type(metadata, path).is_not(None))
    if key.kind == "number":
        number = and_(
            func.json_extract(metadata, path) == value,
            func.json_type(metadata, path).in_([_literal("integer"), _literal("real")]),
        )
        if key.path is None:
            return and_(is_there, number)
        ours = select(func.json_each(bindparam(f"spellings_{index}")).table_valued("value").c.value)
        # What json_set in a shell writes is spelled otherwise now and then.
        theirs = select(func.json_array(value, value))
        return and_(func.json_extract(metadata, path, path).in_(union_all(ours, theirs)), is_there, number)
    # Asked for two paths, json_extract gives an array of the values as they are spelled in the text:
    # a text whole, where extracting it alone ends at a NUL. A key that is not there gives nulls too.
    return and_(func.json_extract(metadata, path, path) == value, is_there)


def conditions_of(shape: Shape) -> list[ColumnElement[bool]]:
    """The conditions of a shape, each with parameters for its values."""
    conditions: list[ColumnElement[bool]] = []
    if shape.statuses is not None:
        chosen: list[ColumnElement[str]] = [bindparam(f"status_{index}") for index in range(shape.statuses)]
        # Few tasks have one name, one value of a key or one parent, and many have one status: the plus keeps SQLite
        # from taking that index.
        is_residual = shape.name or shape.has_key_index or shape.parent
        status: ColumnElement[str] = literal_column("+tasks.status") if is_residual else tasks.c.status
        conditions.append(status.in_(chosen) if chosen else false())
    if shape.name:
        conditions.append(tasks.c.name == bindparam("name"))
    if shape.parent:
        conditions.append(tasks.c.parent_id == bindparam("parent"))
    if shape.quiet:
        conditions += [_RUNNING, bindparam("quiet_since") > _LAST_SAID]
    if shape.has_key_index:
        conditions += _times(shape, literal_column("+tasks.created_at"))
    elif shape.created_after or shape.created_before:
        conditions.append(ROWID.in_(_rowids_by_time(shape)))
    conditions += [_metadata_condition(index, key) for index, key in enumerate(shape.metadata)]
    return conditions


def compiled(select_: Select[Any], shape: Shape) -> Statement:
    """A SELECT with the conditions of a shape, compiled.

    An index of a key is taken only for its path as a literal. That may have any characters, of which some
    mean something to SQLAlchemy: a word stands for it up to here.
    """
    statement = positional(select_)
    return statement._replace(sql=with_literals(statement.sql, shape))


def with_literals(sql: str, shape: Shape) -> str:
    """The SQL with the paths of the keys that have an index in the places of the words that stand for them."""
    paths = [key.path for key in shape.metadata]

    def literal(found: re.Match[str]) -> str:
        path = paths[int(found[2])] or ""
        return indexes.quoted(path if found[1] == "path" else key_in(path))

    return re.sub(r"'(path|key) (\d+)'", literal, sql)


@cache
def _select_tasks(shape: Shape) -> Statement:
    conditions = conditions_of(shape)
    if shape.count:
        return compiled(select(func.count()).select_from(tasks).where(*conditions), shape)
    order = ROWID.desc() if shape.newest_first else ROWID
    page = select(tasks).where(*conditions).order_by(order)
    return compiled(page.limit(bindparam("limit")).offset(bindparam("offset")), shape)


def _rowids_by_time(shape: Shape) -> Select[int]:
    """The tasks of a stretch of time, found by its index.

    As a query of its own: SQLite, which may take either the index or the order of submission, prefers
    the order, and reads the whole history for what was submitted in the last minute.
    """
    in_time = tasks.alias("in_time")
    chosen: Select[int] = select(literal_column("in_time.rowid")).select_from(in_time)
    return chosen.where(*_times(shape, in_time.c.created_at))


def _times(shape: Shape, created_at: ColumnElement[str]) -> list[ColumnElement[bool]]:
    """The conditions on the time of submission."""
    after = [created_at >= bindparam("created_after")] if shape.created_after else []
    before = [created_at < bindparam("created_before")] if shape.created_before else []
    return after + before


def metadata_value(value: Any) -> tuple[str, Any]:
    """How to compare a value, and the value to bind."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63:
        return "number", value
    text = encode_value(value)
    return "json", f"[{text},{text}]"


def _spellings(number: float) -> str:
    """The texts under which an index has a number, as a JSON array: 1 is 1.0 as well, and 0 even -0.0."""
    same = [int(number), float(number), -float(number)] if number == int(number) else [number]
    texts = dict.fromkeys(encode_value(one) for one in same if one == number)
    return json.dumps([f"[{text},{text}]" for text in texts])


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


def shape_of(
    task_filter: TaskFilter, indexed: frozenset[str] = frozenset(), *, count: bool = False, newest_first: bool = False
) -> tuple[Shape, dict[str, Any]]:
    """The conditions of a filter, and the values that go with them."""
    statuses = task_filter.statuses
    values: dict[str, Any] = {f"status_{index}": status for index, status in enumerate(statuses or ())}
    if task_filter.name is not None:
        values["name"] = storable(task_filter.name)
    if task_filter.created_after is not None:
        values["created_after"] = time_text(task_filter.created_after)
    if task_filter.created_before is not None:
        values["created_before"] = time_text(task_filter.created_before)
    if task_filter.parent_id is not None:
        values["parent"] = storable(task_filter.parent_id)
    if task_filter.quiet_since is not None:
        values["quiet_since"] = time_text(task_filter.quiet_since)
    if statuses == (TaskStatus.RUNNING,) or task_filter.quiet_since is not None:
        # Few tasks run at a time: their own index is the better one.
        indexed = frozenset()
    keys = []
    for index, (key, wanted) in enumerate(task_filter.metadata.items()):
        kind, value = metadata_value(wanted)
        path = metadata_path(key)
        values |= {f"path_{index}": path, f"key_{index}": key_in(path), f"value_{index}": value}
        if path in indexed and kind == "number":
            values[f"spellings_{index}"] = _spellings(value)
        keys.append(KeyShape(kind, path if path in indexed else None))
    shape = Shape(
        count=count,
        statuses=None if statuses is None else len(statuses),
        name=task_filter.name is not None,
        metadata=tuple(keys),
        created_after=task_filter.created_after is not None,
        created_before=task_filter.created_before is not None,
        newest_first=newest_first,
        parent=task_filter.parent_id is not None,
        quiet=task_filter.quiet_since is not None,
    )
    return shape, values


def bound(statement: Statement, values: dict[str, Any]) -> Query:
    """A statement with its values, in its order."""
    return Query(statement.sql, tuple(values[name] for name in statement.parameters))


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
        *(func.sum(tasks.c.status == _literal(status)) for status in sorted(ENDED)),
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
