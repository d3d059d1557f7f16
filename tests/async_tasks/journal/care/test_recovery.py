"""Recovery of owners that died in every way, and nothing done to those that did not."""

import asyncio
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import locks, machine
from ailf.async_tasks.journal.care.life import Lock, Owner, Verdict
from ailf.async_tasks.journal.care.locks import OwnerLock
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.care.owners import register, this_process
from ailf.async_tasks.journal.care.recovery import Recovery, examine, recover, recover_alone, recover_owner
from ailf.async_tasks.journal.form.engine import Access, connect
from ailf.async_tasks.journal.form.paths import owners_folder
from ailf.errors import InvalidArgumentError, JournalError
from tests.async_tasks.journal.support import COMPLETED, PENDING, RUNNING, insert, update
from tests.conftest import PATIENCE_SECONDS

ELSEWHERE: dict[str, Any] = {"host": "elsewhere", "boot_id": "other", "pid_namespace": "other"}


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """The writing connection of a current journal."""
    ensure_current(journal)
    connection = connect(journal, Access.WRITE)
    yield connection
    connection.close()


def add(connection: sqlite3.Connection, owner: Owner, *task_ids: str) -> None:
    """Register an owner with running tasks."""
    register(connection, owner)
    for task_id in task_ids:
        insert(connection, "tasks", RUNNING | {"id": task_id, "owner_id": owner.id})


def statuses(connection: sqlite3.Connection) -> dict[str, str]:
    """Each task's status."""
    return dict(connection.execute("SELECT id, status FROM tasks").fetchall())


def touch_lock(journal: Path, owner: Owner) -> Path:
    """The lock file of an owner that died: there, and free."""
    file = owners_folder(journal) / f"{owner.id}.lock"
    file.touch()
    return file


def test_recovery_ends_exactly_what_the_dead_left_unfinished(connection: sqlite3.Connection, journal: Path) -> None:
    """Pending and running tasks become FAILED with one event each; ended ones and those of the living stay."""
    dead, living, me = this_process(), this_process(), this_process()
    add(connection, dead, "running", "ended")
    insert(connection, "tasks", PENDING | {"id": "pending", "owner_id": dead.id})
    update(connection, "ended", COMPLETED)
    add(connection, living, "theirs")
    add(connection, me, "mine")
    file = touch_lock(journal, dead)
    lock = OwnerLock(journal, living.id)
    assert lock.acquire()
    assert recover(connection, journal, me) == Recovery(2)
    lock.release()
    assert statuses(connection) == {
        "running": "failed",
        "pending": "failed",
        "ended": "completed",
        "theirs": "running",
        "mine": "running",
    }
    error = f"The process that ran this task (pid {dead.pid} on {dead.host}) ended before the task did"
    failed = connection.execute("SELECT id, reason, error, error_type, result FROM tasks WHERE status = 'failed'")
    assert sorted(failed) == [(task_id, "process_died", error, None, None) for task_id in ("pending", "running")]
    events = connection.execute("SELECT task_id, kind, message FROM task_events").fetchall()
    assert sorted(events) == [("pending", "failed", error), ("running", "failed", error)]
    times = "SELECT count(*) FROM tasks JOIN task_events ON task_id = tasks.id AND at = completed_at"
    assert connection.execute(times).fetchone() == (2,)
    found = "SELECT id FROM owners WHERE found_dead_at IS NOT NULL AND stopped_at IS NULL"
    assert connection.execute(found).fetchall() == [(dead.id,)]
    assert not file.exists()
    assert recover(connection, journal, me).failed == 0


def test_a_clock_that_steps_back_gives_no_end_before_the_start(connection: sqlite3.Connection, journal: Path) -> None:
    """A task that started in the recoverer's future ends at its start."""
    dead = this_process()
    future = "2999-01-01T00:00:00.000000Z"
    register(connection, dead)
    insert(connection, "tasks", RUNNING | {"id": "t1", "owner_id": dead.id, "started_at": future})
    insert(connection, "tasks", PENDING | {"id": "t2", "owner_id": dead.id, "created_at": future})
    touch_lock(journal, dead)
    assert recover(connection, journal, this_process()) == Recovery(2)
    assert connection.execute("SELECT DISTINCT completed_at FROM tasks").fetchall() == [(future,)]
    assert connection.execute("SELECT DISTINCT at FROM task_events").fetchall() == [(future,)]


