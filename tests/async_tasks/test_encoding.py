"""Values as text and back: whatever its types and characters, each is legible, and exact where that is said."""

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.async_tasks.encoding import (
    MAX_REPR_CHARACTERS,
    bounded_repr,
    decode_anyway,
    decode_result,
    encode_json,
    encode_result,
    storable,
    time_text,
)
from ailf.async_tasks.journal.form import time_of
from ailf.async_tasks.nearest import MAX_JSON_DEPTH
from ailf.async_tasks.states import ResultFormat, TaskStatus

ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
"""All of Unicode, lone surrogates and NUL included."""

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4), max_leaves=12
)
PYTHON_VALUES = st.recursive(
    SCALARS | st.floats() | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(SCALARS, inner, max_size=3),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal all the way down, and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


@given(JSON_VALUES)
def test_what_json_can_hold_sqlite_can(value: Any) -> None:
    """The text is valid to SQLite, stays as it is in a column, and reads back as what it was made from."""
    encoded = encode_result(value)
    # Two lone surrogates that make a pair come back as one character.
    assert encoded.format in (ResultFormat.JSON, ResultFormat.LOSSY)
    connection = sqlite3.connect(":memory:")
    [(valid, text)] = connection.execute("SELECT json_valid(?), ? || ''", (encoded.text, encoded.text)).fetchall()
    connection.close()
    assert valid
    assert text == encoded.text
    assert encoded.format is ResultFormat.LOSSY or same(json.loads(text), value)


@given(PYTHON_VALUES)
def test_json_means_exact(value: Any) -> None:
    """Only what reads back equal, with the same types, is called so; all else is kept as it is in memory."""
    encoded = encode_result(value)
    if encoded.format is ResultFormat.REPR:
        assert len(encoded.text) <= MAX_REPR_CHARACTERS + 100
    else:
        assert same(json.loads(encoded.text), value) is (encoded.format is ResultFormat.JSON)
    assert storable(encoded.text) == encoded.text


@pytest.mark.parametrize("value", [None, True, 0, -1.5, 10**300, "ä\n\0", "\ud800", [], {}, {"a": [1, {"b": None}]}])
def test_the_usual_results_are_exact(value: Any) -> None:
    """No copy of them is kept in memory."""
    assert encode_result(value).format is ResultFormat.JSON


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, 2), "[1,2]"),
        ([(1,)], "[[1]]"),
        ({1: "a"}, '{"1":"a"}'),
        ({True: 1}, '{"true":1}'),
        (TaskStatus.FAILED, '"failed"'),
        ("\ud83d\ude00", '"\\ud83d\\ude00"'),
    ],
)
def test_what_json_changes_is_not_exact(value: Any, text: str) -> None:
    """Tuples, keys that are no text, subclasses, a pair of lone surrogates: the nearest JSON, and it says so."""
    assert encode_result(value) == (text, ResultFormat.LOSSY)


@pytest.mark.parametrize(
    "value",
    [
        {1: "a", "1": "b"},
        {None: 1, "null": 2},
        {True: 1, "true": 2},
        {1.5: 1, "1.5": 2},
        [{"deep": ({1: "a", "1": "b"},)}],
        {"float": {float("nan"): 1, "a": {2: 1, "2": 2}}},
    ],
)
def test_keys_that_are_one_as_text_are_no_json(value: Any) -> None:
    """At any depth: JSON would lose a value without a word; the ``repr`` has both."""
    assert encode_result(value) == (repr(value), ResultFormat.REPR)


@pytest.mark.parametrize(
    "value", [float("nan"), object, [float("inf")], {(1, 2): 3}, ValueError("returned"), {b"x": 1}]
)
def test_what_json_cannot_hold_is_a_repr(value: Any) -> None:
    """It is legible, and no error."""
    assert encode_result(value) == (repr(value), ResultFormat.REPR)


