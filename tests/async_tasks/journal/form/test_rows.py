"""Between columns and values: every value that goes in comes out, whatever characters and types it has."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailf.async_tasks.journal.form.rows import (
    MAX_JSON_DEPTH,
    MAX_REPR_CHARACTERS,
    bounded_repr,
    encode_json,
    encode_metadata,
    encode_result,
    metadata_path,
    storable,
    task_info,
    time_of,
    time_text,
)
from ailf.async_tasks.journal.reading.queries import tasks_query
from ailf.async_tasks.model import TaskFilter
from ailf.async_tasks.states import ResultFormat, TaskStatus
from tests.async_tasks.journal.support import PENDING, insert, opened

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
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal all the way down, and of the same types."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """One journal for all examples of a test: making one takes longer than using it."""
    connection = opened(tmp_path_factory.mktemp("rows") / "tasks.db")
    yield connection
    connection.close()


@given(JSON_VALUES)
def test_what_json_can_hold_sqlite_can(value: Any) -> None:
    """The text is valid to SQLite, stays as it is in a column, and reads back as what it was made from."""
    encoded = encode_result(value)
    assert encoded.format is ResultFormat.JSON
    connection = sqlite3.connect(":memory:")
    [(valid, text)] = connection.execute("SELECT json_valid(?), ? || ''", (encoded.text, encoded.text)).fetchall()
    connection.close()
    assert valid
    assert text == encoded.text
    assert not encoded.exact or same(json.loads(text), value)


@given(PYTHON_VALUES)
def test_exact_means_exact(value: Any) -> None:
    """Only what reads back equal, with the same types, is called so; all else is kept as it is in memory."""
    encoded = encode_result(value)
    if encoded.exact:
        assert same(json.loads(encoded.text), value)
    elif encoded.format is ResultFormat.REPR:
        assert len(encoded.text) <= MAX_REPR_CHARACTERS + 100
    assert storable(encoded.text) == encoded.text


@pytest.mark.parametrize("value", [None, True, 0, -1.5, 10**300, "ä\n\0", [], {}, {"a": [1, {"b": None}]}])
def test_the_usual_results_are_exact(value: Any) -> None:
    """No copy of them is kept in memory."""
    assert encode_result(value).exact


@pytest.mark.parametrize(
    "value", [(1, 2), {1: "a"}, [(1,)], TaskStatus.FAILED, "\ud83d\ude00", {"a": TaskStatus.FAILED}, {True: 1}]
)
def test_what_json_changes_is_not_exact(value: Any) -> None:
    """Tuples, keys that are no text, subclasses, a pair of lone surrogates: JSON, but not the same value."""
    encoded = encode_result(value)
    assert (encoded.format, encoded.exact) == (ResultFormat.JSON, False)


@pytest.mark.parametrize(
    "value",
    [float("nan"), {1, 2}, b"x", object, pytest.param(10**5000, id="many digits"), [float("inf")]],
)
def test_what_json_cannot_hold_is_a_repr(value: Any) -> None:
    """It is legible, and no error."""
    encoded = encode_result(value)
    assert (encoded.format, encoded.exact) == (ResultFormat.REPR, False)
    assert encoded.text


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


@settings(max_examples=60)
@given(metadata=st.dictionaries(ANY_TEXT, JSON_VALUES, min_size=1, max_size=4))
def test_every_key_is_found_by_its_spelling(connection: sqlite3.Connection, metadata: dict[str, Any]) -> None:
    """Quotes, backslashes, dots, brackets, NUL, surrogates, nothing at all: SQLite finds each key and its value."""
    text = encode_metadata(metadata)
    connection.execute("DELETE FROM tasks")
    insert(connection, "tasks", PENDING | {"metadata": text})
    for key, value in metadata.items():
        [(kind,)] = connection.execute("SELECT json_type(metadata, ?) FROM tasks", (metadata_path(key),))
        assert kind is not None
        assert len(connection.execute(*tasks_query(TaskFilter(metadata={key: value}))).fetchall()) == 1
    assert len(connection.execute(*tasks_query(TaskFilter(metadata=metadata))).fetchall()) == 1
    missing = "".join(metadata) + "x"
    assert connection.execute(*tasks_query(TaskFilter(metadata={missing: None}))).fetchall() == []
    [row] = connection.execute("SELECT * FROM tasks").fetchall()
    found = task_info(row).metadata
    assert encode_metadata(found) == text