@pytest.mark.parametrize("change", [{"boot_id": "another"}, {"host": "another"}, ELSEWHERE])
def test_a_free_lock_is_death_wherever_it_was(
    connection: sqlite3.Connection, journal: Path, change: dict[str, Any]
) -> None:
    """All who use a journal run on one kernel, whatever the container or the boot is called by now."""
    dead = replace(this_process(), **change)
    add(connection, dead, "t1")
    file = touch_lock(journal, dead)
    assert recover(connection, journal, this_process()).failed == 1
    assert not file.exists()


def test_on_a_shared_file_system_a_free_lock_of_another_machine_says_nothing(
    connection: sqlite3.Connection, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the locks of this machine alone are seen: whoever died on it is dead, nobody else is judged."""
    monkeypatch.setattr(machine, "shared_file_system", lambda path: "nfs4")
    theirs, ours = replace(this_process(), **ELSEWHERE), this_process()
    add(connection, theirs, "theirs")
    add(connection, ours, "ours")
    file = touch_lock(journal, theirs)
    touch_lock(journal, ours)
    assert recover(connection, journal, this_process()) == Recovery(1, (theirs,))
    assert statuses(connection) == {"theirs": "running", "ours": "failed"}
    assert file.exists()


def test_a_removed_lock_file_proves_nothing_while_the_process_lives(
    connection: sqlite3.Connection, journal: Path
) -> None:
    """Somebody tidied the folder: the owner, whose process is this one, keeps its tasks."""
    living = this_process()
    add(connection, living, "t1")
    assert recover(connection, journal, this_process()) == Recovery(0, without_lock=(living,))
    assert statuses(connection) == {"t1": "running"}


@pytest.mark.parametrize("change", [{"pid_namespace": "another"}, {"boot_id": "another"}, {"process_started": None}])
def test_without_its_lock_file_whoever_cannot_be_seen_is_not_judged(
    connection: sqlite3.Connection, journal: Path, change: dict[str, Any]
) -> None:
    """In another container the same pid is another process, and none with it proves nothing, either."""
    for pid in (os.getpid(), 2**22 + 1):
        theirs = replace(this_process(), pid=pid, **change)
        add(connection, theirs, str(pid))
    found = recover(connection, journal, this_process())
    assert (found.failed, len(found.unknown)) == (0, 2)


@pytest.mark.parametrize("kind", ["file", "folder", "pipe", "link", "other name"])
def test_a_lock_on_another_file_of_the_name_proves_nothing(
    connection: sqlite3.Connection, journal: Path, kind: str
) -> None:
    """A restored or planted one is not the file that the owner holds: the owner, whose process is this one, lives."""
    living, ended = this_process(), replace(this_process(), lock_inode=1, pid=2**22 + 1)
    lock = OwnerLock(journal, living.id)
    assert lock.acquire()
    living = replace(living, lock_inode=lock.inode)
    add(connection, living, "t1")
    add(connection, ended, "t2")
    for owner in (living, ended):
        file = owners_folder(journal) / f"{owner.id}.lock"
        file.unlink(missing_ok=True)
        put_in_place(kind, file)
        assert (examine(journal, owner, this_process()) is Verdict.ALIVE) == (owner is living)
    for _ in range(2):
        recover(connection, journal, this_process())
    assert statuses(connection) == {"t1": "running", "t2": "failed"}
    lock.release()


def put_in_place(kind: str, file: Path) -> None:
    """Put something of the kind at the name of a lock file."""
    match kind:
        case "folder":
            file.mkdir()
        case "pipe":
            os.mkfifo(file)
        case "link":
            file.symlink_to(file)
        case "other name":
            other = file.with_suffix(".other")
            other.touch()
            file.hardlink_to(other)
        case _:
            file.touch()


async def test_a_manager_whose_lock_file_cannot_be_put_back_cleans_up_all_the_same(
    journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once; whoever is dead is found, and the manager's own tasks are left alone."""
    async with TaskManager(journal) as manager, TaskManager(journal) as other:
        await manager.submit(asyncio.sleep(3600), task_id="t1")
        with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
            [(owner,)] = connection.execute("SELECT owner_id FROM tasks").fetchall()
            add(connection, replace(this_process(), pid=2**22 + 1), "t2")
        file = owners_folder(journal) / f"{owner}.lock"
        file.unlink()
        file.mkdir()
        for _ in range(2):
            await manager.cleanup()
            await other.cleanup()
        assert caplog.text.count("cannot be put back") == 1
        assert [info.status for info in other.list_tasks()] == ["running", "failed"]
        file.rmdir()
        await manager.cleanup()
        assert locks.probe(journal, owner) is Lock.HELD
        assert [found.name for found in owners_folder(journal).glob("*.new")] == []


def test_without_its_lock_file_a_pid_that_is_used_again_is_no_life(
    connection: sqlite3.Connection, journal: Path
) -> None:
    """Some process has its pid, which started at another time: the owner has ended."""
    here = this_process()
    assert here.process_started is not None
    add(connection, replace(here, process_started=here.process_started - 1), "t1")
    assert recover(connection, journal, this_process()).failed == 1


def test_whoever_is_alone_with_a_journal_finds_all_others_dead(journal: Path) -> None:
    """A backup that was restored in a container, whose program always has the same pid: nobody else has it open."""
    ensure_current(journal)
    lost, held = replace(this_process(), pid_namespace="another"), this_process()
    with closing(connect(journal, Access.WRITE)) as connection:
        add(connection, lost, "lost")
        add(connection, held, "held")
        assert recover_alone(journal, this_process()) is None
    lock = OwnerLock(journal, held.id)
    assert lock.acquire()
    assert recover_alone(journal, this_process()) == Recovery(1)
    lock.release()
    with closing(connect(journal, Access.WRITE)) as connection:
        assert statuses(connection) == {"lost": "failed", "held": "running"}
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)


