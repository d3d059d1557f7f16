"""One transaction with a batch of records: all of it, or row by row where one of them is wrong."""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from ailf.async_tasks.journal.form import BUSY_TIMEOUT_SECONDS, tie_log_to_file
from ailf.async_tasks.journal.writing.backlog import Record, can_be_refused
from ailf.async_tasks.journal.writing.batch import Batch
from ailf.async_tasks.journal.writing.door import Door
from ailf.async_tasks.journal.writing.log_book import LogBook
from ailf.async_tasks.journal.writing.refusals import refusal_of
from ailf.async_tasks.journal.writing.statements import TOUCH_OWNER
from ailf.async_tasks.model import Change, Ended, LeftOut, Logged, Progressed, Started, Submitted
from ailf.errors import AilfError, JournalError, TaskConflictError

T = TypeVar("T")

BUSY_PATIENCE_SECONDS: float = BUSY_TIMEOUT_SECONDS
"""How long the writer waits for a lock that another program holds."""

BUSY_TRY_MILLISECONDS = 250
"""How long each of the tries waits of which that is made: in between what comes is sorted, and a stop is heard of."""

COMMITS_A_CHECKPOINT = 600
"""After how many commits the log is brought into the file: of some ten pages each, about 25 MB of log."""

IS_THERE: Mapping[type[Change], str] = {
    Submitted: "SELECT 1 FROM tasks WHERE id = ?",
    Ended: "SELECT 1 FROM tasks WHERE id = ? AND completed_at IS NOT NULL",
    Started: "SELECT 1 FROM tasks WHERE id = ? AND started_at IS NOT NULL",
    Progressed: "SELECT 1 FROM tasks WHERE id = ?",
    LeftOut: "SELECT 1 FROM tasks WHERE id = ?",
}
"""By kind of change, how to see that it is in the journal. What has no row of its own is taken to be."""

IS_THERE_ORDER = tuple(IS_THERE)

ROW_ERRORS = (
    *(sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError),
    *(OverflowError, TaskConflictError),
)
"""What says that one record is wrong, and will be however often it is tried; a MemoryError, say, does not."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch that was committed."""

    refusals: Mapping[int, AilfError] = field(default_factory=dict)
    """The records that are wrong, by their index in the batch."""
    kept: Sequence[Record] = ()
    """The records that could not be written, and may be the next time."""
    why: Exception | None = None
    """What was raised for the last of these."""


