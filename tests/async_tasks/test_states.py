"""The state machine: the table of transitions, held to the design and to the triggers of a real journal."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ailf.async_tasks import EventKind, Reason, TaskStatus
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.states import ENDED, EVENT_OF_STATUS, TRANSITIONS, UNFINISHED

LEGAL = {
    ("pending", "running"),
    ("pending", "failed"),
    ("pending", "cancelled"),
    ("running", "completed"),
    ("running", "failed"),
    ("running", "cancelled"),
}
"""Every transition, spelled out: a task that waits can start, be cancelled, or lose its process."""

PAIRS = list(itertools.product(TaskStatus, TaskStatus))

TIME = "2026-11-24T03:00:00.123456Z"

COLUMNS = {
    TaskStatus.PENDING: {},
    TaskStatus.RUNNING: {"started_at": TIME},
    TaskStatus.COMPLETED: {"started_at": TIME, "completed_at": TIME, "result": "1", "result_format": "json"},
    TaskStatus.FAILED: {"started_at": TIME, "completed_at": TIME, "reason": "error", "error": "bad"},
    TaskStatus.CANCELLED: {"started_at": TIME, "completed_at": TIME, "reason": "cancelled"},
}
"""What a row in each state holds, so that no CHECK but only a trigger can refuse it."""


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a new journal, with nothing of ailf between it and the file."""
    ensure_current(journal)
    with closing(sqlite3.connect(journal, isolation_level=None)) as opened:
        opened.execute("PRAGMA foreign_keys=ON")
        opened.execute(
            "INSERT INTO owners (id, pid, host, boot_id, started_at) VALUES ('owner', 1, 'host', 'boot', ?)", (TIME,)
        )
        yield opened


def insert(connection: sqlite3.Connection, status: TaskStatus) -> None:
    """Insert a task in a state."""
    values = {"id": "x", "name": "x", "status": status, "created_at": TIME, "owner_id": "owner", **COLUMNS[status]}
    names = ", ".join(values)
    connection.execute(f"INSERT INTO tasks ({names}) VALUES ({', '.join('?' * len(values))})", tuple(values.values()))


def change(connection: sqlite3.Connection, status: TaskStatus) -> None:
    """Update the task to a state, with all that a row in that state holds."""
    names = ("started_at", "completed_at", "reason", "result", "result_format", "error")
    values = {"status": status, **dict.fromkeys(names), **COLUMNS[status]}
    connection.execute(f"UPDATE tasks SET {', '.join(f'{name} = ?' for name in values)}", tuple(values.values()))


def bring_to(connection: sqlite3.Connection, status: TaskStatus) -> None:
    """Have a task in a state, by legal steps."""
    insert(connection, TaskStatus.PENDING)
    if status is not TaskStatus.PENDING:
        change(connection, TaskStatus.RUNNING)
    if status.is_ended:
        change(connection, status)


def status_in(connection: sqlite3.Connection) -> str | None:
    """The state of the task, if it is there."""
    row = connection.execute("SELECT status FROM tasks").fetchone()
    return row[0] if row else None


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_table_has_every_transition_and_no_other(before: TaskStatus, after: TaskStatus) -> None:
    """For each pair of states the table says what the design says."""
    assert (after in TRANSITIONS[before]) == ((before, after) in LEGAL)


def test_the_table_is_complete_and_fixed() -> None:
    """Each state has its row, a task begins as PENDING alone, and nobody changes the table."""
    assert set(TRANSITIONS) == {None, *TaskStatus}
    assert TRANSITIONS[None] == {TaskStatus.PENDING}
    with pytest.raises(TypeError):
        TRANSITIONS[TaskStatus.FAILED] = frozenset(TaskStatus)  # type: ignore[index]


def test_the_end_states_are_those_that_nothing_leaves() -> None:
    """Ended and unfinished states come from the table, and are all states."""
    assert {"completed", "failed", "cancelled"} == ENDED
    assert {"pending", "running"} == UNFINISHED
    for status in TaskStatus:
        assert status.is_ended == (status in ENDED) == (not TRANSITIONS[status])


def test_every_state_is_reached() -> None:
    """From the beginning each state can be reached, so that none is there for nothing."""
    reached: set[TaskStatus] = set()
    front = set(TRANSITIONS[None])
    while front:
        reached |= front
        front = {after for before in front for after in TRANSITIONS[before]} - reached
    assert reached == set(TaskStatus)


def test_states_and_reasons_are_their_words() -> None:
    """A state is its lower-case word, which is what the journal holds; reasons and events are, too."""
    assert [str(status) for status in TaskStatus] == ["pending", "running", "completed", "failed", "cancelled"]
    assert {str(reason) for reason in Reason} == {"error", "timeout", "cancelled", "shutdown", "process_died"}
    assert f"{TaskStatus.RUNNING}" == "running"


def test_every_state_has_its_event() -> None:
    """Going into a state writes one kind of event; only progress is of no state."""
    assert set(EVENT_OF_STATUS) == set(TaskStatus)
    assert set(EventKind) - set(EVENT_OF_STATUS.values()) == {EventKind.PROGRESS, EventKind.LEFT_OUT}
    assert len(set(EVENT_OF_STATUS.values())) == len(TaskStatus)


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_the_journal_refuses_what_the_table_does(
    connection: sqlite3.Connection, before: TaskStatus, after: TaskStatus
) -> None:
    """For each pair of states a real journal takes the transition, or its triggers refuse it and keep the row."""
    bring_to(connection, before)
    may_stay = before is after and not before.is_ended
    if may_stay or after in TRANSITIONS[before]:
        change(connection, after)
        assert status_in(connection) == after
    else:
        with pytest.raises(sqlite3.IntegrityError, match=r"no such transition|row is final"):
            change(connection, after)
        assert status_in(connection) == before


@pytest.mark.parametrize("status", TaskStatus)
def test_a_task_comes_into_the_journal_unfinished(connection: sqlite3.Connection, status: TaskStatus) -> None:
    """PENDING, or RUNNING where it starts at once; never ended."""
    if status in UNFINISHED:
        insert(connection, status)
        assert status_in(connection) == status
    else:
        with pytest.raises(sqlite3.IntegrityError, match="unfinished"):
            insert(connection, status)
        assert status_in(connection) is None


@pytest.mark.parametrize("status", sorted(ENDED))
@pytest.mark.parametrize("column", ["result", "error", "progress", "name", "completed_at", "metadata", "owner_id"])
def test_an_ended_row_is_final(connection: sqlite3.Connection, status: TaskStatus, column: str) -> None:
    """No column of a task that has ended is changed, by whichever program."""
    bring_to(connection, status)
    with pytest.raises(sqlite3.IntegrityError, match="final"):
        connection.execute(f"UPDATE tasks SET {column} = {column}")


def test_a_state_that_does_not_exist_is_refused(connection: sqlite3.Connection) -> None:
    """The journal knows the five states alone."""
    insert(connection, TaskStatus.PENDING)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("UPDATE tasks SET status = 'paused'")
    assert status_in(connection) == "pending"
