"""The group-commit writer: one thread, one connection, one transaction for all that waits.

Callers append changes and go on; the thread takes whatever has gathered and commits it in one
transaction. There is no timer: an idle journal commits at once, and under load the changes that
arrive during one commit are the next batch.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ailf.async_tasks.journal.batch import Batch
from ailf.async_tasks.journal.engine import journal_error
from ailf.async_tasks.model import Change, Submitted
from ailf.errors import DuplicateTaskError, JournalError, TaskConflictError

T = TypeVar("T")
Refusal = DuplicateTaskError | JournalError
Done = Callable[[Refusal | None], None]
"""Called on the event loop when a record is committed (None), or when it cannot be."""

FIRST_RETRY_SECONDS = 0.05
"""How long the writer waits before it tries again, doubled each time ..."""

LAST_RETRY_SECONDS = 2.0
"""... up to this: a disk that has room again is noticed soon, and one that has none is left in peace."""

CLOSING_PATIENCE_SECONDS = 10.0
"""How long a closing writer goes on trying to write what it still has."""

ROW_ERRORS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
"""The driver's errors that say that one record is wrong, and not the journal."""

log = logging.getLogger("ailf.async_tasks")


class Record:
    """Changes that are written together or not at all, and whom to tell."""

    __slots__ = ("can_be_refused", "changes", "done", "error")

    def __init__(self, changes: Sequence[Change], done: Done | None) -> None:
        self.changes = changes
        self.done = done
        self.error: Refusal | None = None
        self.can_be_refused = type(changes[0]) is Submitted
        """Whether its caller waits to hear if it was written; what has happened already must be kept instead."""


