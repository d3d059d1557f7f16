"""Who is alive: the table of decisions, the locks, and recovery of owners that died in every way."""

import asyncio
import os
import platform
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import owners
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.care.owners import LockState, Owner, OwnerLock, is_dead, recover, register, this_process
from ailf.async_tasks.journal.form.engine import Access, connect
from ailf.async_tasks.journal.form.paths import owners_folder
from tests.async_tasks.journal.support import COMPLETED, PENDING, RUNNING, insert, update

HERE = Owner("me", 1, "here", "boot")

# By host and boot of the owner: is it dead if its lock is free, if the lock file is gone and a process
# has its pid, if the lock file is gone and none has? A lock that is held is always proof of life.
VERDICTS = {
    ("here", "boot"): (True, False, True),
    ("here", "earlier boot"): (True, True, True),
    ("here", ""): (True, False, True),
    # Two containers on one machine: the lock is the kernel's, but each has pids of its own.
    ("elsewhere", "boot"): (True, False, False),
    ("elsewhere", "other boot"): (False, False, False),
    ("elsewhere", ""): (False, False, False),
}


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


@pytest.mark.parametrize(("place", "lock", "pid_exists"), list(product(VERDICTS, LockState, [False, True])))
def test_the_table_of_decisions(place: tuple[str, str], lock: LockState, pid_exists: bool) -> None:  # noqa: FBT001
    """Only proof counts: a lock that can be taken, or where the file is gone, a reboot or a missing process."""
    free, gone_with_pid, gone_without = VERDICTS[place]
    wanted = {
        LockState.FREE: free,
        LockState.HELD: False,
        LockState.GONE: gone_with_pid if pid_exists else gone_without,
    }
    assert is_dead(Owner("other", 2, *place), HERE, lock, pid_exists=pid_exists) is wanted[lock]


@pytest.mark.parametrize("boot", ["", "boot"])
def test_nothing_is_known_of_boots_where_the_system_does_not_tell(boot: str) -> None:
    """Without boot ids the host is what is left, and another host's owner is never judged."""
    here = replace(HERE, boot_id="")
    assert is_dead(Owner("other", 2, "here", boot), here, LockState.FREE, pid_exists=False)
    assert not is_dead(Owner("other", 2, "elsewhere", boot), here, LockState.FREE, pid_exists=False)
    assert not is_dead(Owner("other", 2, "here", boot), here, LockState.GONE, pid_exists=True)


def test_this_process_is_described_as_it_is() -> None:
    """Each owner is a new one, of this pid, host and boot."""
    one, other = this_process(), this_process()
    assert one.id != other.id
    assert (one.pid, one.host) == (os.getpid(), platform.node())
    assert one.boot_id == owners.boot_id() != ""


def test_a_boot_id_that_cannot_be_read_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every system has the file."""
    monkeypatch.setattr(owners, "BOOT_ID_FILE", tmp_path / "none")
    assert owners.boot_id() == ""


def test_pids_are_looked_up() -> None:
    """This process exists, also where it may not be signalled; a pid that Linux never gives does not."""
    assert owners.pid_exists(os.getpid())
    assert owners.pid_exists(1)
    assert not owners.pid_exists(2**22 + 1)


def test_a_lock_is_private_exclusive_and_leaves_no_file(journal: Path) -> None:
    """Two holders exclude each other, within one process too; a release removes the file unless told not to."""
    lock, rival = OwnerLock(journal, "o1"), OwnerLock(journal, "o1")
    assert rival.try_acquire() is LockState.GONE
    assert lock.acquire()
    assert stat.S_IMODE(lock.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(lock.file.parent.stat().st_mode) == 0o700
    assert rival.try_acquire() is LockState.HELD
    lock.release(remove=False)
    assert rival.try_acquire() is LockState.FREE
    rival.release()
    assert not lock.file.exists()


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
    assert recover(connection, journal, me) == 2
    lock.release()
    assert statuses(connection) == {
        "running": "failed",
        "pending": "failed",
        "ended": "completed",
        "theirs": "running",
        "mine": "running",
    }
    error = f"The process that ran this task (pid {dead.pid} on {dead.host}) ended before the task did"
    found = connection.execute("SELECT id, reason, error, error_type, result FROM tasks WHERE status = 'failed'")
    assert sorted(found) == [(task_id, "process_died", error, None, None) for task_id in ("pending", "running")]
    events = connection.execute("SELECT task_id, kind, message FROM task_events").fetchall()
    assert sorted(events) == [("pending", "failed", error), ("running", "failed", error)]
    times = "SELECT count(*) FROM tasks JOIN task_events ON task_id = tasks.id AND at = completed_at"
    assert connection.execute(times).fetchone() == (2,)
    stopped = connection.execute("SELECT id FROM owners WHERE stopped_at IS NOT NULL").fetchall()
    assert stopped == [(dead.id,)]
    assert not file.exists()
    assert recover(connection, journal, me) == 0


def test_a_clock_that_steps_back_gives_no_end_before_the_start(connection: sqlite3.Connection, journal: Path) -> None:
    """A task that started in the recoverer's future ends at its start."""
    dead = this_process()
    future = "2999-01-01T00:00:00.000000Z"
    register(connection, dead)
    insert(connection, "tasks", RUNNING | {"id": "t1", "owner_id": dead.id, "started_at": future})
    insert(connection, "tasks", PENDING | {"id": "t2", "owner_id": dead.id, "created_at": future})
    touch_lock(journal, dead)
    assert recover(connection, journal, this_process()) == 2
    assert connection.execute("SELECT DISTINCT completed_at FROM tasks").fetchall() == [(future,)]
    assert connection.execute("SELECT DISTINCT at FROM task_events").fetchall() == [(future,)]


def test_an_owner_on_another_host_is_never_judged(connection: sqlite3.Connection, journal: Path) -> None:
    """Its lock means nothing here: it is left alone though nobody holds it, and the file stays."""
    theirs = replace(this_process(), host="elsewhere", boot_id="other")
    add(connection, theirs, "t1")
    file = touch_lock(journal, theirs)
    assert recover(connection, journal, this_process()) == 0
    assert statuses(connection) == {"t1": "running"}
    assert file.exists()


def test_an_owner_of_an_earlier_boot_is_dead(connection: sqlite3.Connection, journal: Path) -> None:
    """After a reboot its pid is another process, and a missing lock file is no doubt."""
    before = replace(this_process(), boot_id="an earlier boot")
    add(connection, before, "t1")
    assert recover(connection, journal, this_process()) == 1


def test_a_removed_lock_file_proves_nothing_while_the_process_lives(
    connection: sqlite3.Connection, journal: Path
) -> None:
    """Somebody tidied the folder: the owner, whose process is this one, keeps its tasks."""
    add(connection, this_process(), "t1")
    assert recover(connection, journal, this_process()) == 0
    assert statuses(connection) == {"t1": "running"}


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
    assert recover(connection, journal, me) == 1


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
