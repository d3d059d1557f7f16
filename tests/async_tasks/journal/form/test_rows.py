"""Between columns and values: every value that goes in comes out, and what somebody broke is shown as it is."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailf.async_tasks.journal.form.rows import encode_metadata, metadata_path, task_info
from ailf.async_tasks.journal.reading.queries import tasks_query
from ailf.async_tasks.model import TaskFilter
from tests.async_tasks.journal.support import PENDING, insert, opened

ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
"""All of Unicode, lone surrogates and NUL included."""

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4), max_leaves=12
)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """One journal for all examples of a test: making one takes longer than using it."""
    connection = opened(tmp_path_factory.mktemp("rows") / "tasks.db")
    yield connection
    connection.close()


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
