"""Values as the text that the journal holds of them, and back: times, texts, JSON, and what JSON cannot hold."""

import json
import re
import reprlib
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from ailf.async_tasks.guard import PROGRAM_ENDS, log
from ailf.async_tasks.nearest import MAX_JSON_DEPTH, nearest_json
from ailf.async_tasks.pieces import ChangedError, compact_json, encode_in_pieces, escape_surrogates
from ailf.async_tasks.states import ResultFormat

MAX_JSON_CHARACTERS = 200_000_000
"""How long a result's JSON may be; SQLite holds 1,000,000,000 bytes in a field (https://sqlite.org/limits.html)."""

MAX_REPR_CHARACTERS = 10_000
"""How long the ``repr`` of a result may be that JSON cannot hold."""

Coder = Callable[[Any], Any]
"""Makes JSON's types of a value, or a value of these."""


class Coders(NamedTuple):
    """What an application puts results into JSON with that JSON does not hold, and takes them out with."""

    encoder: Coder | None = None
    decoder: Coder | None = None


VALUES_AT_A_TIME = 20_000
"""How many values are looked at in one go, in C."""

_SCALARS: frozenset[type] = frozenset({type(None), bool, int, float, str})
_TEXTS: frozenset[type] = frozenset({str})
_SORTED = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode

_SURROGATE = re.compile("[\ud800-\udfff]")


def time_text(moment: datetime) -> str:
    """A time in UTC as text of a fixed width, which sorts as the times do: ``2026-11-24T03:00:00.123456Z``."""
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


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
    """JSON where reading the text gives back an equal value of the same types; any other where it does not."""


_NOTHING = EncodedResult("null", ResultFormat.JSON)


def encode_large_result(value: Any, encoder: Coder | None = None) -> EncodedResult:
    """The same as ``encode_result`` for a thread, in pieces between which the event loop has its turn.

    Raises:
        ChangedError: somebody else changed the value meanwhile.
    """
    return encode_result(value, encoder, write=_encode_large_json)


def encode_result(
    value: Any, encoder: Coder | None = None, *, write: Callable[[Any], str] | None = None
) -> EncodedResult:
    """Put a result into words; raises nothing but what ends the program, in the middle of somebody's ``__repr__``.

    As JSON where that holds it exactly; else as what the encoder makes of it; else as the nearest JSON; else as a
    bounded ``repr``.

    Args:
        value: the result.
        encoder: the application's own.
        write: makes the JSON text; None is ``encode_json``.
    """
    if value is None:
        return _NOTHING
    write = write or encode_json
    if (text := _json_of(value, write)) is not None and _reads_back(text, value):
        return EncodedResult(text, ResultFormat.JSON)
    if encoder is not None and (text := _encoded_by(encoder, value, write)) is not None:
        return EncodedResult(text, ResultFormat.CUSTOM)
    try:
        nearest = nearest_json(value)
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001 - a value may define anything; what it cannot do is fail the task
        nearest = None
    if nearest is not None and (text := _json_of(nearest, write)) is not None:
        return EncodedResult(text, ResultFormat.LOSSY)
    return EncodedResult(bounded_repr(value), ResultFormat.REPR)


def unspoken_result(value: Any) -> EncodedResult:
    """A result of which nothing can be said but its type.

    Args:
        value: the result.
    """
    return EncodedResult(storable(f"<{type(value).__qualname__}, whose repr was interrupted>"), ResultFormat.REPR)


def as_json(value: Any) -> Any:
    """A value in the types of JSON: itself, the nearest, or its ``repr``."""
    text, form = encode_result(value)
    return text if form is ResultFormat.REPR else json.loads(text)


def _json_of(value: Any, write: Callable[[Any], str]) -> str | None:
    try:
        text = write(value)
    except (ChangedError, *PROGRAM_ENDS):
        raise
    except BaseException:  # noqa: BLE001 - a value may define anything
        return None
    return text if len(text) <= MAX_JSON_CHARACTERS else None


def _reads_back(text: str, value: Any) -> bool:
    if type(value) not in _SCALARS and not _is_exact(value):
        return False
    # Two surrogates, each a character of its own, come back as the one that the pair stands for.
    return "\\ud" not in text or json.loads(text) == value


def _encoded_by(encoder: Coder, value: Any, write: Callable[[Any], str]) -> str | None:
    try:
        return write(encoder(value))
    except (ChangedError, *PROGRAM_ENDS):
        raise
    except BaseException as error:  # noqa: BLE001 - it is the application's: what it cannot do is fail the task
        log.warning(
            "The encoder makes no JSON of a %s (%s: %s); the result is kept without it.",
            type(value).__qualname__,
            type(error).__qualname__,
            error,
        )
        return None


