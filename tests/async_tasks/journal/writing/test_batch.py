"""A batch of changes: one by one or as one JSON text, the journal holds the very same rows."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailf.async_tasks.encoding import encode_result
from ailf.async_tasks.journal.form.rows import encode_metadata, microseconds_text
from ailf.async_tasks.journal.writing.batch import Batch
from ailf.async_tasks.journal.writing.statements import LEAST_ROWS_FOR_JSON
from ailf.async_tasks.model import Change, Ended, Outcome, Progressed, Started, Submitted
from ailf.async_tasks.states import Reason, TaskStatus
from tests.async_tasks.journal.support import opened

START = 1_795_489_200_000_000
ANY_TEXT = st.text(st.characters(codec=None), max_size=20)
TEXTS = st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT)


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """One journal for all examples."""
    connection = opened(tmp_path_factory.mktemp("batch") / "tasks.db")
    yield connection
    connection.close()


def changes_of(number: int, texts: tuple[str, str, str], progress: float, timeout: float | None) -> list[Change]:
    """The life of one task, with the texts wherever a text can be."""
    one, two, three = texts
    task_id = f"t{number}"
    times = [START + 1_000_000 * number + step for step in range(4)]
    if number % 2:
        encoded = encode_result([one, {two: three}])
        outcome = Outcome(TaskStatus.COMPLETED)
        end = Ended(task_id, times[3], TaskStatus.RUNNING, outcome, encoded.text, encoded.format)
    else:
        outcome = Outcome(TaskStatus.FAILED, Reason.ERROR, error=one, error_type=two, traceback=three)
        end = Ended(task_id, times[3], TaskStatus.RUNNING, outcome)
    return [
        Submitted(
            task_id, times[0], one, timeout, encode_metadata({two: three}), parent_id="t0" if number > 1 else None
        ),
        Started(task_id, times[1]),
        Progressed(task_id, times[2], progress, two),
        end,
    ]


def written(connection: sqlite3.Connection, batches: list[list[Change]]) -> list[object]:
    """What the journal holds after these batches, and nothing else."""
    connection.execute("DELETE FROM tasks")
    for batch in batches:
        made = Batch("o1", 0)
        for change in batch:
            made.add(change)
        made.execute(connection)
    tasks = connection.execute("SELECT * FROM tasks ORDER BY id").fetchall()
    events = connection.execute(
        "SELECT task_id, at, kind, progress, typeof(progress), message FROM task_events ORDER BY task_id, seq"
    ).fetchall()
    return [tasks, events]


@settings(max_examples=30, deadline=None)
@given(
    texts=st.lists(TEXTS, min_size=LEAST_ROWS_FOR_JSON, max_size=LEAST_ROWS_FOR_JSON + 4),
    progress=st.integers(0, 100) | st.floats(0, 100),
    timeout=st.none() | st.floats(0.001, 1e9),
)
def test_many_at_once_are_written_as_one_by_one(
    connection: sqlite3.Connection, texts: list[tuple[str, str, str]], progress: float, timeout: float | None
) -> None:
    """Every text with every character, every number to its last digit, in every column."""
    lives = [changes_of(number, each, progress, timeout) for number, each in enumerate(texts)]
    together = [[change for life in lives for change in life]]
    alone = [[change] for life in lives for change in life]
    assert written(connection, together) == written(connection, alone)


def test_a_task_ends_no_earlier_than_it_started() -> None:
    """It may have been cancelled while its start was being written, in this transaction or the one before."""
    submitted = Submitted("t1", START, "work", None, "{}", starts=True)
    end = Ended("t1", START - 50, TaskStatus.RUNNING, Outcome(TaskStatus.CANCELLED, Reason.CANCELLED))
    together, later = Batch("o1", START), Batch("o1", START + 100, START)
    together.add(submitted)
    for batch in (together, later):
        batch.add(end)
        assert batch._events[-1][1] == batch._ends[-1][2] == microseconds_text(START)
