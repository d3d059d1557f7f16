"""Backups, and putting one in a journal's place: nothing of the replaced journal comes back."""

import asyncio
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import upkeep
from ailf.async_tasks.journal.care.inspection import assert_log_belongs, counters_in
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.care.restore import restore
from ailf.errors import InvalidArgumentError, InvalidTypeError, JournalError, NotAJournalError, UnwrittenChangesError
from tests.async_tasks.journal.support import fill, python, run, snapshot

KILLED = """
import asyncio, os, sys
from ailf.async_tasks import TaskManager

async def main():
    manager = TaskManager(sys.argv[1], retention=None)
    await manager.start()
    for number in range(int(sys.argv[3])):
        await manager.result(await manager.submit(asyncio.sleep(0), task_id=f"{sys.argv[2]}{number}"))
    await manager.submit(asyncio.sleep(100), task_id=f"{sys.argv[2]}-unfinished")
    os._exit(0)

asyncio.run(main())
"""


def log_of(journal: Path) -> Path:
    """The write-ahead log."""
    return journal.with_name(f"{journal.name}-wal")


def rows(path: Path, sql: str) -> list[Any]:
    """What a journal says, read without a trace."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def backup(journal: Path, tmp_path: Path) -> Path:
    """A backup of a journal that went on, and whose program was killed then: its log lies beside it."""
    copy = tmp_path / "backup.db"
    python(KILLED, journal, "early", 3)
    upkeep.backup(journal, copy)
    python(KILLED, journal, "late", 3)
    assert log_of(journal).stat().st_size > 0
    return copy


def test_a_restored_journal_is_the_backup_alone(journal: Path, backup: Path) -> None:
    """The replaced journal is kept as it was, its log and its locks with it; what was unfinished is FAILED."""
    before = snapshot(journal.parent)
    id_before = run("sqlite3", backup, "SELECT id FROM journal").stdout
    done = restore(journal, backup)
    assert done.failed == 1
    assert rows(journal, "SELECT id, status, reason FROM tasks ORDER BY rowid") == [
        *((f"early{number}", "completed", None) for number in range(3)),
        ("early-unfinished", "failed", "process_died"),
    ]
    assert rows(journal, "SELECT id FROM journal") != [(id_before.strip(),)]
    assert done.aside is not None
    after = snapshot(journal.parent)
    for suffix in ("", "-wal", "-shm"):
        assert after[done.aside.name + suffix] == before[journal.name + suffix]
    assert not log_of(journal).exists()
    assert after[backup.name] == before[backup.name]
    assert run("sqlite3", done.aside, "SELECT count(*) FROM tasks").stdout == "8\n"


async def test_a_manager_goes_on_with_a_restored_journal(journal: Path, backup: Path) -> None:
    """It reads what the backup has, and writes."""
    restore(journal, backup)
    async with TaskManager(journal, retention=None) as manager:
        assert manager.count_tasks() == 4
        assert await manager.result(await manager.submit(asyncio.sleep(0, "fine"))) == "fine"


async def test_a_restore_under_a_manager_is_refused(manager: TaskManager, journal: Path, tmp_path: Path) -> None:
    """Its lock says so, whatever state the file is in; nothing is changed."""
    copy = tmp_path / "copy.db"
    await manager.backup(copy)
    with pytest.raises(JournalError, match="in use by the manager"):
        restore(journal, copy)
    assert await manager.result(await manager.submit(asyncio.sleep(0, "fine"))) == "fine"
    assert not list(tmp_path.glob("*.re*"))


def test_a_damaged_or_missing_journal_is_restored(journal: Path, backup: Path) -> None:
    """What is to be replaced need not be readable, nor there."""
    journal.write_bytes(b"not even SQLite" * 1000)
    restore(journal, backup)
    assert rows(journal, "SELECT count(*) FROM tasks") == [(4,)]
    journal.unlink()
    assert restore(journal, backup).aside is None
    assert rows(journal, "SELECT count(*) FROM tasks") == [(4,)]


def test_what_is_no_backup_is_refused(journal: Path, tmp_path: Path) -> None:
    """The journal itself, by any name, another program's file, and nothing at all."""
    fill(journal)
    link = tmp_path / "link"
    link.symlink_to(journal)
    other = tmp_path / "other"
    other.write_text("text")
    before = snapshot(tmp_path)
    for backup, error in (
        (journal, InvalidArgumentError),
        (link, InvalidArgumentError),
        (other, NotAJournalError),
        (tmp_path / "missing", InvalidArgumentError),
    ):
        with pytest.raises(error):
            restore(journal, backup)
    assert snapshot(tmp_path) == before


async def test_a_manager_backs_up_all_that_it_has_acknowledged(manager: TaskManager, tmp_path: Path) -> None:
    """One plain file, for its user alone, while tasks run; it replaces nothing."""
    for number in range(5):
        await manager.result(await manager.submit(asyncio.sleep(0), task_id=f"t{number}"))
    copy = tmp_path / "copies.db"
    size = await manager.backup(str(copy))
    assert size == copy.stat().st_size
    assert copy.stat().st_mode & 0o777 == 0o600
    assert rows(copy, "SELECT count(*) FROM tasks") == [(5,)]
    with pytest.raises(InvalidArgumentError, match="is there already"):
        await manager.backup(copy)
    with pytest.raises(InvalidTypeError):
        await manager.backup(None)  # type: ignore[arg-type]
    with pytest.raises(JournalError, match="cannot be written"):
        await manager.backup(tmp_path / "no folder" / "copy.db")


