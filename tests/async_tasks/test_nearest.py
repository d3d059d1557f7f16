"""The nearest JSON of what JSON does not have: legible, and found by a query."""

import enum
from collections import OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest

from ailf.async_tasks.nearest import MAX_JSON_DEPTH, nearest_json


class Colour(enum.Enum):
    """A value that is no JSON itself."""

    RED = (255, 0)


class Level(enum.IntEnum):
    """A number with a name."""

    HIGH = 3


class Words(str):
    """Text of a type of its own, which says something else of itself."""

    __slots__ = ()

    def __str__(self) -> str:
        """Lie."""
        return "lie"


@dataclass(frozen=True)
class Point:
    """Fields, one of which holds more."""

    x: int
    when: date = date(2026, 11, 24)
    tags: frozenset[str] = field(default_factory=frozenset)


Pair = namedtuple("Pair", "left right")  # noqa: PYI024 - as people have them
MOMENT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "nearest"),
    [
        (MOMENT, "2026-11-24T03:00:00+00:00"),
        (date(2026, 11, 24), "2026-11-24"),
        (time(3, 0), "03:00:00"),
        (Decimal("1.10"), "1.10"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Path("a/b"), "a/b"),
        (Colour.RED, [255, 0]),
        (Level.HIGH, 3),
        (Point(1, tags=frozenset("ba")), {"x": 1, "when": "2026-11-24", "tags": ["a", "b"]}),
        ({3, 10, 1}, [1, 3, 10]),
        ((1, (2, {"a": (3,)})), [1, [2, {"a": [3]}]]),
        (Pair(1, 2), [1, 2]),
        (deque([1]), [1]),
        (b"\x00\xff", "AP8="),
        (bytearray(b"a"), "YQ=="),
        (Words("truth"), "truth"),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a={1}), {"a": [1]}),
        (MappingProxyType({MOMENT: 1}), {"2026-11-24T03:00:00+00:00": 1}),
        ({Level.HIGH: 1, None: 2, 1.5: 3}, {"3": 1, "null": 2, "1.5": 3}),
    ],
)
def test_a_value_has_a_nearest_one(value: Any, nearest: Any) -> None:
    """Of plain types all the way down, so that nothing of the value's own classes is asked again."""
    made = nearest_json(value)
    assert made == nearest
    assert type(made) is type(nearest)


def test_a_set_that_has_no_order_is_a_list_all_the_same() -> None:
    """Of members that cannot be compared."""
    assert sorted(nearest_json({1, "a", None}), key=str) == [1, None, "a"]


def test_what_has_no_nearest_is_refused() -> None:
    """Objects, keys that are no text and no scalar, keys that are one as text."""
    for value in (object(), [object()], {(1, 2): 3}, {b"a": 1}, Point, 1j):
        with pytest.raises(TypeError):
            nearest_json(value)
    for clash in ({1: 1, "1": 2}, [Colour.RED, {date(2026, 1, 1): 1, "2026-01-01": 2}]):
        with pytest.raises(ValueError, match="two of its keys"):
            nearest_json(clash)


def test_depth_is_bounded() -> None:
    """A value that holds itself, by whatever, is no endless work."""
    circle: list[Any] = []
    circle.append((circle,))
    with pytest.raises((ValueError, RecursionError)):
        nearest_json(circle)
    deep: Any = ()
    for _ in range(MAX_JSON_DEPTH):
        deep = (deep,)
    with pytest.raises((ValueError, RecursionError)):
        nearest_json(deep)
