"""JSON text of a large value, made in pieces in a thread, so that the event loop has its turn between any two.

Python's own encoder makes a text in one go, and lets nothing else run meanwhile: a tenth of a second for a million
numbers. A piece of this takes some tenths of a millisecond.
"""

import json
import re
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any

from ailf.async_tasks.guard import PROGRAM_ENDS
from ailf.async_tasks.nearest import MAX_JSON_DEPTH

LARGE_WEIGHT = 5_000
"""From which weight on a value is large: about a millisecond of work; what is less is done sooner than handed over."""

PIECE_WEIGHT = 2_000
"""How much of a value becomes text at a time."""

CHARACTERS_A_VALUE = 100
"""So many characters of a text weigh as much as a number."""

PIECES_A_TURN = 4
"""After how many pieces the others have their turn: whoever waits for Python's lock waits five milliseconds else."""

TURN_SECONDS = 0.00005
"""For how long: as it takes to wake up."""

_LIGHT = frozenset({type(None), bool, int, float})
_SCALARS = _LIGHT | {str}
# Made once: json.dumps makes an encoder of its own for each call with options.
compact_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode

_SURROGATE = re.compile("[\ud800-\udfff]")


class ChangedError(Exception):
    """A value changed while its text was made: somebody else has it too."""


def weight(value: Any, most: int) -> int:
    """How much work the text of a value is, in values; of what is heavier than that, just so much."""
    if type(value) in _LIGHT:
        return 1
    sum_ = 1
    waiting = [value]
    while waiting and sum_ <= most:
        one = waiting.pop()
        if isinstance(one, str | bytes | bytearray):
            sum_ += len(one) // CHARACTERS_A_VALUE
            continue
        inner = _inner(one)
        sum_ += len(inner)
        if sum_ <= most and not _LIGHT.issuperset(map(type, inner)):
            waiting += [each for each in inner if type(each) not in _LIGHT]
    return sum_


def is_large(value: Any) -> bool:
    """Whether the text of a value is to be made in a thread."""
    if type(value) in _LIGHT:
        return False
    try:
        return weight(value, LARGE_WEIGHT) > LARGE_WEIGHT
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001 - a value may define anything
        return False


def _inner(value: Any) -> Collection[Any]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset | deque):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in fields(value)]
    return ()


def encode_in_pieces(value: Any) -> str:
    """The same text as ``compact_json`` makes, with lone surrogates escaped.

    Raises:
        TypeError: JSON has nothing for a type in it.
        ValueError: it has a NaN, an infinity, a reference to itself, or too many levels.
        ChangedError: it changed meanwhile.
    """
    pieces = []
    try:
        for number, piece in enumerate(_pieces(value, [])):
            pieces.append(escape_surrogates(piece))
            if not number % PIECES_A_TURN:
                # Other threads, the event loop's among them, get Python's lock now.
                time.sleep(TURN_SECONDS)
    except RuntimeError as error:
        if isinstance(error, RecursionError):
            raise
        raise ChangedError(str(error)) from error
    return "".join(pieces)


def escape_surrogates(text: str) -> str:
    """A text with each lone surrogate, which SQLite cannot hold, as JSON escapes it."""
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _pieces(value: Any, around: list[int]) -> Iterator[str]:
    """The text of a value, in pieces.

    Args:
        value: the value.
        around: the id() of each container that it lies in.
    """
    if weight(value, PIECE_WEIGHT) <= PIECE_WEIGHT:
        yield compact_json(value)
    elif isinstance(value, str):
        yield '"'
        step = CHARACTERS_A_VALUE * PIECE_WEIGHT
        yield from (compact_json(value[begin : begin + step])[1:-1] for begin in range(0, len(value), step))
        yield '"'
    elif isinstance(value, dict | list | tuple):
        if id(value) in around or len(around) == MAX_JSON_DEPTH:
            raise ValueError("it refers to itself, or has too many levels")
        around.append(id(value))
        yield from _members(value, around) if isinstance(value, dict) else _items(value, around)
        around.pop()
    else:
        yield compact_json(value)


def _items(value: Iterable[Any], around: list[int]) -> Iterator[str]:
    mark = "["
    for light, heavy in _grouped(iter(value), lambda item: weight(item, PIECE_WEIGHT)):
        if light:
            yield mark + compact_json(light)[1:-1]
            mark = ","
        for item in heavy:
            yield mark
            yield from _pieces(item, around)
            mark = ","
    yield "]"


def _members(value: dict[Any, Any], around: list[int]) -> Iterator[str]:
    mark = "{"
    for light, heavy in _grouped(iter(value.items()), lambda item: weight(item, PIECE_WEIGHT)):
        if light:
            yield mark + compact_json(dict(light))[1:-1]
            mark = ","
        for key, item in heavy:
            yield mark + compact_json({key: None})[1:-5]
            yield from _pieces(item, around)
            mark = ","
    yield "}"


def _grouped(items: Iterator[Any], weight_of: Any) -> Iterator[tuple[list[Any], list[Any]]]:
    """Items in their order: some that are light enough together, then one that is not, where there is one."""
    light: list[Any] = []
    sum_ = 0
    while some := list(islice(items, PIECE_WEIGHT // 2)):
        if _LIGHT.issuperset(map(type, some)):
            # The usual long list, of numbers, is looked at in C.
            yield light + some, []
            light, sum_ = [], 0
            continue
        for item in some:
            own = weight_of(item)
            if own > PIECE_WEIGHT:
                yield light, [item]
                light, sum_ = [], 0
                continue
            light.append(item)
            sum_ += own
            if sum_ > PIECE_WEIGHT:
                yield light, []
                light, sum_ = [], 0
    if light:
        yield light, []