def test_a_backup_in_the_place_of_a_killed_journal_is_refused(journal: Path, backup: Path) -> None:
    """SQLite would write the old log into it: nothing is changed, and the advice works."""
    shutil.copy(backup, journal)
    before = snapshot(journal.parent)
    with pytest.raises(JournalError, match=r"belongs to another file.*ailf journal restore"):
        ensure_current(journal)
    with pytest.raises(JournalError, match="belongs to another file"):
        upkeep.facts(journal)
    # SQLite makes the log's index anew for whoever reads.
    index = f"{journal.name}-shm"
    assert snapshot(journal.parent) | {index: b""} == before | {index: b""}
    restore(journal, backup)
    ensure_current(journal)
    assert rows(journal, "SELECT count(*) FROM tasks") == [(4,)]


def test_a_plain_copy_in_the_place_of_a_killed_journal_is_refused(journal: Path, tmp_path: Path) -> None:
    """Made with ``cp`` while no program ran, and put back with ``cp``, as people do."""
    fill(journal)
    copy = tmp_path / "copy.db"
    shutil.copy(journal, copy)
    python(KILLED, journal, "late", 3)
    shutil.copy(copy, journal)
    with pytest.raises(JournalError, match="belongs to another file"):
        ensure_current(journal)


def test_a_log_that_belongs_to_its_file_is_never_refused(journal: Path) -> None:
    """Whatever was brought into the file before its program was killed, and however often that has happened."""
    for number in range(4):
        python(KILLED, journal, f"t{number}-", 5)
        assert_log_belongs(journal)
        assert counters_in(log_of(journal))
        connection = sqlite3.connect(journal)
        connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if number % 2 else 'PASSIVE'})").fetchall()
        connection.execute("CREATE TABLE more (x)")
        connection.execute("DROP TABLE more")
        assert_log_belongs(journal)
        connection.close()
        assert_log_belongs(journal)


async def test_a_file_that_is_overwritten_in_place_is_written_no_more(journal: Path, backup: Path) -> None:
    """``cp`` leaves the file its number: what the running manager notices, it says, and touches nothing after."""
    journal.unlink()
    log_of(journal).unlink()
    manager = TaskManager(journal, cleanup_interval=1000)
    await manager.start()
    await manager.result(await manager.submit(asyncio.sleep(0)))
    await asyncio.to_thread(run, "cp", backup, journal)
    manager._session.journal.writer.look_after_the_place()  # type: ignore[union-attr]
    with pytest.raises(JournalError, match="emptied or overwritten"):
        await manager.submit(asyncio.sleep(0))
    before = snapshot(journal.parent)
    with pytest.raises(UnwrittenChangesError):
        await manager.stop()
    assert snapshot(journal.parent) == before


def copied_over(journal: Path, backup: Path) -> None:
    """With ``cp``, which keeps the file its number."""
    run("cp", backup, journal)


def emptied(journal: Path, backup: Path) -> None:
    """As ``: > tasks.db`` does."""
    os.truncate(journal, 0)


def zeroed(journal: Path, backup: Path) -> None:
    """As long as it was, and with nothing in it."""
    run("dd", "if=/dev/zero", f"of={journal}", "bs=4096", f"count={journal.stat().st_size // 4096}", "conv=notrunc")


def another_program_s(journal: Path, backup: Path) -> None:
    """An export with the journal as its output, say."""
    run("cp", __file__, journal)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("overwrite", [copied_over, emptied, zeroed, another_program_s])
async def test_promise_6_nothing_is_acknowledged_into_a_file_that_was_overwritten(
    journal: Path, backup: Path, overwrite: Callable[[Path, Path], None]
) -> None:
    """What is submitted next is refused, what runs waits and is listed by the stop, and nothing is written."""
    for file in (journal, log_of(journal)):
        file.unlink()
    manager = TaskManager(journal, cleanup_interval=1000)
    await manager.start()
    gate = asyncio.Event()
    await manager.submit(gate.wait(), task_id="running")
    await asyncio.to_thread(overwrite, journal, backup)
    for _ in range(2):
        with pytest.raises(JournalError, match="emptied or overwritten"):
            await manager.submit(asyncio.sleep(0))
    assert not manager.health().is_writable
    before = snapshot(journal.parent)
    gate.set()
    with pytest.raises(UnwrittenChangesError, match="running"):
        await manager.stop()
    assert snapshot(journal.parent) == before


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("part", [0, 0.5])
async def test_a_log_that_was_cut_is_not_brought_into_the_journal(journal: Path, part: float) -> None:
    """SQLite would go on behind the hole, and bring what is in it into the file: the journal itself stays whole."""
    manager = TaskManager(journal, retention=None, cleanup_interval=1000)
    await manager.start()
    for number in range(20):
        await manager.result(await manager.submit(asyncio.sleep(0), task_id=f"t{number}"))
    os.truncate(log_of(journal), int(log_of(journal).stat().st_size * part))
    with pytest.raises(JournalError, match="emptied or overwritten"):
        await manager.submit(asyncio.sleep(0))
    with pytest.raises(UnwrittenChangesError):
        await manager.stop()
    async with TaskManager(journal) as manager:
        await manager.result(await manager.submit(asyncio.sleep(0)))
    assert rows(journal, "PRAGMA integrity_check") == [("ok",)]


async def test_what_other_managers_bring_into_the_file_overwrites_nothing(journal: Path) -> None:
    """Its size and times change with each checkpoint, of whomever; everybody goes on."""
    async with TaskManager(journal) as one, TaskManager(journal) as other:
        for number in range(20):
            manager = (one, other)[number % 2]
            await manager.result(await manager.submit(asyncio.sleep(0), metadata={"much": "x" * 20_000}))
            with closing(sqlite3.connect(journal)) as third:
                third.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if number % 3 else 'PASSIVE'})").fetchall()
        assert one.count_tasks("completed") == 20