def test_a_number_of_too_many_digits_is_its_hexadecimal_ones() -> None:
    """Python puts no more than 4,300 decimal digits into words; alone and within others it is whole."""
    number = 10**5000
    assert int(encode_result(number).text, 16) == number
    assert encode_result([number]).text == f"[{number:#x}]"


def test_an_encoder_is_asked_for_what_json_does_not_hold() -> None:
    """It is given the value, and what it makes is JSON; what JSON holds goes without."""
    asked: list[Any] = []

    def encoder(value: Any) -> Any:
        asked.append(value)
        return {"set": sorted(value)}

    assert encode_result({2, 1}, encoder) == ('{"set":[1,2]}', ResultFormat.CUSTOM)
    assert encode_result([1, {"a": None}], encoder).format is ResultFormat.JSON
    assert asked == [{1, 2}]
    assert decode_result('{"set":[1,2]}', "custom", lambda made: set(made["set"])) == {1, 2}
    assert decode_result('{"set":[1,2]}', "custom") == {"set": [1, 2]}


@pytest.mark.parametrize("encoder", [lambda value: value, lambda value: 1 / 0, lambda value: float("nan")])
def test_an_encoder_that_fails_fails_no_task(encoder: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The result is kept without it, and the log says why."""
    assert encode_result({1}, encoder) == ("[1]", ResultFormat.LOSSY)
    assert "The encoder makes no JSON of a set" in caplog.text


def test_a_decoder_that_fails_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What is between it and its encoder is shown."""
    assert decode_result("[1]", "custom", lambda value: 1 / 0) == [1]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"[1,{'9' * 5000}]", [1, "9" * 5000]),
        ("9" * 5000, "9" * 5000),
        ("[" * 5000, "[" * 5000),
        ("not json", "not json"),
        ('"\\xff"', '"\\xff"'),
        ("", ""),
    ],
)
def test_what_cannot_be_decoded_is_shown_as_it_is(text: str, value: Any) -> None:
    """A number as its digits, and what is no JSON as the text that it is."""
    assert decode_anyway(text) == value


def test_depth_is_bounded_before_sqlite_s_own_bound() -> None:
    """At the promised depth it is JSON to SQLite too; one level more is a repr."""
    deep: list[Any] = []
    for _ in range(MAX_JSON_DEPTH - 1):
        deep = [deep]
    encoded = encode_result(deep)
    assert encoded.format is ResultFormat.JSON
    connection = sqlite3.connect(":memory:")
    assert connection.execute("SELECT json_valid(?)", (encoded.text,)).fetchone() == (1,)
    connection.close()
    assert encode_result([deep]).format is ResultFormat.REPR
    with pytest.raises(ValueError, match="more than 500 levels"):
        encode_json([deep])


def test_a_repr_that_raises_is_told() -> None:
    """Whatever a value's class does, its end is recorded."""

    class Broken:
        def __repr__(self) -> str:
            raise ValueError

    assert bounded_repr(Broken()).startswith("<Broken instance at ")
    assert bounded_repr([Broken()]).startswith("[<Broken instance at ")


@given(ANY_TEXT)
def test_any_text_is_made_storable_once(text: str) -> None:
    """SQLite takes it whole, and making it storable again changes nothing."""
    stored = storable(text)
    connection = sqlite3.connect(":memory:")
    [(back, characters)] = connection.execute("SELECT ?, length(?)", (stored, stored)).fetchall()
    connection.close()
    assert (back, characters) == (stored, len(stored))
    assert storable(stored) == stored
    if "\0" not in text and text.isprintable():
        assert stored == text


@given(
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
)
def test_times_come_back_and_sort_as_text(one: datetime, other: datetime) -> None:
    """To the microsecond, in a fixed width, from the first year to the last."""
    texts = time_text(one), time_text(other)
    assert (time_of(texts[0]), time_of(texts[1])) == (one, other)
    assert (texts[0] < texts[1]) == (one < other)
    assert len(texts[0]) == len("2026-11-24T03:00:00.123456Z")
