"""The scheduled delete: exactly what was kept long enough, in steps, events included, and space given back."""

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import retention
from ailf.async_tasks.journal.care.retention import delete_step, forget_owners, shrink_step
from ailf.async_tasks.journal.form.engine import Access, connect
from ailf.async_tasks.states import ENDED, TaskStatus
from tests.async_tasks.journal.support import (
    CANCELLED,
    COMPLETED,
    EARLY,
    FAILED,
    LATE,
    OWNER,
    RUNNING,
    insert,
    opened,
    update,
)

ENDS = {TaskStatus.COMPLETED: COMPLETED, TaskStatus.FAILED: FAILED, TaskStatus.CANCELLED: CANCELLED}
END = datetime.fromisoformat(LATE)
AFTER = END + timedelta(microseconds=1)


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """The writing connection of a journal with one owner."""
    opened(journal).close()
    connection = connect(journal, Access.WRITE)
    yield connection
    connection.close()


def add_ended(connection: sqlite3.Connection, task_id: str, status: TaskStatus, completed_at: str = LATE) -> None:
    """A task that ended, with an event."""
    insert(connection, "tasks", RUNNING | {"id": task_id})
    insert(connection, "task_events", {"task_id": task_id, "at": EARLY, "kind": "submitted"})
    update(connection, task_id, ENDS[status] | {"completed_at": completed_at})


def left(connection: sqlite3.Connection) -> list[str]:
    """The tasks that are still there."""
    return [task_id for (task_id,) in connection.execute("SELECT id FROM tasks ORDER BY id")]


@pytest.mark.parametrize("status", sorted(ENDED))
def test_exactly_one_end_state_goes(connection: sqlite3.Connection, status: TaskStatus) -> None:
    """A step deletes tasks of its state alone, with their events; unfinished ones never."""
    insert(connection, "tasks", RUNNING | {"id": "running"})
    for one in ENDED:
        add_ended(connection, one, one)
    assert delete_step(connection, status, AFTER) == 1
    assert left(connection) == sorted({"running", *ENDED} - {status})
    assert connection.execute("SELECT count(*) FROM task_events").fetchone() == (2,)
    for one in TaskStatus:
        delete_step(connection, one, AFTER)
    assert left(connection) == ["running"]


def test_the_limit_is_to_the_microsecond(connection: sqlite3.Connection) -> None:
    """What ended at the very moment stays; a microsecond later it goes."""
    add_ended(connection, "t1", TaskStatus.COMPLETED)
    assert delete_step(connection, TaskStatus.COMPLETED, END) == 0
    assert delete_step(connection, TaskStatus.COMPLETED, AFTER) == 1


def test_a_long_delete_goes_in_steps_oldest_first(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two of them others can write; what goes first is what ended first, whenever it was submitted."""
    monkeypatch.setattr(retention, "TASKS_A_STEP", 2)
    for task_id, second in (("c", 3), ("a", 5), ("b", 4), ("d", 6), ("e", 7)):
        add_ended(connection, task_id, TaskStatus.COMPLETED, f"2026-11-24T03:00:0{second}.000000Z")
    after = END + timedelta(minutes=1)
    steps = []
    while delete_step(connection, TaskStatus.COMPLETED, after):
        steps.append(left(connection))
    assert steps == [["a", "d", "e"], ["e"], []]


def test_stopped_owners_without_tasks_are_forgotten(connection: sqlite3.Connection) -> None:
    """One that runs stays, and so does one whose tasks are still told of."""
    stopped = {"stopped_at": LATE}
    insert(connection, "owners", OWNER | stopped | {"id": "gone"})
    insert(connection, "owners", OWNER | stopped | {"id": "told of"})
    insert(connection, "tasks", RUNNING | {"owner_id": "told of"})
    forget_owners(connection)
    assert connection.execute("SELECT id FROM owners ORDER BY id").fetchall() == [("o1",), ("told of",)]


def test_free_pages_are_given_back_in_steps(
    connection: sqlite3.Connection, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file shrinks, a bounded piece at a time, until nothing is free."""
    monkeypatch.setattr(retention, "PAGES_A_STEP", 10)
    insert(connection, "tasks", RUNNING | {"name": "x" * 200_000})
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    size = journal.stat().st_size
    connection.execute("DELETE FROM tasks")
    [(free,)] = connection.execute("PRAGMA freelist_count").fetchall()
    steps = 1
    while shrink_step(connection):
        steps += 1
    assert steps == -(-free // 10)
    assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert journal.stat().st_size <= size - 200_000


def test_nothing_free_is_nothing_to_do(connection: sqlite3.Connection) -> None:
    """A shrinking step on a full file writes nothing."""
    before = connection.total_changes
    assert shrink_step(connection) is False
    assert connection.total_changes == before


async def test_each_end_state_is_kept_as_long_as_it_says(journal: Path) -> None:
    """A mapping names some; the others stay for ever, and so does everything with None."""

    async def fail() -> None:
        raise ValueError("no")

    async with TaskManager(journal, retention={"completed": 0, "failed": None}) as manager:
        done = await manager.submit(asyncio.sleep(0))
        failed = await manager.submit(fail())
        await manager.wait_for_task(done)
        await manager.wait_for_task(failed)
        await manager.cleanup()
        assert [info.id for info in manager.list_tasks()] == [failed]
        assert manager.get_task_events(done) == []


async def test_more_than_one_step_goes_in_one_round(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, a clean-up deletes all that is due and says how many."""
    monkeypatch.setattr(retention, "TASKS_A_STEP", 3)
    async with TaskManager(journal, retention=None) as manager:
        ids = [await manager.submit(asyncio.sleep(0)) for _ in range(7)]
        for task_id in ids:
            await manager.wait_for_task(task_id)
        assert manager._session is not None
        assert await manager._session.journal.delete_ended({TaskStatus.COMPLETED: timedelta(0)}) == 7
        assert manager.count_tasks() == 0
