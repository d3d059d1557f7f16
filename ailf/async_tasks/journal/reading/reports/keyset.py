"""Pages of tasks by key: the millionth row costs what the first one does.

Where an index has the order that is asked for, a page is a walk along it from the last row of the page before.
Where none has, the newest so many of the tasks are gathered and sorted, and the page says so. What no index helps
with, a part of a text for one, is looked for among so many tasks at a time: such a page may be short, and the next
one goes on from where the search was given up. So no page, of any journal, looks at more than ``REACH`` tasks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any

from ailf.async_tasks.journal.form import storable, time_text
from ailf.async_tasks.journal.reading.filters import Query, Shape, condition_sql, shape_of
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import LINE, Line, line_of
from ailf.async_tasks.model import TaskFilter
from ailf.async_tasks.states import ENDED, Reason, TaskStatus

REACH = 10_000
"""How many tasks one page looks at, or sorts, at most."""

FIRST_REACH = 500
"""How many it looks at first: mostly that is enough for a page."""

SLACK = timedelta(hours=1)
"""By how much the times of submission may disagree with its order: clocks step, and processes have several."""


class Order(StrEnum):
    """What a page is in the order of."""

    CREATED = "created"
    NAME = "name"
    STATUS = "status"
    ENDED = "ended"
    DURATION = "duration"
    PROGRESS = "progress"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks a page is about; what is None, or empty, is no condition."""

    statuses: tuple[TaskStatus, ...] | None = None
    name: str | tuple[str, ...] | None = None
    """This name, or any of several, in which a star stands for anything."""
    reasons: tuple[Reason, ...] | None = None
    text: str | None = None
    """A part of the id, the name, the message or the error, whatever its case."""
    metadata: Mapping[Any, Any] = field(default_factory=dict)
    """As in a ``TaskFilter``."""
    created_after: datetime | None = None
    created_before: datetime | None = None
    ended_after: datetime | None = None
    ended_before: datetime | None = None
    parent_id: str | None = None
    error_type: str | None = None
    kind: str | None = None
    """The error with its numbers and ids taken out: see ``kind_of``."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after this row."""

    key: str | float
    """What its row is sorted by."""
    rowid: int
    newest: int
    """The last task that there was when the first of the pages was read: what is sorted are those up to it."""
    at: str
    """When that was: up to then the unfinished ones have run."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some tasks, and how to go on."""

    lines: list[Line]
    following: Place | None
    """Where the next page begins; None is the end."""
    is_cut_short: bool
    """Whether the search was given up after ``REACH`` tasks: the next page goes on with it."""
    is_among_newest: bool
    """Whether these are in the order of the newest ``REACH`` alone, since no index has this order."""


# Each with its value for tasks that have none, below or above all others, so that they come last either way.
_GATHERED: dict[Order, tuple[str, str, str]] = {
    Order.ENDED: ("tasks.completed_at", "''", "'~'"),
    Order.DURATION: (
        "round((julianday(coalesce(tasks.completed_at, :at)) - julianday(tasks.started_at)) * 86400, 3)",
        "-1",
        "9e99",
    ),
    Order.NAME: ("tasks.name", "''", "'~'"),
    Order.STATUS: ("tasks.status", "''", "'~'"),
    Order.PROGRESS: ("tasks.progress", "-1", "9e99"),
}
_KEYS = {Order.NAME: "tasks.name", Order.STATUS: "tasks.status", Order.ENDED: "tasks.completed_at"}

