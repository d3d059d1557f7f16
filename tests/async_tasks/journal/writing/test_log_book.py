"""Lines in the file: of each task the first and the last up to the limit, and how many are missing."""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailf.async_tasks.journal.form import LEFT_OUT_LOGGER, left_out_line, microseconds_text
from ailf.async_tasks.journal.writing import log_book
from ailf.async_tasks.journal.writing.log_book import LogBook
from ailf.async_tasks.model import Logged
from tests.async_tasks.journal.desk import NOW
from tests.async_tasks.journal.support import RUNNING, insert, opened


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """One journal for all examples, with two tasks."""
    connection = opened(tmp_path_factory.mktemp("lines") / "tasks.db")
    for task_id in ("a", "b"):
        insert(connection, "tasks", RUNNING | {"id": task_id})
    yield connection
    connection.close()


def lines(task_id: str, first: int, number: int) -> list[Logged]:
    """Numbered lines of one task."""
    return [Logged(task_id, NOW, 20, "INFO", "app", str(place), None, None) for place in range(first, first + number)]


def write(connection: sqlite3.Connection, book: LogBook, waiting: Sequence[Logged]) -> None:
    """One transaction."""
    connection.execute("BEGIN IMMEDIATE")
    book.write(connection, waiting)
    connection.execute("COMMIT")


def kept(connection: sqlite3.Connection, task_id: str = "a") -> list[str]:
    """The messages of a task's lines; of one that stands for others, how many."""
    rows = connection.execute(
        "SELECT message, logger, json_extract(fields, '$.left_out') FROM task_logs WHERE task_id = ? ORDER BY seq",
        (task_id,),
    )
    return [f"-{left_out}" if logger == LEFT_OUT_LOGGER else message for message, logger, left_out in rows]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(2, 30), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_first_and_the_last_are_kept(
    connection: sqlite3.Connection,
    sizes: list[int],
    limit: int,
    anew: bool,  # noqa: FBT001 - drawn
) -> None:
    """However the lines fall into transactions, and whether the book was opened anew between them."""
    connection.execute("DELETE FROM task_logs")
    book = LogBook(limit)
    total = 0
    for size in sizes:
        if anew:
            book.forget()
        write(connection, book, lines("a", total, size) + lines("b", 0, 1))
        total += size
        assert len(kept(connection)) <= limit + 1
    whole = [str(number) for number in range(total)]
    if total <= limit:
        assert kept(connection) == whole
    else:
        head = limit - limit // 2
        assert kept(connection) == [*whole[:head], f"-{total - limit}", *whole[total - limit // 2 :]]


@given(st.lists(st.integers(0, 253_402_300_799_999_999), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_times_are_exact(connection: sqlite3.Connection, times: list[int]) -> None:
    """To the microsecond, and spelled as everywhere else, one by one or as one JSON text."""
    connection.execute("DELETE FROM task_logs")
    write(connection, LogBook(1000), [Logged("a", at, 20, "INFO", "app", "", None, None) for at in times])
    found = connection.execute("SELECT at FROM task_logs ORDER BY seq").fetchall()
    assert [at for (at,) in found] == [microseconds_text(at) for at in times]


def test_a_large_limit_is_kept_too(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are never more than the limit and the line that stands for others, though not each line is looked at."""
    monkeypatch.setattr(log_book, "ROWS_A_LOOK", 10)
    connection.execute("DELETE FROM task_logs")
    book = LogBook(100)
    for number in range(300):
        write(connection, book, lines("a", number, 1))
        assert len(kept(connection)) <= 101
    messages = kept(connection)
    assert (messages[0], messages[-1]) == ("0", "299")
    [left_out] = [int(message[1:]) for message in messages if message.startswith("-")]
    assert len(messages) - 1 + left_out == 300


def test_what_was_left_out_before_counts(connection: sqlite3.Connection) -> None:
    """Lines that gave way in memory are among those that are told."""
    connection.execute("DELETE FROM task_logs")
    book = LogBook(4)
    write(connection, book, [*lines("a", 0, 3), left_out_line("a", NOW, 100), *lines("a", 103, 4)])
    assert kept(connection) == ["0", "1", "-103", "105", "106"]


def test_a_task_that_is_gone_has_no_lines(connection: sqlite3.Connection) -> None:
    """Whoever logs in its name later disturbs no other."""
    connection.execute("DELETE FROM task_logs")
    write(connection, LogBook(10), lines("gone", 0, 2) + lines("b", 0, 1))
    assert connection.execute("SELECT DISTINCT task_id FROM task_logs").fetchall() == [("b",)]


def test_a_task_deleted_after_its_first_line(journal: Path) -> None:
    """The foreign key refuses, and a book that counts anew leaves its lines out."""
    connection = opened(journal)
    insert(connection, "tasks", RUNNING)
    book = LogBook(10)
    write(connection, book, lines("t1", 0, 1))
    connection.execute("DELETE FROM tasks")
    with pytest.raises(sqlite3.IntegrityError):
        write(connection, book, lines("t1", 1, 1))
    connection.execute("ROLLBACK")
    book.forget()
    write(connection, book, lines("t1", 1, 1))
    connection.close()
