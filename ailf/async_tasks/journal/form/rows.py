"""Between the journal's columns and Python's values, in both directions: times, texts, JSON, whole rows."""

import json
import re
import reprlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import repeat
from operator import call
from typing import Any, NamedTuple

from ailf.async_tasks.model import Microseconds, TaskEvent, TaskInfo
from ailf.async_tasks.states import EventKind, Reason, ResultFormat, TaskStatus
from ailf.errors import JournalError

MAX_JSON_DEPTH = 500
"""How deeply a value may be nested; SQLite's own parser stops at 1000 (https://sqlite.org/json1.html)."""

MAX_JSON_CHARACTERS = 200_000_000
"""How long a result's JSON may be; SQLite holds 1,000,000,000 bytes in a field (https://sqlite.org/limits.html)."""

MAX_REPR_CHARACTERS = 10_000
"""How long the ``repr`` of a result may be that JSON cannot hold."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SCALARS = frozenset({type(None), bool, int, float, str})
# Made once: json.dumps makes an encoder of its own for each call with options.
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_SORTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSPELLABLE = re.compile('["\\\\\x00-\x1f\ud800-\udfff]')


def time_text(moment: datetime) -> str:
    """A time in UTC as text of a fixed width, which sorts as the times do: ``2026-11-24T03:00:00.123456Z``."""
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def microseconds_text(at: Microseconds) -> str:
    """The same for a time that is counted."""
    second, fraction = divmod(at, 1_000_000)
    return f"{_second_text(second)}.{fraction:06d}Z"


@lru_cache(maxsize=16)
def _second_text(second: int) -> str:
    # The times of a batch are of a few seconds, each of which is put into words once.
    return (_EPOCH + timedelta(seconds=second)).isoformat(timespec="seconds")[:19]


def time_of(text: str | None) -> datetime | None:
    """The time that a text of the journal stands for."""
    return None if text is None else datetime.fromisoformat(text)


def storable(text: str) -> str:
    """The text as SQLite can hold it and its shell can show it: NUL and lone surrogates spelled out."""
    if text.isprintable():
        return text
    if "\0" in text:
        text = text.replace("\0", "\\x00")
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class EncodedResult(NamedTuple):
    """A result as the journal holds it."""

    text: str
    format: ResultFormat
    exact: bool
    """Whether reading the text gives back an equal value of the same types."""


_NOTHING = EncodedResult("null", ResultFormat.JSON, exact=True)


def encode_result(value: Any) -> EncodedResult:
    """Put a result into words, as JSON where that can hold it and as a bounded ``repr`` elsewhere; never raises."""
    if value is None:
        return _NOTHING
    try:
        text = encode_json(value)
        if len(text) <= MAX_JSON_CHARACTERS:
            exact = type(value) in _SCALARS or _is_exact(value)
            # Two surrogates, each a character of its own, come back as the one that the pair stands for.
            return EncodedResult(text, ResultFormat.JSON, exact=exact and "\\ud" not in text)
    except Exception:  # noqa: BLE001, S110 - a value may define anything; what it cannot do is fail the task
        pass
    return EncodedResult(bounded_repr(value), ResultFormat.REPR, exact=False)


def encode_json(value: Any) -> str:
    """A value as compact JSON text (RFC 8259), readable: only what SQLite cannot hold is escaped.

    Raises:
        TypeError: JSON has nothing for a type in it.
        ValueError: it has a NaN, an infinity, a reference to itself, or too many levels.
    """
    text = _COMPACT(value)
    if type(value) not in _SCALARS:
        _assert_depth(value)
    return _escape_surrogates(text)


def _escape_surrogates(text: str) -> str:
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _assert_depth(value: Any) -> None:
    # Level by level and not by recursion, which Python bounds by what the caller has left of its stack.
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [inner for outer in level for inner in _containers_in(outer)]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} levels deep")


def _containers_in(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return ()
    # Sets of types: a long list of plain values, the usual one, is looked at in C.
    return () if _SCALARS.issuperset(map(type, value)) else [item for item in value if type(item) not in _SCALARS]


def _is_exact(value: Any) -> bool:
    """Whether JSON gives back the same value: no tuples, no keys but text, no subclasses."""
    level = [value]
    while level:
        for one in level:
            kind = type(one)
            if kind is dict:
                if not {str}.issuperset(map(type, one)):
                    return False
            elif kind is not list and kind not in _SCALARS:
                return False
        level = [inner for outer in level for inner in _containers_in(outer)]
    return True


def bounded_repr(value: Any) -> str:
    """The ``repr`` of any value, short enough to keep; never raises."""
    shortener = reprlib.Repr()
    shortener.maxlevel = 20
    shortener.maxstring = shortener.maxother = shortener.maxlong = MAX_REPR_CHARACTERS
    for kind in ("list", "tuple", "set", "frozenset", "dict", "deque", "array"):
        setattr(shortener, f"max{kind}", 1000)
    try:
        text = repr(value) if type(value) in (bytes, bytearray) else shortener.repr(value)
    except Exception as error:  # noqa: BLE001 - a value may define any __repr__
        text = f"<{type(value).__qualname__}, whose repr raised {type(error).__qualname__}>"
    if len(text) > MAX_REPR_CHARACTERS:
        text = f"{text[:MAX_REPR_CHARACTERS]}... ({len(text)} characters)"
    return storable(text)


def encode_metadata(metadata: Mapping[str, Any]) -> str:
    """Metadata as JSON text with sorted keys, so that equal metadata is equal text.

    Raises:
        TypeError: a key is not text, or JSON has nothing for a type in it.
        ValueError: it has a NaN, an infinity, a reference to itself, or too many levels.
    """
    items = sorted(metadata.items())
    return "{" + ",".join(f'"{spelled_key(key)}":{encode_value(value)}' for key, value in items) + "}"


def encode_value(value: Any) -> str:
    """One value of a metadata object as JSON text, nested keys sorted.

    Raises:
        TypeError: JSON has nothing for a type in it.
        ValueError: it has a NaN, an infinity, a reference to itself, or too many levels.
    """
    text = _SORTED(value)
    _assert_depth(value)
    return _escape_surrogates(text)


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


def metadata_path(key: str) -> str:
    """The JSON path of a key (https://sqlite.org/json1.html#path_arguments)."""
    return f'$."{spelled_key(key)}"'


def key_in(path: str) -> str:
    """The key of such a path as it stands in the JSON text, quotes included."""
    return path.removeprefix("$.")


_STATUSES: Mapping[str, TaskStatus] = {status.value: status for status in TaskStatus}
_REASONS: Mapping[str | None, Reason | None] = {None: None} | {reason.value: reason for reason in Reason}
_FORMATS: Mapping[str | None, ResultFormat | None] = {None: None} | {known.value: known for known in ResultFormat}
_decode_start = json.JSONDecoder().raw_decode


def _decode(text: str) -> Any:
    value, end = _decode_start(text)
    # What ailf writes has no space around it; what somebody else has written may.
    return value if end == len(text) else json.loads(text)


_setters = [getattr(TaskInfo, column.name).__set__ for column in fields(TaskInfo)]
_run_through = deque[None](maxlen=0).extend


def _task_info(*values: Any) -> TaskInfo:
    """What ``TaskInfo(*values)`` makes, without the line of Python that a frozen dataclass runs for each field."""
    info = object.__new__(TaskInfo)
    _run_through(map(call, _setters, repeat(info), values))
    return info


def task_info(row: Sequence[Any]) -> TaskInfo:
    """The task that a row of ``tasks`` stands for, its columns in the order of the table.

    Raises:
        JournalError: somebody else has written it.
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
            progress,
            message,
            datetime.fromisoformat(created_at),
            None if started_at is None else datetime.fromisoformat(started_at),
            None if completed_at is None else datetime.fromisoformat(completed_at),
            timeout,
            {} if metadata == "{}" else _decode(metadata),
            result if result is None or result_format == "repr" else _decode(result),
            _FORMATS[result_format],
            error,
            error_type,
            traceback,
            owner_id,
            None if cancel_requested_at is None else datetime.fromisoformat(cancel_requested_at),
            parent_id,
        )
    except (ValueError, TypeError, KeyError, RecursionError) as problem:
        raise JournalError(
            f"The journal holds a row of the task {task_id!r} that ailf has not written: {problem}; "
            "mend or delete it in the sqlite3 shell."
        ) from problem


def task_event(row: Sequence[Any]) -> TaskEvent:
    """The event that a row of ``task_events`` stands for."""
    seq, task_id, at, kind, progress, message = row
    return TaskEvent(
        seq=seq,
        task_id=task_id,
        at=datetime.fromisoformat(at),
        kind=EventKind(kind),
        progress=progress,
        message=message,
    )