# The plus signs keep SQLite from taking an index for what is only looked at.
_CONDITIONS = {
    "name": "+tasks.name = :name",
    "parent_id": "+tasks.parent_id = :parent_id",
    "text": (
        r"(tasks.name LIKE :text ESCAPE '\' OR tasks.id LIKE :text ESCAPE '\' "
        r"OR tasks.progress_message LIKE :text ESCAPE '\' OR tasks.error LIKE :text ESCAPE '\')"
    ),
    "created_after": "+tasks.created_at >= :created_after",
    "created_before": "+tasks.created_at < :created_before",
    "ended_after": "+tasks.completed_at >= :ended_after",
    "ended_before": "+tasks.completed_at < :ended_before",
    "error_type": "tasks.error_type IS nullif(:error_type, '')",
    "kind": "ailf_kind(tasks.error) = :kind",
}


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a page is read; what has the same plan has the same SQL."""

    order: Order
    descending: bool
    resumes: bool
    walks: bool
    """Whether an index has the order."""
    few: str | None
    """The condition that few tasks fit, by whose index they are found."""
    lanes: tuple[TaskStatus, ...] | None
    """The states along each of which there is a walk; None is one walk through all."""
    statuses: int | None
    given: tuple[str, ...]
    others: Shape
    """What else is looked at: names with stars, reasons, metadata."""
    key_shape: Shape | None
    """The metadata, where a key of it has an index that finds the tasks."""

    @property
    def is_exact(self) -> bool:
        """Whether each task that is walked along is one of the wanted."""
        walked = {"ended_after", "ended_before"} if self.order is Order.ENDED else {self.few}
        has_states = self.statuses is None or self.lanes is not None
        return self.walks and has_states and self.others == Shape() and walked.issuperset(self.given)


def page(
    reader: Reader,
    wanted: Wanted,
    order: Order,
    *,
    descending: bool,
    limit: int,
    after: Place | None,
    at: datetime,
) -> Page:
    """Some of the tasks that are wanted.

    Args:
        reader: reads the journal.
        wanted: which tasks.
        order: by what they are sorted; by their end, only those that have ended.
        descending: the highest first.
        limit: at most so many.
        after: where the page before this one said that it begins; None is the first page.
        at: now, for those that have not ended.

    Raises:
        JournalError: the journal cannot be read.
    """
    plan, values = _planned(reader, wanted, order, descending=descending, resumes=after is not None)
    lowest, highest, newest = _bounds(reader, wanted)
    first = after or Place(0, 0, newest, time_text(at))
    values |= {"key": first.key, "rowid": first.rowid, "at": first.at, "lowest": lowest}
    values |= {"highest": highest if plan.walks else min(highest, first.newest)}
    values |= {"limit": limit + 1}
    for window in _windows(plan, limit):
        rows = reader.rows(Query(_page_sql(plan), values | {"window": window}))
        if len(rows) > limit:
            break
    shown, is_full = rows[:limit], len(rows) > limit
    last = None
    if not plan.is_exact and not (plan.walks and is_full):
        last = next(
            iter(reader.rows(Query(_last_looked_at_sql(plan), values | {"window": REACH, "skipped": REACH - 1}))), None
        )
    is_cut_short = plan.walks and last is not None
    end = shown[-1] if is_full else last if is_cut_short else None
    return Page(
        lines=[line_of(row[2:]) for row in shown],
        following=None if end is None else Place(end[0], end[1], first.newest, first.at),
        is_cut_short=is_cut_short,
        is_among_newest=not plan.walks and last is not None,
    )


def _windows(plan: _Plan, limit: int) -> list[int]:
    """How many tasks are looked at, and how many where that was not enough."""
    if plan.is_exact:
        return [limit + 1]
    return [FIRST_REACH, REACH] if plan.walks and FIRST_REACH < REACH else [REACH]


_NEWEST_ROW = "SELECT coalesce(max(rowid), 0) FROM tasks"
_FIRST_SINCE = "SELECT rowid FROM tasks WHERE created_at >= ? ORDER BY created_at LIMIT 1"
_LAST_BEFORE = "SELECT rowid FROM tasks WHERE created_at < ? ORDER BY created_at DESC LIMIT 1"


def _bounds(reader: Reader, wanted: Wanted) -> tuple[int, int, int]:
    """Between which rows the wanted ones are, and which is the last of all."""
    [(newest,)] = reader.rows(Query(_NEWEST_ROW, ()))
    lowest, highest = 0, newest
    if wanted.created_after is not None:
        begin = time_text(_moved(wanted.created_after, -SLACK))
        lowest = next((row for (row,) in reader.rows(Query(_FIRST_SINCE, (begin,)))), newest + 1)
    if wanted.created_before is not None:
        end = time_text(_moved(wanted.created_before, SLACK))
        highest = next((row for (row,) in reader.rows(Query(_LAST_BEFORE, (end,)))), 0)
    return lowest, highest, newest


def _moved(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment


def _planned(
    reader: Reader, wanted: Wanted, order: Order, *, descending: bool, resumes: bool
) -> tuple[_Plan, dict[str, Any]]:
    """How the page is read, and the values of its conditions by the names of their parameters."""
    names = (wanted.name,) if isinstance(wanted.name, str) else wanted.name
    # A single name has an index that finds its tasks.
    single = names[0] if names is not None and len(names) == 1 and "*" not in names[0] else None
    values: dict[str, Any] = {} if single is None else {"name": storable(single)}
    for name in _CONDITIONS.keys() - {"name"}:
        value = getattr(wanted, name, None)
        if value is not None:
            values[name] = time_text(value) if isinstance(value, datetime) else storable(value)
    given = tuple(name for name in _CONDITIONS if name in values)
    if wanted.text is not None:
        values["text"] = f"%{_escaped(values['text'])}%"
    chosen = None if wanted.statuses is None else tuple(sorted(set(wanted.statuses)))
    values |= {f"status_{index}": str(status) for index, status in enumerate(chosen or ())}
    looked_at = TaskFilter(names=names if single is None else None, reasons=wanted.reasons, metadata=wanted.metadata)
    shape, other_values = shape_of(looked_at, reader.indexed_paths())
    values |= other_values
    few = next((name for name in ("parent_id", "name") if name in given), None)
    has_index = shape.has_key_index and few is None
    is_few = has_index or few is not None
    walks = order is Order.CREATED or (order in _KEYS and not is_few)
    lanes = None if is_few or (walks and order is not Order.CREATED) else chosen
    if order is Order.ENDED and walks:
        lanes = tuple(sorted(ENDED.intersection(chosen or ENDED)))
    plan = _Plan(
        order=order,
        descending=descending,
        resumes=resumes,
        walks=walks,
        few=few,
        lanes=lanes,
        statuses=None if chosen is None else len(chosen),
        given=given,
        others=replace(shape, metadata=tuple(key._replace(path=None) for key in shape.metadata)),
        key_shape=Shape(statuses=shape.statuses, metadata=shape.metadata) if has_index else None,
    )
    return plan, values


def _escaped(text: str) -> str:
    for letter in "\\%_":
        text = text.replace(letter, f"\\{letter}")
    return text


@cache
def _page_sql(plan: _Plan) -> str:
    """The page itself: what is looked at, in its order, and of that what fits every condition."""
    conditions = [_CONDITIONS[name] for name in plan.given]
    conditions += [condition_sql(plan.others)] if plan.others != Shape() else []
    if plan.statuses is not None:
        named_states = ", ".join(f":status_{index}" for index in range(plan.statuses))
        conditions.append(f"+tasks.status IN ({named_states})")
    key = "looked_at.key"
    if not plan.walks:
        value, lowest, highest = _GATHERED[plan.order]
        key = f"coalesce({value}, {lowest if plan.descending else highest})"
        if plan.resumes:
            conditions.append(f"({key}, tasks.rowid) {_beyond(plan)} (:key, :rowid)")
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    # CROSS keeps the order of the two: SQLite has been seen to read a whole index instead.
    return f"""\
