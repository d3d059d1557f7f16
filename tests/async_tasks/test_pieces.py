"""The text of a large value, made in pieces: the same text, and never much of it at a time."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.async_tasks import encoding, pieces
from ailf.async_tasks.encoding import encode_json, encode_large_result, encode_result
from ailf.async_tasks.pieces import LARGE_WEIGHT, PIECE_WEIGHT, ChangedError, encode_in_pieces, is_large

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner, inner),
    max_leaves=40,
)

LARGE: dict[str, Any] = {
    "numbers": list(range(50_000)),
    "objects": [{"i": i, "n": str(i)} for i in range(10_000)],
    "one key, deep down": {"a": {"b": [{"rows": list(range(30_000))}, 1, {"c": "d"}]}},
    "many keys": {f"key {i}": i for i in range(20_000)},
    "long lists in a list": [[i] * 9_000 for i in range(9)],
    "a long text": 'ab"\\\n\x00é\ud800' * 300_000,
    "texts": ["x" * 1000] * 3_000,
    "lossy": {"pairs": [(i, i) for i in range(20_000)]},
    "no JSON": [object(), *range(20_000)],
    "mixed": [1, "two", [3.5] * 7_000, {"four": None}, "f" * 600_000, [], {}, ()],
}


@given(value=VALUES, weight=st.sampled_from([1, 2, 3, 7]), characters=st.sampled_from([1, 2, 100]))
def test_the_text_is_the_same(value: Any, weight: int, characters: int) -> None:
    """However small the pieces are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "PIECE_WEIGHT", max(2, weight))
        patch.setattr(pieces, "CHARACTERS_A_VALUE", characters)
        patch.setattr("ailf.async_tasks.pieces.time.sleep", lambda _: None)
        assert encode_in_pieces(value) == encode_json(value)


@pytest.mark.parametrize("value", LARGE.values(), ids=LARGE)
def test_a_large_result_is_what_it_would_be_at_once(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text and its format; and no piece of it is long."""
    assert is_large(value)
    at_once = encode_result(value)
    encoded: list[int] = []

    def compact(value: Any, encode: Any = pieces.compact_json) -> str:
        encoded.append(pieces.weight(value, 100 * PIECE_WEIGHT))
        return str(encode(value))

    monkeypatch.setattr(pieces, "compact_json", compact)
    monkeypatch.setattr(encoding, "compact_json", compact)
    assert encode_large_result(value) == at_once
    assert max(encoded) <= 3 * PIECE_WEIGHT


def test_values_are_large_from_some_thousand_on() -> None:
    """Looking does not take long, whatever there is, a circle included."""
    assert not is_large(None)
    assert not is_large(10**4000)
    assert not is_large([{"i": 1, "text": "word"}] * (LARGE_WEIGHT // 4))
    assert is_large([{"i": 1, "text": "word"}] * LARGE_WEIGHT)
    assert is_large(b"x" * 10_000_000)
    assert is_large({str(number): number for number in range(2 * LARGE_WEIGHT)})
    assert is_large(OrderedDict(rows=tuple(range(2 * LARGE_WEIGHT))))

    @dataclass
    class Rows:
        rows: list[int]

    assert is_large(Rows([1] * 2 * LARGE_WEIGHT))
    circle: list[Any] = []
    circle += [circle, circle]
    assert is_large(circle)
    with pytest.raises(ValueError, match="refers to itself"):
        encode_in_pieces(circle)

    class Broken(list[int]):
        def __len__(self) -> int:
            raise ValueError

    assert not is_large(Broken())


def test_a_nan_is_none_deep_in_a_large_value() -> None:
    """As in a small one."""
    with pytest.raises(ValueError, match="Out of range"):
        encode_in_pieces([1] * 30_000 + [float("nan")])


def test_a_value_that_changes_meanwhile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a text would be that of no value."""
    value = {str(number): number for number in range(20_000)}
    monkeypatch.setattr("ailf.async_tasks.pieces.time.sleep", lambda _: value.update(more=0))
    with pytest.raises(ChangedError):
        encode_large_result(value)
    monkeypatch.undo()
    assert json.loads(encode_large_result(value).text) == value
