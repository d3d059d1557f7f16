"""What an address asks for, and the address of what is asked for: filters, orders, places, periods.

All of a page's addresses are relative and of one level, so that they are right wherever the page is mounted,
and whatever prefix a proxy in front of it adds or strips.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from ailf.async_tasks.journal.reading.reports import NO_TYPE, Order, Place, Wanted, place_of
from ailf.async_tasks.moments import length_of, moment_of
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.async_tasks.texts import line
from ailf.async_tasks.typed import typed_metadata
from ailf.errors import InvalidArgumentError

LONGEST_VALUE = 2_000
"""How long a value in an address may be."""

Pairs = tuple[tuple[str, str], ...]


def address(view: str, pairs: Iterable[tuple[str, object]] | Mapping[str, object] = ()) -> str:
    """The relative address of a view, with what it asks for, but what is None, empty or too long for one."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    given = [(name, str(value)) for name, value in items if value not in (None, "")]
    given = [(name, value) for name, value in given if len(value) <= LONGEST_VALUE]
    query = urlencode([(name, value.encode("utf-8", "backslashreplace")) for name, value in given])
    return f"{view or './'}?{query}" if query else view or "./"


def exactly(name: str) -> str:
    """A name as a filter has it: a star in it is itself."""
    return name.replace("*", r"\*")


def one(pairs: Pairs, name: str) -> str | None:
    """The value of a parameter; None where it is not given or empty.

    Raises:
        InvalidArgumentError: it is too long.
    """
    return next(iter(several(pairs, name)[:1]), None)


def several(pairs: Pairs, name: str) -> list[str]:
    """The values of a parameter that may be given several times, but empty ones.

    Raises:
        InvalidArgumentError: one is too long.
    """
    return [_bounded(name, value) for key, value in pairs if key == name and value]


def _bounded(name: str, value: str) -> str:
    if len(value) > LONGEST_VALUE:
        raise InvalidArgumentError(f"{name} has {len(value)} characters; give {LONGEST_VALUE} at most.")
    return value


def chosen_moment(pairs: Pairs, name: str, now: datetime) -> datetime | None:
    """The time that a parameter names: see ``moment_of``.

    Raises:
        InvalidArgumentError: it is no time.
    """
    text = one(pairs, name)
    return None if text is None else moment_of(text, name, now)


def chosen_length(pairs: Pairs, name: str) -> timedelta | None:
    """The length of time that a parameter names.

    Raises:
        InvalidArgumentError: it is none.
    """
    text = one(pairs, name)
    return None if text is None else length_of(text, name)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which tasks in which order, as an address says."""

    wanted: Wanted
    order: Order
    descending: bool
    after: Place | None
    pairs: Pairs
    """The address's own words, without the place."""


def asked(pairs: Pairs, now: datetime) -> Asked:
    """What the address of a list of tasks asks for.

    Raises:
        InvalidArgumentError: something in it makes no sense.
    """
    error_type = one(pairs, "error_type")
    wanted = Wanted(
        statuses=_statuses(several(pairs, "state")),
        name=tuple(several(pairs, "name")) or None,
        reasons=_reasons(several(pairs, "reason")),
        text=one(pairs, "text"),
        metadata=typed_metadata(metadata_items(pairs)),
        created_after=chosen_moment(pairs, "since", now),
        created_before=chosen_moment(pairs, "until", now),
        ended_after=chosen_moment(pairs, "ended_since", now),
        ended_before=chosen_moment(pairs, "ended_until", now),
        parent_id=one(pairs, "parent"),
        error_type=None if error_type is None else error_type.removeprefix(NO_TYPE),
        kind=one(pairs, "kind"),
    )
    has_end = wanted.ended_after is not None or wanted.ended_before is not None
    order = _one_of(Order, one(pairs, "sort") or (Order.ENDED if has_end else Order.CREATED), "sort")
    way = one(pairs, "order") or ("asc" if order is Order.NAME else "desc")
    if way not in ("asc", "desc"):
        raise InvalidArgumentError(f"order is {line(way, 60)!r}; give asc or desc.")
    place = one(pairs, "after")
    after = None if place is None else place_of(place, order)
    return Asked(wanted, order, way == "desc", after, _kept(pairs))


def _statuses(names: Iterable[str]) -> tuple[TaskStatus, ...] | None:
    found = tuple(_one_of(TaskStatus, name.lower(), "state") for name in names)
    return found or None


def _one_of(kind: Any, value: str, name: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        every = ", ".join(kind)
        raise InvalidArgumentError(f"{name} is {line(value, 60)!r}; give one of {every}.") from None


def _reasons(names: Iterable[str]) -> tuple[Reason, ...] | None:
    found = tuple(_one_of(Reason, name.lower(), "reason") for name in names)
    return found or None


def metadata_items(pairs: Pairs) -> list[tuple[str, str]]:
    """The keys of the metadata that an address names, each with the value that follows it, which may be empty.

    Raises:
        InvalidArgumentError: one is too long.
    """
    items: list[tuple[str, str]] = []
    for name, value in pairs:
        if name == "key":
            items.append((_bounded(name, value), ""))
        elif name == "value" and items:
            items[-1] = (items[-1][0], _bounded(name, value))
    return [(key, value) for key, value in items if key]


def _kept(pairs: Pairs) -> Pairs:
    """The pairs that mean something, without the place; a value whose key is empty would be another key's."""
    kept, has_key = [], False
    for name, value in pairs:
        has_key = bool(value) if name == "key" else has_key
        if value and name != "after" and (name != "value" or has_key):
            kept.append((name, value))
    return tuple(kept)