def encode_json(value: Any) -> str:
    """A value as compact JSON text (RFC 8259), readable: only what SQLite cannot hold is escaped.

    Raises:
        TypeError: JSON has nothing for a type in it.
        ValueError: it has a NaN, an infinity, a reference to itself, or too many levels.
    """
    text = compact_json(value)
    if type(value) not in _SCALARS:
        _assert_depth(value)
    return escape_surrogates(text)


def _encode_large_json(value: Any) -> str:
    text = encode_in_pieces(value)
    _assert_depth(value)
    return text


def _assert_depth(value: Any) -> None:
    # Level by level and not by recursion, which Python bounds by what the caller has left of its stack.
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [inner for outer in level for inner in _containers_in(outer)]
        if not level:
            return
    raise ValueError(f"it is nested more than {MAX_JSON_DEPTH} levels deep")


def _all_of(types: frozenset[type], values: Collection[Any]) -> bool:
    """Whether all values are of these types; of many, so many at a time, since nothing else runs meanwhile."""
    if len(values) <= VALUES_AT_A_TIME:
        return types.issuperset(map(type, values))
    each = iter(values)
    return all(
        types.issuperset(map(type, islice(each, VALUES_AT_A_TIME))) for _ in range(0, len(values), VALUES_AT_A_TIME)
    )


def _containers_in(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return ()
    # Sets of types: a long list of plain values, the usual one, is looked at in C.
    return () if _all_of(_SCALARS, value) else [item for item in value if type(item) not in _SCALARS]


def _is_exact(value: Any) -> bool:
    """Whether JSON gives back the same value: no tuples, no keys but text, no subclasses."""
    level = [value]
    while level:
        for one in level:
            kind = type(one)
            if kind is dict:
                if not _all_of(_TEXTS, one):
                    return False
            elif kind is not list and kind not in _SCALARS:
                return False
        level = [inner for outer in level for inner in _containers_in(outer)]
    return True


class _Shortener(reprlib.Repr):
    """Shows a value, and of a large one its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 20
        self.maxstring = self.maxother = self.maxlong = MAX_REPR_CHARACTERS
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = self.maxdeque = 1000
        self.maxarray = 1000

    def repr_int(self, x: int, level: int) -> str:
        """A number of more digits than Python puts into words goes by its hexadecimal ones."""
        try:
            # Asked itself, since from Python 3.14 on reprlib answers for it.
            repr(x)
        except ValueError:
            return hex(x)
        return super().repr_int(x, level)


def bounded_repr(value: Any) -> str:
    """The ``repr`` of any value, short enough to keep; never raises."""
    try:
        text = repr(value) if type(value) in (bytes, bytearray) else _Shortener().repr(value)
    except PROGRAM_ENDS:
        raise
    except BaseException as error:  # noqa: BLE001 - a value may define any __repr__
        text = f"<{type(value).__qualname__}, whose repr raised {type(error).__qualname__}>"
    if len(text) > MAX_REPR_CHARACTERS:
        text = f"{text[:MAX_REPR_CHARACTERS]}... ({len(text)} characters)"
    return storable(text)


def encode_value(value: Any) -> str:
    """One value of a metadata object as JSON text, nested keys sorted, so that equal values are equal text.

    Raises:
        TypeError: JSON has nothing for a type in it.
        ValueError: it has a NaN, an infinity, a reference to itself, or too many levels.
    """
    text = _SORTED(value)
    _assert_depth(value)
    return escape_surrogates(text)


_decode_start = json.JSONDecoder().raw_decode


def decode_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none, or has a number of more digits than Python takes.
        RecursionError: it has too many levels.
    """
    value, end = _decode_start(text)
    # What ailf writes has no space around it; what somebody else has written may.
    return value if end == len(text) else json.loads(text)


def decode_anyway(text: str) -> Any:
    """The same, where a number that Python does not take is its digits, and a text that is no JSON itself."""
    try:
        return json.loads(text, parse_int=_number)
    except (ValueError, RecursionError):
        return text


def _number(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        return digits


def decode_result(text: str, form: str | None, decoder: Coder | None = None) -> Any:
    """The value that a result's text stands for; of a ``repr`` that is the text.

    Args:
        text: the text.
        form: how the journal holds it.
        decoder: the application's own.

    Raises:
        ValueError: it is not what its format says.
        RecursionError: it has too many levels.
    """
    if form == ResultFormat.REPR:
        return text
    value = decode_json(text)
    if decoder is None or form != ResultFormat.CUSTOM:
        return value
    try:
        return decoder(value)
    except PROGRAM_ENDS:
        raise
    except BaseException as error:  # noqa: BLE001 - it is the application's: a result that it does not take hides no other
        log.warning(
            "The decoder does not take a result (%s: %s); it is JSON as it is.", type(error).__qualname__, error
        )
        return value
