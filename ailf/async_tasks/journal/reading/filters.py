"""Which tasks: a filter as conditions of SQL, made once for each combination of them, and the values bound to it."""

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, false, func, literal_column, or_, select, union_all

from ailf.async_tasks.journal.form import (
    Statement,
    encode_value,
    indexes,
    key_in,
    last_said_sql,
    metadata_path,
    named,
    positional,
    spelled_key,
    storable,
    tasks,
    time_text,
)
from ailf.async_tasks.model import AnyOf, MetadataKey, TaskFilter
from ailf.async_tasks.states import ENDED, TaskStatus

Row = tuple[Any, ...]

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
    term: int | None = None
    """Those of the same number are in one condition, of which any has to hold; None stands alone."""


class NameShape(Enum):
    """How a name is compared."""

    ONE = "one"
    PATTERN = "pattern"
    ANY = "any"
    ANY_PATTERN = "any pattern"


@dataclass(frozen=True, slots=True)
class Shape:
    """Which conditions a SELECT has, without their values."""

    count: bool = False
    statuses: int | None = None
    name: NameShape | None = None
    metadata: tuple[KeyShape, ...] = ()
    created_after: bool = False
    created_before: bool = False
    newest_first: bool = False
    parent: bool = False
    quiet: bool = False
    ended_after: bool = False
    ended_before: bool = False
    reasons: int | None = None

    @property
    def has_key_index(self) -> bool:
        """Whether a key of the metadata goes by an index of its own."""
        return any(key.path is not None for key in self.metadata)


def literal(word: str) -> ColumnElement[Any]:
    """A word of SQLite's own, as it stands in the SQL text."""
    return literal_column(f"'{word}'")


_RUNNING: ColumnElement[bool] = tasks.c.status == literal(TaskStatus.RUNNING)
_LAST_SAID: ColumnElement[str] = literal_column(last_said_sql())
"""When a task last said anything: the time of its last event, or of the last line in its log."""


