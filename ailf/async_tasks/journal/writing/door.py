"""The one door to the file: whoever writes, or brings the log into the file, goes through it, before and after.

Behind it is the writer's connection. The door looks whether the files that the connection has open are still those
of the journal's name. Where the journal itself was renamed, replaced or deleted, nobody gets through: nothing is
written or brought into a file any more, until it is back. Where only its log was taken away, which a program does
to itself that reads its own journal's bytes (https://sqlite.org/howtocorrupt.html), the door opens the journal anew
and brings over what was in the log.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ailf.async_tasks.guard import log
from ailf.async_tasks.journal.form import (
    BUSY_TIMEOUT_SECONDS,
    Access,
    Displacement,
    Durability,
    Names,
    Stamp,
    assert_not_planted,
    change_between,
    change_counter,
    close_untouched,
    connect,
    descriptors_of,
    frames_left,
    is_log_cut,
    is_overwritten,
    translated,
)
from ailf.async_tasks.journal.writing import rescue
from ailf.errors import JournalError


class Guest(Protocol):
    """Somebody else who has connections to the journal in this process."""

    def leave(self) -> bool:
        """Close them all, and open none until told; returns whether that is done."""

    def come_back(self) -> None:
        """Open some again when they are needed."""


class Door:
    """The writer's connection, for as long as it leads to the journal."""

    def __init__(self, path: Path, durability: Durability = Durability.PROCESS) -> None:
        """Open the journal for writing.

        Args:
            path: the journal.
            durability: what a commit survives.

        Raises:
            JournalError: it cannot be opened, or was replaced meanwhile.
        """
        self.path = path
        self._durability = durability
        self._names = Names(path)
        self._guests: Sequence[Guest] = ()
        self._rescued: Path | None = None
        self._is_closed = False
        self._is_overwritten = False
        before = self._names.look()
        self._connection: sqlite3.Connection | None = self._connect()
        self._place = self._names.look()
        self._stamp: Stamp | None = None
        self._counter = change_counter(self._place)
        if before.file != self._place.file:
            self.abandon()
            raise self._moved()

    def _connect(self) -> sqlite3.Connection:
        connection = connect(self.path, Access.WRITE, self._durability)
        # With the first read, SQLite makes the log and its index, if they are not there.
        connection.execute("SELECT 1 FROM sqlite_master").fetchall()
        try:
            # One may have been put there since the journal was looked at.
            assert_not_planted(self.path)
        except BaseException:
            connection.close()
            raise
        return connection

    def admit(self, *guests: Guest) -> None:
        """Have others close their connections where the journal must be opened anew."""
        self._guests = guests

    @property
    def connection(self) -> sqlite3.Connection:
        """The writer's connection.

        Raises:
            JournalError: there is none at the moment.
        """
        if self._connection is None:
            raise JournalError(f"The journal {self.path} is being opened anew, since its log was taken away.")
        return self._connection

    @property
    def rescued(self) -> Path | None:
        """A copy of what was in a vanished log, while it is not in the journal."""
        return self._rescued

    def look(self) -> Displacement:
        """What has happened to the files since they were opened; looks closer than ``enter``, and takes longer."""
        change = change_between(self._place, self._names.look())
        if change is Displacement.NONE and self._connection is not None:
            # SQLite alone counts it up, with each change that is brought into the file.
            counter = change_counter(self._place)
            if is_overwritten(self._counter, counter):
                self._is_overwritten = True
            self._counter = counter
        return Displacement.OVERWRITTEN if self._is_overwritten else change

    @property
    def is_without_log(self) -> bool:
        """Whether the journal is there, and is to be opened anew."""
        if self._is_closed:
            return False
        change = change_between(self._place, self._names.look())
        is_whole = self._connection is not None and self._rescued is None
        return change is Displacement.LOG or (change is Displacement.NONE and not is_whole)

    def assert_here(self) -> None:
        """For who only reads: see that a connection that is opened now leads to the same files.

        Raises:
            JournalError: it does not.
        """
        change = self._assert_ours()
        if self._is_closed:
            # With its last connection SQLite takes the log away itself.
            return
        if change is Displacement.LOG or self._connection is None or self._rescued is not None:
            raise self._log_gone()

    def _assert_ours(self) -> Displacement:
        """Refuse where the journal itself is not the one that was opened; what else has happened is returned."""
        change = change_between(self._place, self._names.look())
        if self._is_overwritten:
            raise JournalError(
                f"The journal {self.path}, or its log, was emptied or overwritten while it was in use; nothing "
                "more is written. Stop this program, run `ailf journal restore BACKUP`, and start it again."
            )
        if change is Displacement.JOURNAL:
            raise self._moved()
        return change

    def _is_in_place(self) -> bool:
        """Whether all files are those that were opened; looks into the journal where somebody has written to it."""
        place, stamp = self._names.look_closely()
        if place == self._place and stamp != self._stamp:
            before, self._stamp = self._stamp, stamp
            if before is None or before[:2] != stamp[:2]:
                # SQLite has brought the log into it, or something else was written over it.
                self.look()
            elif stamp.log_size < before.log_size and is_log_cut(self._place):
                self._is_overwritten = True
        return place == self._place

    @property
    def _is_well(self) -> bool:
        return self._rescued is None and not self._is_overwritten

    def enter(self) -> sqlite3.Connection:
        """Before anything is written: make sure that it goes into the journal.

        Returns:
            The connection.

        Raises:
            JournalError: it does not; nothing may be written.
        """
        connection = self._connection
        if connection is not None and self._is_in_place() and self._is_well:
            return connection
        self._assert_ours()
        try:
            with translated(self.path, "opened anew"):
                self._let_go()
                return self._open_anew()
        finally:
            self._let_guests_in()

    def leave(self) -> bool:
        """After a commit, before anybody is told of it: make sure that it went into the journal.

        Returns:
            Whether it did; else the journal was opened anew, and the commit is in it or not.

        Raises:
            JournalError: nobody can tell yet.
        """
        if self._is_in_place() and self._is_well:
            return True
        self.enter()
        return False

    def roll_back(self) -> None:
        """End a transaction that failed, if there is one: SQLite ends it by itself after some errors."""
        connection = self._connection
        if connection is not None and connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")

    def close(self) -> None:
        """Close the connection, whose files are in their place; those who still read may go on."""
        self._is_closed = True
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def abandon(self) -> None:
        """Close the connection, and leave every file as it is: none of them may be ours to touch."""
        if self._connection is not None:
            close_untouched(self._connection, self._place)
            self._connection = None

    def _let_go(self) -> None:
        """Close every connection of ours, so that SQLite forgets the log; what is in it is copied first."""
        if self._connection is None or self.look() is Displacement.NONE:
            return
        now = self._names.look()
        if now.log != self._place.log and self._rescued is None and frames_left(self._place) != 0:
            self._copy(self._connection)
        if not all(guest.leave() for guest in self._guests):
            raise self._log_gone()
        if not close_untouched(self._connection, self._place):
            raise self._log_gone()
        self._connection = None

    def _let_guests_in(self) -> None:
        # Where the journal could not be opened anew, they hear so from ``assert_here``.
        for guest in self._guests:
            guest.come_back()

    def _copy(self, connection: sqlite3.Connection) -> None:
        self._rescued = rescue.copy_of(connection, self.path)
        if self._rescued is None:
            log.error(
                "The log of the journal %s was taken away, and others have written to the journal since: what was in "
                "the log alone is lost.",
                self.path,
            )

    def _open_anew(self) -> sqlite3.Connection:
        if self._connection is None:
            # Another manager of this process, or a connection of the program's own: SQLite would go on with the
            # index of the vanished log. A manager lets go by itself when it looks.
            # A number of a file that is gone may be another file's by now, one of the new log's for instance.
            if self._place.log_index not in self._names.look() and descriptors_of(self._place.log_index):
                raise self._log_gone(because_of_others=True)
            connection = self._connect()
            place = self._names.look()
            if place.file != self._place.file:
                close_untouched(connection, place)
                raise self._moved()
            self._connection, self._place, self._stamp = connection, place, None
            self._counter = change_counter(place)
            # Whoever is just committing with the vanished index does not write where the next commits come.
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA busy_timeout=0")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}")
        if self._rescued is not None:
            rescue.bring_over(self._connection, self._rescued, self.path)
            self._rescued.unlink(missing_ok=True)
            self._rescued = None
        log.warning(
            "The log of the journal %s was taken away while it was in use: by a program that deleted it, or that read "
            "the journal's own bytes, which drops SQLite's locks. It was opened anew, with all that was acknowledged. "
            "To copy a journal, use `await manager.backup(path)` or `ailf journal backup`.",
            self.path,
        )
        return self._connection

    def _moved(self) -> JournalError:
        return JournalError(
            f"The journal {self.path} was deleted or replaced while it was in use, or renamed; nothing more is "
            "written. Put the file back, or stop this program and start it again; to put a backup in "
            "a journal's place, use `ailf journal restore BACKUP`."
        )

    def _log_gone(self, *, because_of_others: bool = False) -> JournalError:
        why = ": this process has other connections to it. Close those of your own" if because_of_others else ""
        return JournalError(
            f"The log of the journal {self.path} was taken away while it was in use, and the journal cannot be opened "
            f"anew yet{why}; it is tried again and again, and all that waits is kept."
        )