async def test_a_start_finds_them_dead_only_when_it_is_alone(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While somebody else has the journal open nobody can tell, which is said once, with what to do about it."""
    ensure_current(journal)
    unseen = replace(this_process(), pid_namespace="another")
    with closing(connect(journal, Access.WRITE)) as other:
        add(other, unseen, "t1")
        with caplog.at_level(logging.WARNING, "ailf.async_tasks"):
            async with TaskManager(journal) as manager:
                await manager.cleanup()
                await manager.cleanup()
                assert statuses(other) == {"t1": "running"}
        [said] = [record.message for record in caplog.records if "Nobody can tell" in record.message]
        assert f"ailf journal recover --owner {unseen.id}" in said
    async with TaskManager(journal) as manager:
        info = manager.get_task_info("t1")
        assert info is not None
        assert (info.status, info.reason) == ("failed", "process_died")


async def test_a_copy_of_a_journal_is_nobody_s_while_its_writer_lives(journal: Path, tmp_path: Path) -> None:
    """Its process runs, and has another file open: what was unfinished in the copy is FAILED at the first start."""
    folder = tmp_path / "live"
    folder.mkdir()
    async with TaskManager(folder / "tasks.db") as living:
        await living.submit(asyncio.sleep(3600), task_id="t1")
        await living.backup(journal)
        shutil.copytree(owners_folder(folder / "tasks.db"), owners_folder(journal))
        async with TaskManager(journal) as manager:
            info = manager.get_task_info("t1")
            assert info is not None
            assert (info.status, info.reason) == ("failed", "process_died")
        info = living.get_task_info("t1")
        assert info is not None
        assert info.status == "running"


READS_ITS_OWN_BYTES = """
import asyncio, pathlib, shutil, sys
from ailf.async_tasks import TaskManager
async def main():
    async with TaskManager(sys.argv[1], cleanup_interval=3600) as manager:
        gate = asyncio.Event()
        await manager.submit(gate.wait(), task_id="t1")
        pathlib.Path(sys.argv[1]).read_bytes()
        shutil.rmtree(sys.argv[1] + ".owners")
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        gate.set()
        print(await manager.result("t1"), flush=True)
asyncio.run(main())
"""


async def test_a_process_without_locks_is_seen_by_what_it_has_open(journal: Path) -> None:
    """It read the journal's own bytes, which drops SQLite's locks, and its lock file is gone: it is no dead one."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", READS_ITS_OWN_BYTES, journal), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    assert machine.is_open_elsewhere(journal)
    async with TaskManager(journal) as manager:
        info = manager.get_task_info("t1")
        assert info is not None
        assert info.status == "running"
    assert (await asyncio.wait_for(process.communicate(b"go on\n"), PATIENCE_SECONDS))[0] == b"True\n"


def test_recovery_begins_with_unfinished_tasks(connection: sqlite3.Connection, journal: Path) -> None:
    """An owner whose row says that it stopped, or was found dead, may have left some all the same."""
    stopped, found_dead = this_process(), this_process()
    add(connection, stopped, "t1")
    add(connection, found_dead, "t2")
    connection.execute("UPDATE owners SET stopped_at = started_at WHERE id = ?", (stopped.id,))
    connection.execute("UPDATE owners SET found_dead_at = started_at WHERE id = ?", (found_dead.id,))
    before = connection.execute("SELECT * FROM owners ORDER BY id").fetchall()
    assert recover(connection, journal, this_process()) == Recovery(2)
    assert connection.execute("SELECT * FROM owners ORDER BY id").fetchall() == before


