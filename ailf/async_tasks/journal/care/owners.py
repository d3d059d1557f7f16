"""Who is alive, and recovery: what the death of a process leaves unfinished becomes FAILED.

A manager holds a kernel lock on a file of its own for as long as it runs. The kernel frees the lock
when the process ends, however it ends, and keeps it while the process is stopped or stalled: a lock
that another process can take is proof of death, and nothing else is.
"""

import fcntl
import os
import platform
import sqlite3
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import ColumnElement, bindparam, case, func, insert, literal_column, select, update

from ailf.async_tasks.journal.form import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    named,
    owners,
    owners_folder,
    task_events,
    tasks,
    time_text,
)
from ailf.async_tasks.states import UNFINISHED, EventKind, Reason, TaskStatus

LOCK_SUFFIX = ".lock"

LOCK_PATTERN = "????????-????-????-????-????????????.lock"
"""The lock files of owners, whose ids are UUIDs; the lock of the migrations is their neighbour."""

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Owner:
    """A manager that opened the journal: a row of ``owners``."""

    id: str
    pid: int
    host: str
    boot_id: str


def this_process() -> Owner:
    """A new owner for a manager of this process."""
    return Owner(id=str(uuid.uuid4()), pid=os.getpid(), host=platform.node(), boot_id=boot_id())


def boot_id() -> str:
    """What tells one boot of this machine from the next, where the system says; else empty."""
    try:
        return BOOT_ID_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


class LockState(Enum):
    """What was found when trying for an owner's lock."""

    FREE = auto()
    HELD = auto()
    GONE = auto()
    """There is no such file."""


class OwnerLock:
    """The kernel lock that says that an owner is alive."""

    def __init__(self, journal: Path, owner_id: str) -> None:
        self.file = owners_folder(journal) / f"{owner_id}{LOCK_SUFFIX}"
        # No soft fallback: a lock file that outlives its process would prove nothing. The lock is
        # not per thread, since it is taken in one and released in another. A forked child does not
        # keep it: filelock closes its descriptor there.
        self._lock = FileLock(self.file, mode=PRIVATE_FILE, thread_local=False, fallback_to_soft=False)

    def acquire(self, patience: float = 0) -> bool:
        """Take the lock, unless somebody holds it.

        Args:
            patience: for how many seconds to wait for it.
        """
        self.file.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        try:
            self._lock.acquire(timeout=patience)
        except Timeout:
            return False
        return True

    def try_acquire(self) -> LockState:
        """Take the lock of another owner, if it can be taken, to tell whether that one is alive."""
        if not self.file.exists():
            return LockState.GONE
        return LockState.FREE if self.acquire() else LockState.HELD

    def release(self, *, remove: bool = True) -> None:
        """Free the lock, and remove its file before anybody else can take it."""
        if remove:
            self.file.unlink(missing_ok=True)
        self._lock.release()


def probe(journal: Path, owner_id: str) -> LockState:
    """What became of the lock of an owner, found without making, changing or removing a file."""
    file = owners_folder(journal) / f"{owner_id}{LOCK_SUFFIX}"
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return LockState.GONE
    except OSError:
        return LockState.HELD
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return LockState.HELD
    finally:
        os.close(descriptor)
    return LockState.FREE


def is_dead(owner: Owner, here: Owner, lock: LockState, *, pid_exists: bool) -> bool:
    """Whether an owner is provably dead.

    Args:
        owner: the owner in question.
        here: the one who asks, on its machine and boot.
        lock: what became of the owner's lock.
        pid_exists: whether a process with the owner's pid runs here.

    Returns:
        True only where there is proof; an owner on another machine is never judged.
    """
    if not is_within_reach(owner, here):
        return False
    if lock is LockState.GONE:
        # Somebody removed the file. It proves nothing by itself; a reboot or a missing process does.
        # Pids are those of a host: another container on this machine has its own.
        rebooted = owner.boot_id != here.boot_id and "" not in (owner.boot_id, here.boot_id)
        return owner.host == here.host and (rebooted or not pid_exists)
    return lock is LockState.FREE


def is_within_reach(owner: Owner, here: Owner) -> bool:
    """Whether the two are on one machine, so that the owner's lock is one of this kernel's."""
    same_boot = owner.boot_id == here.boot_id and owner.boot_id != ""
    return same_boot or owner.host == here.host


