"""By what tasks are chosen: the conditions of every call that chooses some, checked and made into a value."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict, TypeVar, Unpack

from ailf.async_tasks.arguments import Seconds, known_task_id, member, metadata_text, seconds, shown, task_name
from ailf.async_tasks.model import AnyOf, MetadataKey, TaskFilter
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.errors import InvalidArgumentError, InvalidTypeError

Choice = TypeVar("Choice", bound=StrEnum)
StatusArgument = TaskStatus | str | Iterable[TaskStatus | str] | None


class Conditions(TypedDict, total=False):
    """By what tasks are chosen, by every call that chooses some; of several conditions each must hold.

    One that is left out, or None, is none.
    """

    name: str | Iterable[str] | None
    r"""This name, or any of several; a ``*`` in one stands for anything, and ``\*`` for a star."""
    metadata: Mapping[Any, Any] | None
    """Each of these keys with its value, or any of several values where they are a set. A tuple is keys that lie in
    one another: ``{("user", "plan"): {"pro", "team"}}``."""
    created_after: datetime | None
    """Submitted then or later; a naive datetime is local time."""
    created_before: datetime | None
    """Submitted before then."""
    ended_after: datetime | None
    """Ended then or later, in whichever end state; a naive datetime is local time."""
    ended_before: datetime | None
    """Ended before then."""
    reason: Reason | str | Iterable[Reason | str] | None
    """Failed or cancelled for this reason, by its name in any case, or for any of several."""
    parent: str | None
    """Submitted inside of this task."""
    quiet_for: Seconds | None
    """Running, and without a word for so long, in seconds or as a timedelta: no event, no line in its log."""


def _ago(value: object, what: str) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(value, what))
    except OverflowError:
        raise InvalidArgumentError(f"{what} is {shown(value)}: no calendar goes back so far.") from None


def task_filter(status: StatusArgument = None, **conditions: Unpack[Conditions]) -> TaskFilter:
    """The conditions of ``list_tasks`` as a value.

    Raises:
        InvalidTypeError: one of them is of a wrong type.
        InvalidArgumentError: there is no such status, metadata is no JSON, or a length of time is not above 0.
    """
    if unknown := conditions.keys() - Conditions.__annotations__.keys():
        raise InvalidTypeError(
            f"there is no condition {', '.join(sorted(unknown))}; see Conditions for those there are."
        )
    parent, quiet_for = conditions.get("parent"), conditions.get("quiet_for")
    return TaskFilter(
        statuses=_several(TaskStatus, status, "status"),
        names=_names(conditions.get("name")),
        metadata=_wanted_metadata(conditions.get("metadata")),
        created_after=_moment(conditions.get("created_after"), "created_after"),
        created_before=_moment(conditions.get("created_before"), "created_before"),
        ended_after=_moment(conditions.get("ended_after"), "ended_after"),
        ended_before=_moment(conditions.get("ended_before"), "ended_before"),
        reasons=_several(Reason, conditions.get("reason"), "reason"),
        parent_id=None if parent is None else known_task_id(parent, "parent"),
        quiet_since=None if quiet_for is None else _ago(quiet_for, "quiet_for"),
    )


def _several(enum: type[Choice], value: object, what: str) -> tuple[Choice, ...] | None:
    """One of an enum's members, by its name in any case, or several; in the enum's own order."""
    if value is None:
        return None
    if isinstance(value, str):
        return (member(enum, value, what),)
    if not isinstance(value, Iterable):
        raise InvalidTypeError(f"{what} is {shown(value)}; give a {enum.__name__}, its name, or several of these.")
    chosen = {member(enum, one, what) for one in value}
    return tuple(one for one in enum if one in chosen)


def _names(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable):
        raise InvalidTypeError(f"name is {shown(value)}; give text, several texts, or leave it out.")
    return tuple(dict.fromkeys(task_name(one) for one in value))


def _wanted_metadata(value: object) -> dict[MetadataKey, Any]:
    """Which values under which keys are wanted.

    Raises:
        InvalidTypeError: it is no dict, a key is neither text nor several texts, or JSON has nothing for a value.
        InvalidArgumentError: a value has a NaN, an infinity, a reference to itself, or too many levels.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidTypeError(f"metadata is {shown(value)}; give a dict of keys and values, or None.")
    wanted: dict[MetadataKey, Any] = {}
    for key, one in value.items():
        for place in key if isinstance(key, AnyOf) else (key,):
            parts = place if isinstance(place, tuple) else (place,)
            if not parts or not all(isinstance(part, str) for part in parts):
                raise InvalidTypeError(f"metadata has the key {shown(key)}; give text, or a tuple of texts.")
        several = AnyOf(one) if isinstance(one, set | frozenset | AnyOf) else None
        for each in (one,) if several is None else several:
            metadata_text({"": each})
        wanted[key] = one if several is None else several
    return wanted


def _moment(value: object, what: str) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise InvalidTypeError(f"{what} is {shown(value)}; give a datetime, which is local time where it is naive.")
    try:
        return value.astimezone(UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidArgumentError(f"{what} is {shown(value)}, which is no time in UTC: {error}.") from error
