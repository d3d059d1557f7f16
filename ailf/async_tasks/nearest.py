"""The JSON nearest to a value that JSON does not have: what people can read and query, if not the same again."""

import base64
import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

MAX_JSON_DEPTH = 500
"""How deeply a value may be nested; SQLite's own parser stops at 1000 (https://sqlite.org/json1.html)."""

_PLAIN = frozenset({type(None), bool, int, float, str})
_BINARY = (bytes, bytearray, memoryview)


def nearest_json(value: Any, depth: int = 0) -> Any:
    """A value in the types of JSON.

    A date, a time and both are ISO 8601 text; a Decimal, a UUID and a path are their text; bytes are base64. An enum's
    member is its value, a dataclass the object of its fields; tuples and sets are lists. Keys that are no text become
    text.

    Args:
        value: the value.
        depth: how many levels it lies below the outermost.

    Raises:
        TypeError: nothing in JSON is near to a type in it.
        ValueError: two keys in it are one as text, it has too many levels, or refers to itself.
    """
    if type(value) in _PLAIN:
        return value
    if depth == MAX_JSON_DEPTH:
        raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} levels deep")
    if isinstance(value, Enum):
        return nearest_json(value.value, depth + 1)
    if isinstance(value, list | tuple | set | frozenset | deque):
        return [nearest_json(item, depth + 1) for item in _in_order(value)]
    if isinstance(value, Mapping):
        return _object(value.items(), depth)
    if is_dataclass(value) and not isinstance(value, type):
        return _object(((field.name, getattr(value, field.name)) for field in fields(value)), depth)
    return _scalar(value)


def _object(items: Iterable[tuple[Any, Any]], depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in items:
        text = _key(key)
        if text in made:
            raise ValueError(f"two of its keys are {text!r}")
        made[text] = nearest_json(value, depth + 1)
    return made


def _key(key: Any) -> str:
    if isinstance(key, Enum):
        return _key(key.value)
    if key is None:
        return "null"
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, _BINARY):
        raise TypeError("a key of bytes has no text")
    plain = _scalar(key)
    return plain if isinstance(plain, str) else repr(plain)


_TEXT_OF: Mapping[tuple[type[Any], ...], Callable[[Any], str | float]] = {
    (str,): str.__str__,
    (int,): int,
    (float,): float,
    (datetime, date, time): operator.methodcaller("isoformat"),
    (Decimal, UUID, PurePath): str,
    _BINARY: lambda value: base64.b64encode(value).decode(),
}


def _scalar(value: Any) -> str | float:
    for kinds, made in _TEXT_OF.items():
        if isinstance(value, kinds):
            return made(value)
    raise TypeError(f"nothing in JSON is near to a {type(value).__qualname__}")


def _in_order(values: Iterable[Any]) -> Iterable[Any]:
    """The members of a set sorted where that is possible: equal sets are then equal text."""
    if isinstance(values, set | frozenset):
        try:
            return sorted(values)
        except TypeError:
            pass
    return values