WITH looked_at(key, place) AS MATERIALIZED ({_looked_at(plan)})
SELECT {key} AS key, tasks.rowid AS place, {LINE}
FROM looked_at CROSS JOIN tasks ON tasks.rowid = looked_at.place
{where}
ORDER BY 1 {_way(plan)}, 2 {_way(plan)} LIMIT :limit"""


@cache
def _last_looked_at_sql(plan: _Plan) -> str:
    """The last of the tasks that the page looked at, if there were as many as it looks at."""
    walk = plan if plan.walks else _gathering(plan)
    return f"SELECT * FROM ({_looked_at(plan)}) ORDER BY 1 {_way(walk)}, 2 {_way(walk)} LIMIT 1 OFFSET :skipped"


def _way(plan: _Plan) -> str:
    return "DESC" if plan.descending else "ASC"


def _beyond(plan: _Plan) -> str:
    return "<" if plan.descending else ">"


def _gathering(plan: _Plan) -> _Plan:
    """The walk that gathers what is sorted: from the newest on."""
    return _Plan(
        Order.CREATED,
        descending=True,
        resumes=False,
        walks=True,
        few=plan.few,
        lanes=plan.lanes,
        statuses=plan.statuses,
        given=plan.given,
        others=plan.others,
        key_shape=plan.key_shape,
    )


def _looked_at(plan: _Plan) -> str:
    """The tasks that are looked at, each as the key that it is walked along by, and its row."""
    walk = plan if plan.walks else _gathering(plan)
    walks = [text for status in walk.lanes or [None] for text in _walks(walk, status)] if walk.lanes != () else []
    if not walks:
        return "SELECT 0, 0 LIMIT 0"
    if len(walks) == 1:
        return walks[0]
    together = " UNION ALL ".join(f"SELECT * FROM ({text})" for text in walks)
    return f"{together} ORDER BY 1 {_way(walk)}, 2 {_way(walk)} LIMIT :window"


def _walks(plan: _Plan, status: TaskStatus | None) -> list[str]:
    """The walks along an index, or along the order of submission, from the row before on."""
    conditions = [] if status is None else [f"tasks.status = '{status}'"]
    if plan.order is Order.CREATED:
        conditions += ["tasks.rowid BETWEEN :lowest AND :highest"]
        if plan.few is not None:
            conditions += [_CONDITIONS[plan.few].removeprefix("+")]
        if plan.key_shape is not None:
            conditions += [f"tasks.rowid IN (SELECT rowid FROM tasks WHERE {condition_sql(plan.key_shape)})"]
        if plan.resumes:
            conditions += [f"tasks.rowid {_beyond(plan)} :rowid"]
        return [_walk(plan, "tasks.rowid", conditions)]
    key = _KEYS[plan.order]
    if plan.order is Order.ENDED:
        conditions += [_CONDITIONS[name].removeprefix("+") for name in plan.given if name.startswith("ended_")]
        conditions += ["tasks.completed_at IS NOT NULL"]
    if not plan.resumes:
        return [_walk(plan, key, conditions)]
    # Apart, since SQLite would go through all that have the same key to find the row to go on from.
    same = [f"{key} = :key", f"tasks.rowid {_beyond(plan)} :rowid"]
    return [_walk(plan, key, conditions + same), _walk(plan, key, [*conditions, f"{key} {_beyond(plan)} :key"])]


def _walk(plan: _Plan, key: str, conditions: list[str]) -> str:
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    order = key if key == "tasks.rowid" else f"{key} {_way(plan)}, tasks.rowid"
    return f"SELECT {key}, tasks.rowid FROM tasks {where}ORDER BY {order} {_way(plan)} LIMIT :window"
