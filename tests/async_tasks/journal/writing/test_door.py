"""The door to the file: nothing goes into a file that is not the journal, and a vanished log loses nothing."""

import asyncio
import logging
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, current_task
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.form.place import Displacement
from ailf.async_tasks.journal.writing.door import Door
from ailf.errors import JournalError, UnwrittenChangesError
from tests.async_tasks.journal.support import python, run, snapshot
from tests.conftest import until

ANOTHER = """
import asyncio, sys
from ailf.async_tasks import TaskManager

async def main():
    async with TaskManager(sys.argv[1], retention=None) as manager:
        for number in range(int(sys.argv[3])):
            await manager.result(await manager.submit(asyncio.sleep(0), task_id=f"{sys.argv[2]}{number}"))

asyncio.run(main())
"""


def log_of(journal: Path) -> Path:
    """The write-ahead log."""
    return journal.with_name(f"{journal.name}-wal")


def index_of(journal: Path) -> Path:
    """The index of the log."""
    return journal.with_name(f"{journal.name}-shm")


def rows(journal: Path, sql: str) -> list[Any]:
    """What another process reads, with the shell."""
    return run("sqlite3", journal, sql).stdout.splitlines()


async def run_tasks(manager: TaskManager, prefix: str, number: int) -> None:
    """Have so many tasks run, and acknowledged."""
    for one in range(number):
        await manager.result(await manager.submit(asyncio.sleep(0, one), task_id=f"{prefix}{one}"))


def delete_log(journal: Path) -> None:
    """The log alone."""
    log_of(journal).unlink()


def delete_index(journal: Path) -> None:
    """The log's index alone."""
    index_of(journal).unlink()


def delete_both(journal: Path) -> None:
    """Both."""
    log_of(journal).unlink()
    index_of(journal).unlink()


def rename_log(journal: Path) -> None:
    """The log under another name."""
    log_of(journal).rename(journal.with_name("elsewhere"))


def replace_log(journal: Path) -> None:
    """A copy of the log in its place."""
    copy = journal.with_name("copy")
    shutil.copy(log_of(journal), copy)
    copy.rename(log_of(journal))


def replace_log_by_nothing(journal: Path) -> None:
    """An empty file in its place."""
    empty = journal.with_name("empty")
    empty.touch()
    empty.rename(log_of(journal))


def rename_index(journal: Path) -> None:
    """The index under another name."""
    index_of(journal).rename(journal.with_name("elsewhere"))


def replace_index(journal: Path) -> None:
    """An empty file in its place."""
    copy = journal.with_name("copy")
    # Of the index the program has no copy: to open and close it would drop SQLite's locks.
    copy.touch()
    copy.rename(index_of(journal))


def copy_and_let_another_use_it(journal: Path) -> None:
    """The program copies its own journal, and the next one to leave deletes the log."""
    shutil.copy(journal, journal.with_name("copy"))
    python(ANOTHER, journal, "other", 3)


def delete_both_and_let_another_use_it(journal: Path) -> None:
    """Another process makes a new log, writes, and brings it into the file."""
    delete_both(journal)
    python(ANOTHER, journal, "other", 3)