def test_a_person_may_say_who_is_dead(connection: sqlite3.Connection, journal: Path) -> None:
    """By the id or its beginning, if it is one owner's, and never of one that is alive."""
    unseen = replace(this_process(), id="00aa", pid_namespace="another")
    living, held = replace(this_process(), id="00bb"), replace(this_process(), id="11cc", pid_namespace="another")
    for owner in (unseen, living, held):
        add(connection, owner, f"of {owner.id}")
    lock = OwnerLock(journal, held.id)
    assert lock.acquire()
    me = this_process()
    for nobody in ("", "00", "ff"):
        with pytest.raises(InvalidArgumentError, match="ailf journal info"):
            recover_owner(connection, journal, me, nobody)
    for alive in (living, held):
        with pytest.raises(JournalError, match="is alive, and nothing was changed"):
            recover_owner(connection, journal, me, alive.id)
    assert recover_owner(connection, journal, me, "00a") == 1
    assert statuses(connection) == {"of 00aa": "failed", "of 00bb": "running", "of 11cc": "running"}
    lock.release()


async def test_a_manager_puts_its_lock_file_back_at_each_round(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also where it was given up for dead meanwhile; whoever comes then finds it alive."""
    async with TaskManager(journal) as manager:
        await manager.submit(asyncio.sleep(3600), task_id="t1")
        [file] = owners_folder(journal).glob(locks.LOCK_PATTERN)
        with closing(sqlite3.connect(journal)) as other, other:
            other.execute("UPDATE owners SET found_dead_at = started_at")
            assert other.execute("SELECT lock_inode FROM owners").fetchall() == [(file.stat().st_ino,)]
        keeps_its_number = file.with_suffix(".aside")
        file.rename(keeps_its_number)
        with caplog.at_level(logging.WARNING, "ailf.async_tasks"):
            await manager.cleanup()
        assert "was removed, and is there again" in caplog.text
        assert locks.probe(journal, file.stem) is Lock.HELD
        with closing(sqlite3.connect(journal)) as other:
            assert other.execute("SELECT found_dead_at FROM owners").fetchall() == [(None,)]
            assert other.execute("SELECT lock_inode FROM owners").fetchall() == [(file.stat().st_ino,)]
            assert recover(other, journal, this_process()).failed == 0


def test_a_recovery_that_fails_leaves_the_proof_for_the_next(connection: sqlite3.Connection, journal: Path) -> None:
    """Where the journal takes no write, the dead owner's lock file is still there afterwards."""
    dead, me = this_process(), this_process()
    add(connection, dead, "t1")
    file = touch_lock(journal, dead)
    other = connect(journal, Access.WRITE)
    other.execute("BEGIN IMMEDIATE")
    connection.execute("PRAGMA busy_timeout=1")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        recover(connection, journal, me)
    assert file.exists()
    other.close()
    assert recover(connection, journal, me).failed == 1


def test_orphaned_lock_files_are_removed_and_held_ones_are_not(connection: sqlite3.Connection, journal: Path) -> None:
    """A process that died between its lock and its row, or after its row said stopped, leaves a file to nobody."""
    starting = OwnerLock(journal, this_process().id)
    assert starting.acquire()
    orphan = touch_lock(journal, this_process())
    recover(connection, journal, this_process())
    assert not orphan.exists()
    assert starting.file.exists()
    assert (owners_folder(journal) / "migration.lock").exists()
    starting.release()


async def test_a_stop_leaves_no_lock_file_and_a_stopped_owner(journal: Path) -> None:
    """What is left beside the journal is the folder with the lock of the migrations."""
    async with TaskManager(journal):
        assert len(list(owners_folder(journal).glob("*-*.lock"))) == 1
    assert [file.name for file in owners_folder(journal).iterdir()] == ["migration.lock"]
    connection = sqlite3.connect(journal)
    assert connection.execute("SELECT count(*) FROM owners WHERE stopped_at IS NULL").fetchone() == (0,)
    connection.close()


async def test_two_managers_of_one_process_leave_each_other_alone(journal: Path) -> None:
    """Each holds a lock of its own, which the other one cannot take."""
    async with TaskManager(journal) as one, TaskManager(journal) as other:
        task_id = await one.submit(asyncio.sleep(3600))
        await other.cleanup()
        info = other.get_task_info(task_id)
        assert info is not None
        assert info.status == "running"
