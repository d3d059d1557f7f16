"""The journal: a SQLite file with everything that happened to every task.

``Journal`` is the one door to it. What lies behind, each in a module of its own: the group-commit
writer, the queries, owners and recovery, retention, migrations.
"""

import asyncio
import atexit
import os
import shutil
import sqlite3
import threading
import weakref
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from ailf.async_tasks.guard import log
from ailf.async_tasks.journal.care import (
    MigrateMode,
    Owner,
    OwnerLock,
    Retention,
    Rounds,
    assert_current,
    assert_still_current,
    ensure_current,
    make_backup,
    migration_lock,
    owners,
    policy_text,
    recovery,
    request_cancel,
    requests_query,
    warn_of_shared_file_system,
)
from ailf.async_tasks.journal.care.inspection import assert_is_journal
from ailf.async_tasks.journal.form import (
    Displacement,
    Durability,
    indexes,
    journal_error,
    metadata_path,
    opening,
    tie_log_to_file,
    translated,
    warn_of_open_modes,
)
from ailf.async_tasks.journal.reading import AsyncReader, Pulse, Reader
from ailf.async_tasks.journal.writing import Door, Writer, in_words, unwritten_error
from ailf.async_tasks.model import Health
from ailf.errors import JournalError, UnwrittenChangesError

__all__ = ["Durability", "Journal", "MigrateMode", "Retention", "open_reader"]

AT_EXIT_PATIENCE_SECONDS = 2.0
"""How long a process that forgot to stop tries, at its exit, to write what it still has."""

LOCK_PATIENCE_SECONDS = 10.0
"""How long a start waits for its owner's lock."""

_open_journals: "weakref.WeakSet[Journal]" = weakref.WeakSet()
_inherited: "list[Journal]" = []


