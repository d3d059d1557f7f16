"""Between the journal's columns and Python's values, in both directions: times, texts, JSON, whole rows."""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import repeat
from operator import call
from typing import Any

from ailf.async_tasks.encoding import Coder, decode_anyway, decode_json, decode_result, encode_value
from ailf.async_tasks.guard import log
from ailf.async_tasks.model import Microseconds, TaskEvent, TaskInfo
from ailf.async_tasks.states import EventKind, Reason, ResultFormat, TaskStatus

UNDECODABLE = "undecodable"
"""The key under which metadata is shown that is no JSON object."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSPELLABLE = re.compile('["\\\\\x00-\x1f\ud800-\udfff]')


def microseconds_text(at: Microseconds) -> str:
    """The same for a time that is counted."""
    second, fraction = divmod(at, 1_000_000)
    return f"{_second_text(second)}.{fraction:06d}Z"


@lru_cache(maxsize=16)
def _second_text(second: int) -> str:
    # The times of a batch are of a few seconds, each of which is put into words once.
    return (_EPOCH + timedelta(seconds=second)).isoformat(timespec="seconds")[:19]


def time_of(text: str | None) -> datetime | None:
    """The time that a text of the journal stands for; None for one that stands for none."""
    if text is None:
        return None
    try:
        return _moment(text)
    except (ValueError, OverflowError):
        return None


def moment_of(text: str | None) -> datetime:
    """The same where there has to be one: for a text that stands for none, the beginning of 1970."""
    return time_of(text) or _EPOCH


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is UTC:
        return moment
    # Written by somebody else, who may have taken it from SQLite's own clock, which is in UTC and does not say so.
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def encode_metadata(metadata: Mapping[str, Any]) -> str:
    """Metadata as JSON text with sorted keys, so that equal metadata is equal text.

    Raises:
        TypeError: a key is not text, or JSON has nothing for a type in it.
        ValueError: it has a NaN, an infinity, a reference to itself, or too many levels.
    """
    items = sorted(metadata.items())
    return "{" + ",".join(f'"{spelled_key(key)}":{encode_value(value)}' for key, value in items) + "}"


def spelled_key(key: str) -> str:
    r"""A key as it stands between the quotes, in the JSON text and in a JSON path alike.

    SQLite before 3.45 finds a key by comparing the two spellings, and ends a quoted one at the next
    quote; so quotes and backslashes have the one spelling that has neither: ``\u0022``, ``\u005c``.

    Raises:
        TypeError: the key is not text.
    """
    if not isinstance(key, str):
        raise TypeError(f"its key {key!r} is not text")
    return _UNSPELLABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", key)


def metadata_path(*keys: str) -> str:
    """The JSON path of a key, or of keys that lie in one another (https://sqlite.org/json1.html#path_arguments)."""
    return "$" + "".join(f'."{spelled_key(key)}"' for key in keys)


def key_in(path: str) -> str:
    """The key of such a path as it stands in the JSON text, quotes included."""
    return path.removeprefix("$.")


_STATUSES: Mapping[str, TaskStatus] = {status.value: status for status in TaskStatus}
_REASONS: Mapping[str | None, Reason | None] = {None: None} | {reason.value: reason for reason in Reason}
_FORMATS: Mapping[str | None, ResultFormat | None] = {None: None} | {known.value: known for known in ResultFormat}
_NUMBERS = frozenset({int, float})


def status_of(text: str, *, has_ended: bool) -> TaskStatus:
    """The state that a text stands for; for one that there is not, the nearest that there is.

    Args:
        text: as the journal has it.
        has_ended: whether the journal has a time of the task's end.
    """
    return _STATUSES.get(text) or (TaskStatus.FAILED if has_ended else TaskStatus.RUNNING)


def reason_of(text: str | None) -> Reason | None:
    """The reason that a text stands for; None for one that there is not."""
    return _REASONS.get(text)


def format_of(text: str | None) -> ResultFormat | None:
    """The same for a form of a result."""
    return _FORMATS.get(text)


def percentage_of(value: object) -> float:
    """The progress that a value stands for; 0 for what is none."""
    is_one = isinstance(value, int | float) and 0 <= value <= 100  # noqa: PLR2004 - a percentage
    return value if is_one else 0  # type: ignore[return-value]


_setters = [getattr(TaskInfo, column.name).__set__ for column in fields(TaskInfo)]
_run_through = deque[None](maxlen=0).extend


def _task_info(*values: Any) -> TaskInfo:
    """What ``TaskInfo(*values)`` makes, without the line of Python that a frozen dataclass runs for each field."""
    info = object.__new__(TaskInfo)
    _run_through(map(call, _setters, repeat(info), values))
    return info


def task_info(row: Sequence[Any], decoder: Coder | None = None) -> TaskInfo:
    """The task that a row of ``tasks`` stands for, its columns in the order of the table; never raises.

    Args:
        row: the row.
        decoder: makes the value of a result that the application's own encoder has made JSON of.
    """
    # fmt: off
    (
        task_id, name, status, reason, progress, message, created_at, started_at, completed_at, timeout, metadata,
        result, result_format, error, error_type, traceback, owner_id, cancel_requested_at, parent_id,
    ) = row
    # fmt: on
    try:
        return _task_info(
            task_id,
            name,
            _STATUSES[status],
            _REASONS[reason],
            progress if progress.__class__ in _NUMBERS else percentage_of(progress),
            message,
            _moment(created_at),
            None if started_at is None else _moment(started_at),
            None if completed_at is None else _moment(completed_at),
            timeout,
            {} if metadata == "{}" else decode_json(metadata),
            result if result is None else decode_result(result, result_format, decoder),
            _FORMATS[result_format],
            error,
            error_type,
            traceback,
            owner_id,
            None if cancel_requested_at is None else _moment(cancel_requested_at),
            parent_id,
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as problem:
        _warn(task_id, f"{type(problem).__qualname__}: {problem}"[:200])
        return _as_it_is(row)


@lru_cache(maxsize=1000)
def _warn(task_id: str, problem: str) -> None:
    # Each row once: whoever looks again and again is not told again and again.
    log.warning(
        "The journal holds something of the task %r that ailf has not written, and shows it as it is: %s",
        task_id,
        problem,
        extra={"task_id": task_id},
    )


def _as_it_is(row: Sequence[Any]) -> TaskInfo:
    """A task of whose row somebody else has written a part: what cannot be decoded is shown as its text."""
    cells = dict(zip((field.name for field in fields(TaskInfo)), row, strict=True))
    for column in ("started_at", "completed_at", "cancel_requested_at"):
        cells[column] = time_of(cells[column])
    cells["created_at"] = time_of(cells["created_at"]) or cells["started_at"] or cells["completed_at"] or _EPOCH
    if cells["status"] not in _STATUSES:
        cells["error"] = unknown_status(cells["status"])
    cells["status"] = status_of(cells["status"], has_ended=cells["completed_at"] is not None)
    cells["reason"] = reason_of(cells["reason"])
    cells["progress"] = percentage_of(cells["progress"])
    metadata = decode_anyway(cells["metadata"])
    cells["metadata"] = metadata if isinstance(metadata, dict) else {UNDECODABLE: cells["metadata"]}
    if cells["result"] is not None and cells["result_format"] != ResultFormat.REPR:
        cells["result"] = decode_anyway(cells["result"])
    cells["result_format"] = format_of(cells["result_format"])
    return TaskInfo(**cells)


def unknown_status(text: str) -> str:
    """What is said of a task whose state there is not."""
    return f"the journal has the status {text!r}, which there is not"


_KINDS: Mapping[str, EventKind] = {kind.value: kind for kind in EventKind}


def task_event(row: Sequence[Any]) -> TaskEvent:
    """The event that a row of ``task_events`` stands for; never raises."""
    seq, task_id, at, kind, progress, message = row
    return TaskEvent(
        seq=seq,
        task_id=task_id,
        at=moment_of(at),
        kind=_KINDS.get(kind, EventKind.LEFT_OUT),
        progress=None if progress is None else percentage_of(progress),
        message=message,
    )