ATTACKS = [
    *(delete_log, delete_index, delete_both, rename_log, replace_log, replace_log_by_nothing, rename_index),
    *(replace_index, copy_and_let_another_use_it, delete_both_and_let_another_use_it),
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_promise_1_a_log_that_is_taken_away_loses_nothing(
    journal: Path, attack: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    """What was acknowledged before and after it is in the journal, for who reads it afresh, and it is said."""
    manager = TaskManager(journal, retention=None, cleanup_interval=1000)
    await manager.start()
    await run_tasks(manager, "before", 20)
    gate = asyncio.Event()
    await manager.submit(gate.wait(), task_id="running", metadata={"user": "ü"})
    manager.update_progress("running", 20, "on its way")
    await until(lambda: manager.health().unwritten == 0)
    await asyncio.to_thread(attack, journal)
    manager.update_progress("running", 30)
    await run_tasks(manager, "after", 20)
    gate.set()
    assert await manager.result("running") is True
    others = 3 if attack.__name__.endswith("use_it") else 0
    assert rows(journal, "SELECT status, count(*) FROM tasks GROUP BY 1") == [f"completed|{41 + others}"]
    assert rows(journal, "SELECT kind, progress FROM task_events WHERE task_id = 'running' ORDER BY seq") == [
        *("submitted|", "started|", "progress|20", "progress|30", "completed|")
    ]
    assert rows(journal, "PRAGMA integrity_check; PRAGMA foreign_key_check") == ["ok"]
    assert "was taken away" in caplog.text
    assert manager.health().is_writable
    assert len(manager.list_tasks()) == len(await manager.alist_tasks()) == 41 + others
    await manager.stop()
    assert rows(journal, "SELECT count(*) FROM tasks") == [str(41 + others)]
    assert rows(journal, "SELECT count(*) FROM owners WHERE stopped_at IS NULL") == ["0"]
    assert not list(journal.parent.glob("*.rescued*"))


async def test_an_idle_manager_notices_by_itself(manager: TaskManager, journal: Path) -> None:
    """Nobody need write: what is in the vanished log alone comes into the journal soon."""
    await run_tasks(manager, "t", 5)
    delete_both(journal)
    await until(lambda: log_of(journal).exists())
    await until(lambda: rows(journal, "SELECT count(*) FROM tasks") == ["5"])


async def test_two_managers_of_one_process_let_go_of_a_vanished_log(journal: Path) -> None:
    """SQLite goes on with a vanished log as long as one connection of the process has it; both lose nothing."""
    async with TaskManager(journal) as one, TaskManager(journal) as two:
        await run_tasks(one, "one", 5)
        await run_tasks(two, "two", 5)
        delete_both(journal)
        for name, manager in (("one", one), ("two", two)):

            async def insist(task_id: str, manager: TaskManager = manager) -> None:
                while True:
                    try:
                        await manager.submit(asyncio.sleep(0), task_id=task_id)
                    except JournalError:
                        await asyncio.sleep(0.01)
                    else:
                        return

            await insist(f"{name}-after")
        assert rows(journal, "SELECT count(*) FROM tasks") == ["12"]


async def test_a_connection_of_the_program_s_own_keeps_a_vanished_log(manager: TaskManager, journal: Path) -> None:
    """It is refused and said as long as it is open; what waits is written, and what was in the log, once it is not."""
    gate = asyncio.Event()
    await manager.submit(gate.wait(), task_id="running")
    own = sqlite3.connect(journal)
    own.execute("SELECT count(*) FROM tasks").fetchall()
    delete_both(journal)
    with pytest.raises(JournalError, match="Close those of your own"):
        await manager.submit(asyncio.sleep(0), task_id="refused")
    gate.set()
    await until(lambda: manager.health().unwritten == 1)
    own.close()
    assert await manager.result("running") is True
    assert rows(journal, "SELECT id, status FROM tasks") == ["running|completed"]


async def test_promise_6_a_renamed_journal_is_written_by_nobody(journal: Path) -> None:
    """Neither a write nor a checkpoint, a clean-up or a stop goes into a file that another process uses by now."""
    manager = TaskManager(journal, retention=timedelta(0), cleanup_interval=1000)
    await manager.start()
    await run_tasks(manager, "a", 50)
    other = journal.with_name("other.db")
    journal.rename(other)
    await asyncio.to_thread(python, ANOTHER, other, "b", 50)
    before = snapshot(journal.parent)
    for call in (manager.cleanup, lambda: manager.submit(asyncio.sleep(0)), manager._session.journal.recover):  # type: ignore[union-attr]
        with pytest.raises(JournalError, match="renamed"):
            await call()
    assert not manager.health().is_writable
    with pytest.raises(UnwrittenChangesError, match="that this manager has stopped"):
        await manager.stop()
    assert snapshot(journal.parent) == before
    assert rows(other, "SELECT count(*) FROM tasks WHERE id GLOB 'b*'") == ["50"]
    assert rows(other, "PRAGMA integrity_check") == ["ok"]


async def test_a_renamed_journal_that_comes_back_has_lost_nothing(manager: TaskManager, journal: Path) -> None:
    """Meanwhile nothing is acknowledged; afterwards all that waited is written."""
    gate = asyncio.Event()
    await manager.submit(gate.wait(), task_id="running")
    away = journal.with_name("away.db")
    journal.rename(away)
    with pytest.raises(JournalError, match="renamed"):
        await manager.submit(asyncio.sleep(0))
    gate.set()
    await until(lambda: manager.health().unwritten == 1)
    away.rename(journal)
    assert await manager.result("running") is True
    assert rows(journal, "SELECT id, status FROM tasks") == ["running|completed"]


async def test_promise_6_a_replaced_journal_is_left_alone(journal: Path) -> None:
    """Another file at the journal's name, and its log, stay byte for byte as they are."""
    manager = TaskManager(journal, cleanup_interval=1000)
    await manager.start()
    await run_tasks(manager, "a", 5)
    run("sqlite3", journal, f"VACUUM INTO '{journal}.new'")
    Path(f"{journal}.new").replace(journal)
    with pytest.raises(JournalError, match="replaced"):
        await manager.submit(asyncio.sleep(0))
    with pytest.raises(JournalError, match="replaced"):
        await manager.alist_tasks()
    before = snapshot(journal.parent)
    with pytest.raises(UnwrittenChangesError):
        await manager.stop()
    assert snapshot(journal.parent) == before


async def test_a_commit_that_may_be_nowhere_is_acknowledged_once_it_is_found(
    manager: TaskManager, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal that moves between the last look and the commit: nobody is told, and nothing is written twice."""
    writer = manager._session.journal.writer  # type: ignore[union-attr]
    away = journal.with_name("away.db")
    leave = writer._door.leave
    moved: list[bool] = []

    def moving_leave() -> None:
        if not moved and writer._backlog.under_way:
            moved.append(True)
            journal.rename(away)
        leave()

    monkeypatch.setattr(writer._door, "leave", moving_leave)
    submitting = asyncio.create_task(manager.submit(asyncio.sleep(0, "done"), task_id="unsure"))
    await until(lambda: not manager.health().is_writable)
    assert not submitting.done()
    away.rename(journal)
    assert await submitting == "unsure"
    assert await manager.result("unsure") == "done"
    assert rows(journal, "SELECT kind FROM task_events") == ["submitted", "started", "completed"]


async def test_a_program_that_ends_without_a_stop_leaves_a_replaced_journal_alone(journal: Path) -> None:
    """The exit of a process closes nothing that is not its own."""
    program = """
import asyncio, os, sys
from ailf.async_tasks import TaskManager

async def main():
    manager = TaskManager(sys.argv[1])
    await manager.start()
    for number in range(5):
        await manager.result(await manager.submit(asyncio.sleep(0)))
    os.rename(sys.argv[1], sys.argv[1] + ".away")

asyncio.run(main())
"""
    python(program, journal)
    away = Path(f"{journal}.away")
    with closing(sqlite3.connect(f"file:{away}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM tasks").fetchall() == [(0,)]
    away.rename(journal)
    assert rows(journal, "SELECT count(*) FROM tasks") == ["5"]


async def test_what_is_taken_further_and_what_is_not(journal: Path) -> None:
    """A guess of recovery elsewhere gives way to the end in the log; what went on meanwhile is not taken back."""
    manager = TaskManager(journal, retention=None, cleanup_interval=1000)
    await manager.start()
    gate = asyncio.Event()
    await manager.submit(gate.wait(), task_id="long")
    await asyncio.to_thread(shutil.copy, journal, journal.with_name("copy"))
    door = manager._session.journal._door  # type: ignore[union-attr]
    run("sqlite3", journal, "PRAGMA wal_checkpoint(TRUNCATE)")
    await run_tasks(manager, "a", 2)

    async def talkative() -> None:
        current_task().update_progress(50, "half")
        await gate.wait()

    await manager.submit(talkative(), task_id="talkative")
    await until(lambda: rows(journal, "SELECT progress FROM tasks WHERE id = 'talkative'") == ["50"])
    delete_both(journal)
    run(
        "sqlite3",
        journal,
        "INSERT INTO task_events (task_id, at, kind, progress) SELECT id, '9', 'progress', 9 FROM tasks",
    )
    assert door.look() is Displacement.LOG
    await until(lambda: door.look() is Displacement.NONE)
    events = "SELECT seq, kind FROM task_events WHERE task_id = '{}' ORDER BY seq"
    assert [row.split("|")[1] for row in rows(journal, events.format("long"))] == ["submitted", "started", "progress"]
    kinds = [row.split("|")[1] for row in rows(journal, events.format("talkative"))]
    assert kinds == ["submitted", "started", "progress"]
    assert rows(journal, "SELECT progress, progress_message FROM tasks WHERE id = 'talkative'") == ["50|half"]
    gate.set()
    assert await manager.result("long") is True
    await manager.stop()


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)


def test_a_closed_door_keeps_nobody_from_reading(journal: Path) -> None:
    """With its last connection SQLite takes the log away; whoever still watches reads the last events."""
    ensure_current(journal)
    door = Door(journal)
    door.close()
    assert not log_of(journal).exists()
    door.assert_here()