class Journal:
    """An open journal: an owner in it that holds its lock, a writer, and readers.

    Attributes:
        path: the file.
        owner: who this process is in the journal.
        reader: reads in the caller's thread.
        areader: reads without blocking the event loop.
        pulse: says cheaply whether anybody has written.
        is_inherited: whether this is a forked child's copy, which must not be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        owner: Owner,
        lock: OwnerLock,
        door: Door,
        pulse: Pulse,
        rounds: Rounds,
        indexed: frozenset[str],
        temporary: Path | None,
    ) -> None:
        self.path = path
        self.owner = owner
        self.reader = Reader(path, indexed, door.assert_here, self._is_ready)
        self.areader = AsyncReader(path, door.assert_here, self._is_ready)
        self.pulse = pulse
        # Those first that the event loop has to let go: a read that waits in its thread would hold them up.
        door.admit(self.areader, self.reader, pulse)
        self.is_inherited = False
        self._lock = lock
        self._door = door
        self._writer: Writer | None = None
        self._rounds = rounds
        # What a manager that is never stopped leaves behind goes at the exit of the process.
        self._closing = threading.Lock()
        self._is_closed = False
        self._remove_temporary = weakref.finalize(self, shutil.rmtree, temporary, True) if temporary else None  # noqa: FBT003
        _open_journals.add(self)

    @classmethod
    def open(
        cls,
        path: Path,
        durability: Durability,
        mode: MigrateMode,
        indexed: Collection[str] = (),
        temporary: Path | None = None,
        *,
        retention: Retention = MappingProxyType({}),
    ) -> "Journal":
        """Open a journal, creating or migrating it as needed, and recover what dead processes left; blocks.

        Args:
            path: the file.
            durability: what a commit survives.
            mode: what to do with a journal of an older release.
            indexed: the keys of the metadata that must have an index.
            temporary: a folder that goes with the journal: see ``remove_temporary``.
            retention: for how long the tasks of this owner are kept, whoever cleans up.

        Raises:
            ManagerError: this is a forked child, and its parent had the journal open.
            JournalError: it cannot be opened; ``NotAJournalError`` and ``JournalVersionError`` among them.
        """
        with opening(path):
            ensure_current(path, mode)
        warn_of_open_modes(path)
        warn_of_shared_file_system(path)
        owner = owners.this_process()
        lock = OwnerLock(path, owner.id)
        with opening(path), translated(path, "opened"):
            # The lock comes before the row: an owner that others can see is one they can judge.
            # Nobody else has a use for it, but a recovery may look at it for a moment.
            if not lock.acquire(LOCK_PATIENCE_SECONDS):
                raise JournalError(f"The lock {lock.file} is held by another program; start again.")
            owner = replace(owner, lock_inode=lock.inode)
            try:
                door = Door(path, durability)
                try:
                    # First of all, so that whoever wants to change the schema sees that somebody is alive.
                    assert_still_current(door.connection, path)
                    owners.register(door.connection, owner, policy_text(retention))
                    assert_still_current(door.connection, path)
                    paths = _indexes_made(path, door.connection, indexed)
                    found = recovery.recover(door.connection, path, owner)
                    if found.unknown or found.without_lock:
                        # One more proof can be had while this process has no connection to the journal.
                        door.close()
                        with migration_lock(path):
                            recovery.recover_alone(path, owner)
                        door = Door(path, durability)
                    tie_log_to_file(door.connection, anew=True)
                    pulse = Pulse(path, door.assert_here)
                    door.assert_here()
                except BaseException:
                    if door.look() is not Displacement.NONE:
                        door.abandon()
                        raise
                    with suppress(sqlite3.Error):
                        # Whoever held the lock has been waited for once; a recovery finds what is left.
                        door.connection.execute("PRAGMA busy_timeout=0")
                        owners.unregister(door.connection, owner)
                    door.close()
                    raise
            except BaseException:
                lock.release()
                raise
        return cls(
            path,
            owner=owner,
            lock=lock,
            door=door,
            pulse=pulse,
            rounds=Rounds(path, owner, lock, retention),
            indexed=paths,
            temporary=temporary,
        )

    def attach(self, loop: asyncio.AbstractEventLoop, on_commit: Callable[[], None], log_limit: int) -> None:
        """Start the writer.

        Args:
            loop: where its callers are told.
            on_commit: called there after each commit.
            log_limit: how many lines of a task's log are kept.
        """
        self._writer = Writer(self._door, self.owner.id, loop, on_commit, log_limit=log_limit)
        self._writer.start()
        atexit.register(self._at_exit)

    @property
    def writer(self) -> Writer:
        """The writer, once attached."""
        assert self._writer is not None  # noqa: S101 - the manager attaches what it opens
        return self._writer

    async def recover(self) -> int:
        """End what dead processes left unfinished as FAILED; returns how many tasks that were."""
        return await self._rounds.recover(self.writer)

    async def request_cancel(self, task_id: str) -> bool:
        """Ask another owner to cancel a task; whether there is an unfinished one.

        Raises:
            JournalError: the journal takes no writes.
        """
        return await self.writer.call(partial(request_cancel, task_id=task_id, me=self.owner.id))

    def cancel_requests(self) -> list[tuple[str, str]]:
        """The ids of our tasks that others want cancelled, each with when that was asked.

        Raises:
            JournalError: the journal cannot be read.
        """
        return [(task_id, at) for task_id, at in self.reader.rows(requests_query(self.owner.id))]

    async def delete_ended(self) -> int:
        """Delete what has been kept long enough, step by step; returns how many tasks that were."""
        return await self._rounds.delete_ended(self.writer)

    def health(self) -> Health:
        """Whether it takes writes, what waits for it, what is kept in it for how long; from any thread."""
        return replace(
            self.writer.health(), retention=self._rounds.policy_in_seconds, last_deletion=self._rounds.last_deletion
        )

    def backup(self, copy: Path) -> int:
        """Copy all that is committed, while it is in use: see ``make_backup``."""
        # By a connection that is open already, so that it works even where the file is not at its name any more.
        return self.reader.ask(lambda connection: make_backup(connection, self.path, copy))

    def close(self) -> UnwrittenChangesError | None:
        """Write what is left, say that this owner has stopped, and free everything; blocks.

        Returns:
            What could not be written, as an error; None where all is.
        """
        atexit.unregister(self._at_exit)
        with self._closing:
            if self._is_closed:
                return None
            self._is_closed = True
            return self._close()

    def _close(self) -> UnwrittenChangesError | None:
        unwritten = self.writer.close() if self._writer is not None else []
        self.areader.close_idle()
        self.reader.close()
        self.pulse.close()
        left = [in_words(change) for change, _, _ in unwritten]
        stopped = False
        try:
            stopped = not left and self._say_goodbye(left)
        except sqlite3.Error as error:
            log.warning(
                "%s Nothing is lost: the next start says that this one has stopped.",
                journal_error(error, self.path, "closed properly"),
            )
        finally:
            if self._door.look() is Displacement.NONE:
                self._door.close()
            else:
                self._door.abandon()
            # An owner that could not write leaves its lock file behind for the recovery to find.
            self._lock.release(remove=stopped)
            _open_journals.discard(self)
        return unwritten_error(self.path, left) if left else None

    def _say_goodbye(self, left: list[str]) -> bool:
        """Write that this owner has stopped; whether that is written. What is not is added to what is left."""
        try:
            self._door.look()
            if lost := owners.unregister(self._door.enter(), self.owner):
                log.error("How %d tasks of the journal %s ended was lost; they are FAILED.", lost, self.path)
        except JournalError as error:
            log.warning("%s", error)
            left.append("that this manager has stopped")
            if self._door.rescued is not None:
                left.append(f"what was in the log that was taken away, which is in {self._door.rescued}")
            return False
        if self._door.look() is Displacement.NONE:
            self._cut_log_back()
        return True

    @property
    def is_temporary(self) -> bool:
        """Whether its folder goes with it."""
        return self._remove_temporary is not None

    def remove_temporary(self) -> None:
        """Remove the folder that goes with a closed journal, if it has one."""
        if self._remove_temporary is not None:
            self._remove_temporary()

    def _cut_log_back(self) -> None:
        """Bring the write-ahead log into the file, as far as that goes at once: everything in it is safe as it is.

        Waiting for a reader elsewhere would hold up this stop, and everybody else's writes.
        """
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout=0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _is_ready(self) -> bool:
        """Whether a connection that reads may be opened; a journal whose log was taken away is opened anew first."""
        if self._writer is None or not self._door.is_without_log:
            return True
        self._writer.look_after_the_place()
        return False

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._door.connection

    def _at_exit(self) -> None:
        if self._writer is None or self.is_inherited:
            return
        # Whoever closes it already, for a manager that nobody has any more, is let finish: two at a time would both
        # free the same connection of SQLite's.
        if not self._closing.acquire(timeout=AT_EXIT_PATIENCE_SECONDS) or self._is_closed:
            return
        self._is_closed = True
        # A thread that still waits for a lock ends with the process, and its transaction with it.
        if self._writer.close_at_exit(AT_EXIT_PATIENCE_SECONDS):
            if self._door.look() is Displacement.NONE:
                self._door.close()
            else:
                self._door.abandon()


def _indexes_made(path: Path, connection: sqlite3.Connection, keys: Collection[str]) -> frozenset[str]:
    """Have an index of each key, which one process at a time makes; returns the JSON paths of all there are."""
    there = indexes.paths_of(connection.execute(indexes.ALL))
    if there.issuperset(map(metadata_path, keys)):
        return there
    with migration_lock(path):
        # While this one waited for the lock, somebody may have migrated the journal.
        assert_current(path)
        return indexes.make(connection, keys)


def open_reader(path: Path, *, patience_seconds: float | None = None) -> Reader:
    """Read a journal without being an owner of it, and without changing anything.

    Args:
        path: the journal.
        patience_seconds: how long a read waits for a lock; None is as long as every connection does.

    Raises:
        ManagerError: this is a forked child, and its parent had the journal open.
        JournalError: it is not there, is no journal, or is one of another release.
    """
    if not path.exists():
        raise JournalError(f"There is no journal {path}; name another one, or run a program that makes it.")
    assert_is_journal(path)
    assert_current(path)
    return Reader(path, patience_seconds=patience_seconds)


def _leave_to_the_parent() -> None:
    """In a forked child: never use, close or finalize what belongs to the parent; the files are refused by ``form``."""
    for journal in list(_open_journals):
        journal.is_inherited = True
        if journal._writer is not None:  # noqa: SLF001
            journal._writer.leave_to_the_parent()  # noqa: SLF001
        if journal._remove_temporary is not None:  # noqa: SLF001 - this function is of the class
            journal._remove_temporary.detach()  # noqa: SLF001
        _inherited.append(journal)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_the_parent)