class Committer:
    """Writes batches on the writer's connection; belongs to the writer's thread.

    Attributes:
        is_committed: whether the last batch is in the journal, though its ``write`` may not have returned.
    """

    def __init__(self, door: Door, owner_id: str, while_waiting: Callable[[], bool], *, log_limit: int) -> None:
        """Begin on an open journal.

        Args:
            door: through which every write goes.
            owner_id: whose changes are written.
            while_waiting: called now and then while another program holds the lock; whether to go on waiting.
            log_limit: how many lines of a task's log are kept.
        """
        self.is_committed = False
        self._door = door
        self._owner_id = owner_id
        self._while_waiting = while_waiting
        self._book = LogBook(log_limit)
        # Committed, but perhaps into a log that nobody will find: told when that is known.
        self._unsure: list[Record] = []
        # The connection that waits for a lock, and for how many milliseconds.
        self._patient: tuple[sqlite3.Connection | None, int] = (None, 0)
        self._commits = 0
        self._last_time = 0

    def can_be_refused(self, record: Record) -> bool:
        """Whether a record that was not written may be given up: of one that may be in the journal, nobody knows."""
        return can_be_refused(record) and not any(record is other for other in self._unsure)

    def confirmed(self) -> list[Record]:
        """Those of an earlier batch of which it is known by now that they are in the journal; the others are not.

        Raises:
            JournalError: it cannot be known yet.
        """
        if not self._unsure:
            return []
        is_there = self._is_there(self._unsure)
        unsure, self._unsure = self._unsure, []
        return unsure if is_there else []

    def _is_there(self, records: Sequence[Record]) -> bool:
        """Whether a transaction with these records is in the journal: it is as a whole, if any of them is."""
        connection = self._door.enter()
        change = min((change for change, _, _ in records), key=lambda change: IS_THERE_ORDER.index(type(change)))
        return connection.execute(IS_THERE[type(change)], (change.task_id,)).fetchone() is not None

    def write(self, records: list[Record], lines: list[Logged]) -> Written:
        """Commit a batch.

        Args:
            records: the records; none only finds out whether the journal takes writes.
            lines: of logs, behind the records: what a task has logged is in the file when its end is. Emptied
                where they need not be written again.

        Returns:
            Which are refused and which kept; the others are committed.

        Raises:
            JournalError: the journal takes no writes, or is not the file that was opened.
            sqlite3.Error: the journal takes no writes.
            OSError: the same.
        """
        self.is_committed = False
        try:
            self._commit_together(records, lines)
        except Exception as error:
            self._undo()
            if is_about_the_journal(error) or self._unsure:
                # What may be in the journal already is not written again before that is known.
                raise
        else:
            return Written()
        try:
            return self._commit_one_by_one(records, lines)
        except BaseException:
            self._undo()
            raise

    def patiently(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """Do what needs the journal's lock, again and again while another program holds it.

        Args:
            action: called with the writer's connection, which leads to the journal at this moment.

        Raises:
            JournalError: the journal is not the file that was opened.
            sqlite3.Error: whatever the driver says; that the journal is locked, after a while.
        """
        until = time.monotonic() + BUSY_PATIENCE_SECONDS
        wait = min(BUSY_TRY_MILLISECONDS, int(BUSY_PATIENCE_SECONDS * 1000))
        while True:
            connection = self._door.enter()
            if self._patient != (connection, wait):
                connection.execute(f"PRAGMA busy_timeout={wait}")
                self._patient = (connection, wait)
            try:
                return action(connection)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                self._door.roll_back()
                if not self._while_waiting() or time.monotonic() >= until:
                    raise

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a piece of work that begins and ends its own transactions; what is raised is rolled back."""
        try:
            result = self.patiently(work)
            self._door.leave()
        except BaseException:
            self._door.roll_back()
            raise
        return result

    def roll_back(self) -> None:
        """End a transaction that may be open."""
        self._door.roll_back()

    def check_point_if_due(self) -> None:
        """Bring the write-ahead log into the file now and then, when whoever waited for a commit has been told.

        SQLite would do it within a commit, whose caller would wait for it.
        """
        self._commits += 1
        if self._commits >= COMMITS_A_CHECKPOINT:
            self._commits = 0
            self._door.look()
            with suppress(sqlite3.Error, JournalError):
                connection = self._door.enter()
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                tie_log_to_file(connection)

    def _commit_together(self, records: list[Record], lines: list[Logged]) -> None:
        connection = self._begin()
        # Behind the lock: the tasks in it may start now, however long that was waited for.
        batch = self._batch_of(records)
        self._last_time = batch.now
        batch.execute(connection)
        if lines:
            self._book.write(connection, lines)
        elif not records:
            # Nothing waits, and yet somebody may wait to hear that the journal takes writes again.
            connection.execute(TOUCH_OWNER.sql, (self._owner_id,))
        self._commit(connection, records, lines)

    def _commit_one_by_one(self, records: list[Record], lines: list[Logged]) -> Written:
        refusals: dict[int, AilfError] = {}
        kept: list[Record] = []
        why: Exception | None = None
        held_back: set[str] = set()
        connection = self._begin()
        for index, record in enumerate(records):
            change = record[0]
            if change.task_id in held_back:
                kept.append(record)
                continue
            connection.execute("SAVEPOINT one")
            try:
                batch = self._batch_of([record])
                batch.execute(connection)
                self._last_time = batch.now
            except Exception as error:
                if is_about_the_journal(error):
                    raise
                connection.execute("ROLLBACK TO one")
                if isinstance(error, ROW_ERRORS) or can_be_refused(record):
                    refusals[index] = refusal_of(change, error, self._door.path)
                else:
                    # What its task did later comes after it, whenever that is.
                    held_back.add(change.task_id)
                    kept.append(record)
                    why = error
            connection.execute("RELEASE one")
        if lines:
            self._book.write(connection, lines)
        self._commit(connection, [record for record in records if not any(record is one for one in kept)], lines)
        return Written(refusals, kept, why)

    def _batch_of(self, records: Sequence[Record]) -> Batch:
        batch = Batch(self._owner_id, _microseconds(), self._last_time)
        for change, _, _ in records:
            batch.add(change)
        return batch

    def _begin(self) -> sqlite3.Connection:
        def begin(connection: sqlite3.Connection) -> sqlite3.Connection:
            connection.execute("BEGIN IMMEDIATE")
            return connection

        return self.patiently(begin)

    def _commit(self, connection: sqlite3.Connection, records: list[Record], lines: list[Logged]) -> None:
        connection.execute("COMMIT")
        try:
            is_there = self._door.leave() or not records or self._is_there(records)
        except Exception:
            self._unsure = records
            # Those nobody waits for: they are where the commit is.
            lines.clear()
            raise
        if not is_there:
            raise JournalError(f"The log of the journal {self._door.path} was taken away with the last commit in it.")
        self.is_committed = True

    def _undo(self) -> None:
        self._door.roll_back()
        self._book.forget()


def is_about_the_journal(error: Exception) -> bool:
    """Whether an error says that the journal takes no writes, and not that a record is wrong."""
    if isinstance(error, JournalError):
        return not isinstance(error, TaskConflictError)
    return isinstance(error, OSError) or (isinstance(error, sqlite3.Error) and not isinstance(error, ROW_ERRORS))


def _microseconds() -> int:
    return time.time_ns() // 1000