def pid_exists(pid: int) -> bool:
    """Whether a process with this pid runs on this machine."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


_UNFINISHED: list[ColumnElement[str]] = [literal_column(f"'{status}'") for status in sorted(UNFINISHED)]
_THEIRS = (tasks.c.owner_id == bindparam("owner"), tasks.c.status.in_(_UNFINISHED))
# A clock that steps back must not let a task end before it started.
_LAST_TIME = func.coalesce(tasks.c.started_at, tasks.c.created_at)
_ENDED_AT = case((bindparam("at") < _LAST_TIME, _LAST_TIME), else_=bindparam("at"))

_INSERT_OWNER = named(insert(owners).values({c: bindparam(c) for c in ("id", "pid", "host", "boot_id", "started_at")}))
_UNSTOPPED = named(
    select(owners.c.id, owners.c.pid, owners.c.host, owners.c.boot_id)
    .where(owners.c.stopped_at.is_(None), owners.c.id != bindparam("me"))
    .order_by(owners.c.started_at)
)
_FAIL_EVENTS = named(
    insert(task_events).from_select(
        ["task_id", "at", "kind", "message"],
        select(tasks.c.id, _ENDED_AT, literal_column(f"'{EventKind.FAILED}'"), bindparam("error")).where(*_THEIRS),
    )
)
_FAIL_TASKS = named(
    update(tasks)
    .where(*_THEIRS)
    .values(
        status=literal_column(f"'{TaskStatus.FAILED}'"),
        reason=literal_column(f"'{Reason.PROCESS_DIED}'"),
        completed_at=_ENDED_AT,
        error=bindparam("message"),
    )
)
_STOP_OWNER = named(update(owners).where(owners.c.id == bindparam("owner")).values(stopped_at=bindparam("at")))


def register(connection: sqlite3.Connection, owner: Owner) -> None:
    """Write the owner's row; its lock is held already."""
    connection.execute(
        _INSERT_OWNER,
        {
            "id": owner.id,
            "pid": owner.pid,
            "host": owner.host,
            "boot_id": owner.boot_id,
            "started_at": time_text(datetime.now(UTC)),
        },
    )


def unregister(connection: sqlite3.Connection, owner: Owner) -> None:
    """Write that the owner has stopped, all its tasks ended."""
    connection.execute(_STOP_OWNER, {"owner": owner.id, "at": time_text(datetime.now(UTC))})


def recover(connection: sqlite3.Connection, journal: Path, here: Owner) -> int:
    """End the tasks of every owner that is provably dead as FAILED; leave those of the living alone.

    Args:
        connection: the writer's, outside of a transaction.
        journal: the journal's path.
        here: the owner who does it.

    Returns:
        How many tasks were marked.
    """
    # Before the owners, so that the file of one that comes in between is not taken for an orphan.
    files = list(owners_folder(journal).glob(LOCK_PATTERN))
    rows = connection.execute(_UNSTOPPED, {"me": here.id}).fetchall()
    unstopped = [Owner(*row) for row in rows]
    failed = sum(_recover_one(connection, journal, owner, here) for owner in unstopped if is_within_reach(owner, here))
    _remove_orphans(journal, {file.stem for file in files} - {owner.id for owner in unstopped} - {here.id})
    return failed


def _recover_one(connection: sqlite3.Connection, journal: Path, owner: Owner, here: Owner) -> int:
    lock = OwnerLock(journal, owner.id)
    state = lock.try_acquire()
    recovered = False
    try:
        if not is_dead(owner, here, state, pid_exists=pid_exists(owner.pid)):
            return 0
        failed = _fail_tasks_of(connection, owner)
        recovered = True
        return failed
    finally:
        if state is LockState.FREE:
            # The file is the proof for the next try, where this one failed.
            lock.release(remove=recovered)


def _remove_orphans(journal: Path, owner_ids: Iterable[str]) -> None:
    """Remove the lock files of those who died before their row was there, or after it said that they stopped."""
    for owner_id in owner_ids:
        lock = OwnerLock(journal, owner_id)
        if lock.try_acquire() is LockState.FREE:
            lock.release()


def _fail_tasks_of(connection: sqlite3.Connection, owner: Owner) -> int:
    message = f"The process that ran this task (pid {owner.pid} on {owner.host}) ended before the task did"
    values = {"owner": owner.id, "at": time_text(datetime.now(UTC)), "error": message, "message": message}
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_FAIL_EVENTS, values)
        failed = connection.execute(_FAIL_TASKS, values).rowcount
        connection.execute(_STOP_OWNER, values)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return failed