def _metadata_condition(index: int, key: KeyShape) -> ColumnElement[bool]:
    """One key of the metadata having one value."""
    metadata = tasks.c.metadata
    path: ColumnElement[str] = bindparam(f"path_{index}")
    spelled: ColumnElement[str] = bindparam(f"key_{index}")
    value: ColumnElement[Any] = bindparam(f"value_{index}")
    if key.path is not None:
        path, spelled = literal(f"path {index}"), literal(f"key {index}")
    # Since 3.45 SQLite takes a key for another one that goes on with a NUL: it has to stand in the text as well.
    is_there = and_(func.instr(metadata, spelled) > literal_column("0"), func.json_type(metadata, path).is_not(None))
    if key.kind == "number":
        number = and_(
            func.json_extract(metadata, path) == value,
            func.json_type(metadata, path).in_([literal("integer"), literal("real")]),
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
        is_residual = shape.name is not None or shape.has_key_index or shape.parent
        status: ColumnElement[str] = literal_column("+tasks.status") if is_residual else tasks.c.status
        conditions.append(status.in_(chosen) if chosen else false())
    if shape.name is not None:
        conditions.append(_name_condition(shape.name))
    if shape.reasons is not None:
        reasons: list[ColumnElement[str]] = [bindparam(f"reason_{index}") for index in range(shape.reasons)]
        conditions.append(tasks.c.reason.in_(reasons) if reasons else false())
    if shape.parent:
        conditions.append(tasks.c.parent_id == bindparam("parent"))
    if shape.quiet:
        conditions += [_RUNNING, bindparam("quiet_since") > _LAST_SAID]
    if shape.has_key_index:
        conditions += _times(shape, literal_column("+tasks.created_at"))
    elif shape.created_after or shape.created_before:
        conditions.append(ROWID.in_(_rowids_by_time(shape)))
    if shape.has_key_index:
        conditions += _end_times(shape, literal_column("+tasks.completed_at"))
    elif shape.ended_after or shape.ended_before:
        conditions.append(ROWID.in_(_rowids_by_end(shape)))
    return conditions + _metadata_conditions(shape)


def _name_condition(name: NameShape) -> ColumnElement[bool]:
    if name is NameShape.ONE:
        return tasks.c.name == bindparam("name")
    if name is NameShape.PATTERN:
        return tasks.c.name.op("GLOB")(bindparam("name"))
    each = func.json_each(bindparam("name")).table_valued("value").c.value
    if name is NameShape.ANY:
        return tasks.c.name.in_(select(each))
    return select(literal_column("1")).where(tasks.c.name.op("GLOB")(each)).correlate(tasks).exists()


def _metadata_conditions(shape: Shape) -> list[ColumnElement[bool]]:
    terms: dict[int, list[ColumnElement[bool]]] = {}
    for index, key in enumerate(shape.metadata):
        term = -index - 1 if key.term is None else key.term
        terms.setdefault(term, []).append(_metadata_condition(index, key))
    return [or_(*alternatives) if len(alternatives) > 1 else alternatives[0] for alternatives in terms.values()]


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

    def path_or_key(found: re.Match[str]) -> str:
        path = paths[int(found[2])] or ""
        return indexes.quoted(path if found[1] == "path" else key_in(path))

    return re.sub(r"'(path|key) (\d+)'", path_or_key, sql)


def condition_sql(shape: Shape) -> str:
    """The conditions of a shape, at least one, as text with named parameters, to stand among others about ``tasks``."""
    # Of a whole SELECT, since the ones within are about the task that it looks at.
    text = named(select(literal_column("1")).select_from(tasks).where(*conditions_of(shape)))
    return f"({with_literals(text.partition('WHERE ')[2], shape)})"


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


def _rowids_by_end(shape: Shape) -> Select[int]:
    """The tasks that ended in a stretch of time, found by the index that has the end states one by one."""
    ended = tasks.alias("in_end")
    chosen: Select[int] = select(literal_column("in_end.rowid")).select_from(ended)
    states = [literal(status) for status in sorted(ENDED)]
    return chosen.where(ended.c.status.in_(states), *_end_times(shape, ended.c.completed_at))


def _end_times(shape: Shape, completed_at: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """The conditions on the time of the end."""
    after = [completed_at >= bindparam("ended_after")] if shape.ended_after else []
    before = [completed_at < bindparam("ended_before")] if shape.ended_before else []
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


def shape_of(
    task_filter: TaskFilter, indexed: frozenset[str] = frozenset(), *, count: bool = False, newest_first: bool = False
) -> tuple[Shape, dict[str, Any]]:
    """The conditions of a filter, and the values that go with them."""
    statuses, reasons = task_filter.statuses, task_filter.reasons
    values: dict[str, Any] = {f"status_{index}": status for index, status in enumerate(statuses or ())}
    values |= {f"reason_{index}": reason for index, reason in enumerate(reasons or ())}
    for what in ("created_after", "created_before", "ended_after", "ended_before", "quiet_since"):
        if (moment := getattr(task_filter, what)) is not None:
            values[what] = time_text(moment)
    name, wanted_name = _name_shape(task_filter.names)
    if name is not None:
        values["name"] = wanted_name
    if task_filter.parent_id is not None:
        values["parent"] = storable(task_filter.parent_id)
    if statuses == (TaskStatus.RUNNING,) or task_filter.quiet_since is not None:
        # Few tasks run at a time: their own index is the better one.
        indexed = frozenset()
    keys: list[KeyShape] = []
    for term, (key, wanted) in enumerate(task_filter.metadata.items()):
        alternatives = _alternatives(key, wanted)
        by_index = all(metadata_path(*place) in indexed for place, _ in alternatives)
        for place, one in alternatives:
            index = len(keys)
            kind, value = metadata_value(one)
            path = metadata_path(*place)
            values |= {f"path_{index}": path, f"key_{index}": f'"{spelled_key(place[0])}"', f"value_{index}": value}
            if by_index and kind == "number":
                values[f"spellings_{index}"] = _spellings(value)
            keys.append(KeyShape(kind, path if by_index else None, None if len(alternatives) == 1 else term))
        if not alternatives:
            statuses = ()
    shape = Shape(
        count=count,
        statuses=None if statuses is None else len(statuses),
        name=name,
        metadata=tuple(keys),
        created_after=task_filter.created_after is not None,
        created_before=task_filter.created_before is not None,
        newest_first=newest_first,
        parent=task_filter.parent_id is not None,
        quiet=task_filter.quiet_since is not None,
        ended_after=task_filter.ended_after is not None,
        ended_before=task_filter.ended_before is not None,
        reasons=None if reasons is None else len(reasons),
    )
    return shape, values


def _alternatives(key: MetadataKey, wanted: Any) -> list[tuple[tuple[str, ...], Any]]:
    """The places under which one of the values may lie; none where there is no value."""
    places = key if isinstance(key, AnyOf) else (key,)
    values = wanted if isinstance(wanted, AnyOf) else (wanted,)
    return [(place if isinstance(place, tuple) else (place,), value) for place in places for value in values]


def _name_shape(names: tuple[str, ...] | None) -> tuple[NameShape | None, str | None]:
    """How names are compared, and the value to bind."""
    if names is None:
        return None, None
    has_stars = any("*" in name for name in names)
    bound = [glob_of(name) if has_stars else storable(name) for name in names]
    if len(names) == 1:
        return (NameShape.PATTERN if has_stars else NameShape.ONE), bound[0]
    return (NameShape.ANY_PATTERN if has_stars else NameShape.ANY), json.dumps(bound)


def glob_of(name: str) -> str:
    r"""A name with stars as SQLite's GLOB has it: ``\*`` is a star, and what else means something there is itself."""
    return re.sub(r"\\\*|[*?\[]", lambda found: "*" if found[0] == "*" else f"[{found[0][-1]}]", storable(name))


def bound(statement: Statement, values: dict[str, Any]) -> Query:
    """A statement with its values, in its order."""
    return Query(statement.sql, tuple(values[name] for name in statement.parameters))