class Writer:
    """Writes records in the order in which they come, in its own thread, and tells the loop."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        owner_id: str,
        loop: asyncio.AbstractEventLoop,
        on_commit: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._owner_id = owner_id
        self._loop = loop
        self._on_commit = on_commit
        self._lock = threading.Lock()
        # All under the lock:
        self._is_asleep = False
        self._buffer: list[Record] = []
        self._work: list[Callable[[], None]] = []
        self._retry_at = 0.0
        self._closing_at: float | None = None
        # Held by the thread, which waits for it to be released; a threading.Condition does the same in Python.
        self._bell = threading.Lock()
        self._bell.acquire()
        # Touched by the thread alone:
        self._trouble: JournalError | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        # A daemon, so that a program that forgets to stop can exit.
        self._thread = threading.Thread(target=self._run, name=f"ailf journal {path.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def record(self, changes: Sequence[Change], done: Done | None = None) -> None:
        """Have changes written, as one; from any thread.

        Args:
            changes: what happened.
            done: called on the event loop with the end of it. A submission that cannot be written is
                refused; whatever else cannot be written is kept and tried again.
        """
        record = Record(changes, done)
        with self._lock:
            self._buffer.append(record)
            if record.can_be_refused:
                self._retry_at = 0.0
            self._ring()

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a piece of work on the writer's connection, between two batches.

        Args:
            work: called in the writer's thread; it begins and ends its own transaction.

        Returns:
            What it returns.

        Raises:
            JournalError: the journal cannot be written.
        """
        future: asyncio.Future[T] = self._loop.create_future()

        def run() -> None:
            try:
                result = work(self._connection)
            except sqlite3.Error as error:
                self._roll_back()
                self._tell(_fail, future, journal_error(error, self._path, "written"))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller hears of it
                self._roll_back()
                self._tell(_fail, future, error)
            else:
                self._tell(_succeed, future, result)

        with self._lock:
            if self._closing_at is not None:
                raise JournalError(f"The journal {self._path} cannot be written: it is being closed.")
            self._work.append(run)
            self._ring()
        return await future

    def close(self, patience: float = CLOSING_PATIENCE_SECONDS) -> list[Record]:
        """Write what is left, and end the thread; blocks until then.

        Args:
            patience: for how many seconds to go on trying on a journal that takes no writes.

        Returns:
            The records that could not be written.
        """
        with self._lock:
            self._closing_at = time.monotonic() + patience
            self._retry_at = 0.0
            self._ring()
        self._thread.join()
        return self._buffer

    def _run(self) -> None:
        while True:
            with self._lock:
                pause = self._seconds_to_wait()
                self._is_asleep = pause != 0
                if not self._is_asleep:
                    batch, self._buffer = self._buffer, []
                    work, self._work = self._work, []
            if pause != 0:
                self._sleep(pause)
                continue
            if batch:
                self._write(batch)
            for piece in work:
                piece()
            if self._closing_at is not None and self._is_finished(self._closing_at):
                return

    def _ring(self) -> None:
        """Wake the thread, with the lock held."""
        if self._is_asleep:
            self._is_asleep = False
            self._bell.release()

    def _sleep(self, pause: float | None) -> None:
        """Wait for the bell, but no longer than a pause in seconds."""
        rung = self._bell.acquire(timeout=-1 if pause is None else pause)
        with self._lock:
            if not rung and not self._is_asleep:
                # Rung after the pause and before the lock: what was released has to be taken back.
                self._bell.acquire()
            self._is_asleep = False

    def _seconds_to_wait(self) -> float | None:
        """How long there is nothing to do: 0 is not at all, None until woken."""
        if self._work or (self._closing_at is not None and not self._buffer):
            return 0
        if not self._buffer:
            return None
        return max(0.0, self._retry_at - time.monotonic())

    def _is_finished(self, deadline: float) -> bool:
        with self._lock:
            return not self._work and (not self._buffer or time.monotonic() > deadline)

    def _write(self, records: list[Record]) -> None:
        try:
            self._commit_together(records)
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever a record does to it
            if _is_about_the_journal(error):
                self._keep(records, error)
            else:
                self._roll_back()
                self._write_one_by_one(records)
        else:
            self._settle(records)

    def _commit_together(self, records: list[Record]) -> None:
        batch = Batch(self._owner_id)
        for record in records:
            batch.add(record.changes)
        self._connection.execute("BEGIN IMMEDIATE")
        batch.execute(self._connection)
        self._connection.execute("COMMIT")

    def _write_one_by_one(self, records: list[Record]) -> None:
        """Write the records that can be, in one transaction; a bad one does not fail its neighbours."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for record in records:
                record.error = None
                self._connection.execute("SAVEPOINT one")
                try:
                    batch = Batch(self._owner_id)
                    batch.add(record.changes)
                    batch.execute(self._connection)
                except Exception as error:
                    if _is_about_the_journal(error):
                        raise
                    self._connection.execute("ROLLBACK TO one")
                    record.error = _refusal(record, error, self._path)
                self._connection.execute("RELEASE one")
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._keep(records, error)
        else:
            self._settle(records)

    def _settle(self, records: list[Record]) -> None:
        if self._trouble is not None:
            self._trouble = None
            self._retry_seconds = FIRST_RETRY_SECONDS
            log.warning("The journal %s takes writes again; nothing was lost.", self._path)
        self._tell(self._settled, records)

    def _keep(self, records: list[Record], error: Exception) -> None:
        """Refuse the submissions and keep all else, in order, for the next try."""
        self._roll_back()
        trouble = journal_error(error, self._path, "written")
        if self._trouble is None:
            log.warning("%s Running tasks run on; what they did is kept in memory until it can be written.", trouble)
        self._trouble = trouble
        refused = [record for record in records if record.can_be_refused]
        for record in refused:
            record.error = trouble
        kept = [record for record in records if not record.can_be_refused]
        with self._lock:
            self._buffer[:0] = kept
            self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)
        if refused:
            self._tell(self._settled, refused)

    def _roll_back(self) -> None:
        # SQLite rolls back by itself after some errors, a full disk among them.
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        # A loop that was closed without a stop hears nothing; what was written is written.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _settled(self, records: Iterable[Record]) -> None:
        for record in records:
            if record.done is not None:
                record.done(record.error)
        self._on_commit()


def _is_about_the_journal(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and not isinstance(error, ROW_ERRORS)


def _refusal(record: Record, error: Exception, path: Path) -> Refusal:
    task_id = record.changes[0].task_id
    if getattr(error, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_PRIMARYKEY":
        return DuplicateTaskError(
            f"A task with the id {task_id!r} is in the journal already; choose another id, or let submit choose one."
        )
    refusal = TaskConflictError(f"The journal {path} refuses a change of the task {task_id!r}: {error}")
    refusal.__cause__ = error
    return refusal


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
