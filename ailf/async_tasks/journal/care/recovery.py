"""Recovery, by which what a death left unfinished becomes FAILED.

It begins with whom there is to judge: every owner that has not come to its end, and every other that has a task
unfinished all the same. What is found out about each, and what follows, is the table in ``life``.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ailf.async_tasks.journal.care import locks, machine, owners
from ailf.async_tasks.journal.care.inspection import ask
from ailf.async_tasks.journal.care.life import Lock, Owner, Process, Row, Verdict, verdict
from ailf.async_tasks.journal.care.locks import LOCK_PATTERN, OwnerLock
from ailf.async_tasks.journal.form import Access, Durability, owners_folder, pragmas, uri
from ailf.errors import InvalidArgumentError, JournalError

ALONE_PATIENCE_SECONDS = 0.5
"""How long to try to be the only one who has the journal open, while others may just look into it."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a recovery did, and what it could not judge."""

    failed: int
    """How many tasks it marked."""
    unknown: tuple[Owner, ...] = ()
    """The owners of which nobody can tell from here whether they are alive."""
    without_lock: tuple[Owner, ...] = ()
    """Those whose processes run, and whose lock files are gone, as those of a copy are."""


def recover(connection: sqlite3.Connection, journal: Path, here: Owner, *, alone: bool = False) -> Recovery:
    """End the tasks of every owner that is provably dead as FAILED; leave those of the living alone.

    Args:
        connection: the writer's, outside of a transaction.
        journal: the journal's path.
        here: the owner who does it.
        alone: whether nobody else has the journal open.
    """
    # Before the owners, so that the file of one that comes in between is not taken for an orphan.
    files = list(owners_folder(journal).glob(LOCK_PATTERN))
    found = owners.to_judge(connection, here)
    failed, unknown, without_lock = 0, [], []
    for owner, is_open in found:
        with _examined(journal, owner, here, Row.OPEN if is_open else Row.CLOSED, alone=alone) as examined:
            if examined.verdict is Verdict.DEAD:
                failed += owners.give_up(connection, owner)
                examined.is_settled = True
            elif examined.verdict is Verdict.UNKNOWN:
                unknown.append(owner)
            elif examined.lock is Lock.GONE:
                without_lock.append(owner)
    _remove_orphans(journal, {file.stem for file in files} - {owner.id for owner, _ in found} - {here.id})
    return Recovery(failed, tuple(unknown), tuple(without_lock))


def recover_alone(journal: Path, here: Owner) -> Recovery | None:
    """Recover with one more proof: nobody else has the journal open, and so nobody else is alive.

    Args:
        journal: the journal; this process has no connection to it.
        here: the owner who does it.

    Returns:
        What was done; None where somebody has the journal open.
    """
    # Locked for this connection alone from the first read on, which some of the settings are already
    # (https://sqlite.org/wal.html#use_of_wal_without_shared_memory).
    settings = [
        "PRAGMA locking_mode=EXCLUSIVE",
        *(one for one in pragmas(Access.WRITE, Durability.PROCESS) if "busy_timeout" not in one),
    ]
    with closing(
        sqlite3.connect(uri(journal, Access.WRITE), uri=True, timeout=ALONE_PATIENCE_SECONDS, isolation_level=None)
    ) as connection:
        try:
            for statement in (*settings, "BEGIN IMMEDIATE", "COMMIT"):
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                return None
            raise
        if machine.is_open_elsewhere(journal):
            # Somebody who has read the journal's own bytes, which drops SQLite's locks.
            return None
        return recover(connection, journal, here, alone=True)


def recover_owner(connection: sqlite3.Connection, journal: Path, here: Owner, owner_id: str) -> int:
    """End the unfinished tasks of one owner as FAILED, since somebody says that it is dead.

    Args:
        connection: the writer's, outside of a transaction.
        journal: the journal's path.
        here: the owner who does it.
        owner_id: its id, or the beginning of one.

    Returns:
        How many tasks were marked.

    Raises:
        InvalidArgumentError: there is no such owner, or several.
        JournalError: it is alive.
    """
    found = owners.with_id(connection, owner_id)
    if owner_id == "" or len(found) != 1:
        raise InvalidArgumentError(
            f"{len(found) or 'no'} owners of the journal {journal} have an id that begins with {owner_id!r}; "
            "`ailf journal info` lists those that have not stopped."
        )
    [(owner, is_open)] = found
    with _examined(journal, owner, here, Row.OPEN if is_open else Row.CLOSED) as examined:
        if examined.verdict is Verdict.ALIVE:
            raise JournalError(
                f"The owner {owner.id} (pid {owner.pid} on {owner.host}) is alive, and nothing was changed: "
                "end its process first, or cancel its tasks."
            )
        failed = owners.give_up(connection, owner)
        examined.is_settled = True
    return failed


def examine(journal: Path, owner: Owner, here: Owner) -> Verdict:
    """Whether an owner whose row is open is alive, found without changing anything."""
    lock = _as_trusted(locks.probe(journal, owner.id, owner.lock_inode), journal, owner, here)
    return verdict(lock, Row.OPEN, machine.look_for(owner, here))


@dataclass(slots=True)
class _Examined:
    lock: Lock
    verdict: Verdict
    is_settled: bool = False
    """Whether nothing is left to do, so that the proof may go."""


@contextmanager
def _examined(journal: Path, owner: Owner, here: Owner, row: Row, *, alone: bool = False) -> Iterator[_Examined]:
    """What follows from what is found out about an owner, with its lock held meanwhile, if it can be had."""
    lock = OwnerLock(journal, owner.id, owner.lock_inode)
    state = _as_trusted(lock.try_acquire(), journal, owner, here)
    process = Process.ENDED if alone else machine.look_for(owner, here)
    examined = _Examined(state, verdict(state, row, process))
    try:
        yield examined
    finally:
        # The file is the proof for the next try, where this one failed.
        lock.release(remove=examined.is_settled)


def _as_trusted(lock: Lock, journal: Path, owner: Owner, here: Owner) -> Lock:
    """What a lock that can be taken proves: locks of this very kernel are seen on any file system."""
    is_near = owner.boot_id == here.boot_id != ""
    if lock is Lock.FREE and not is_near and machine.shared_file_system(journal) is not None:
        return Lock.MUTE
    return lock


def _remove_orphans(journal: Path, owner_ids: Iterable[str]) -> None:
    """Remove the lock files of those who died before their row was there, or after it said that they stopped."""
    for owner_id in owner_ids:
        lock = OwnerLock(journal, owner_id)
        if lock.try_acquire() is Lock.FREE:
            lock.release()


def living(journal: Path) -> list[Owner]:
    """The owners that are alive, found without changing anything, also of a journal of an earlier revision.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    here = owners.this_process()
    return [owner for owner, _, _ in ask(journal, owners.open_owners) if examine(journal, owner, here) is Verdict.ALIVE]
