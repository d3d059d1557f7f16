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
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from ailf.async_tasks.journal.form import Displacement, journal_error, left_out_line
from ailf.async_tasks.journal.writing.backlog import Backlog, Record, can_be_refused
from ailf.async_tasks.journal.writing.batch import Batch
from ailf.async_tasks.journal.writing.door import Door
from ailf.async_tasks.journal.writing.log_book import LogBook
from ailf.async_tasks.journal.writing.log_queue import LogQueue
from ailf.async_tasks.journal.writing.statements import TOUCH_OWNER
from ailf.async_tasks.model import Change, Health, Logged
from ailf.errors import AilfError, DuplicateTaskError, JournalError, TaskConflictError

T = TypeVar("T")
FIRST_RETRY_SECONDS = 0.05
"""How long the writer waits before it tries again, doubled each time ..."""

LAST_RETRY_SECONDS = 2.0
"""... up to this: a disk that has room again is noticed soon, and one that has none is left in peace."""

CLOSING_PATIENCE_SECONDS = 10.0
"""How long a closing writer goes on trying to write what it still has."""

CLOSING_BUSY_MILLISECONDS = 250
"""How long each of these tries waits for a lock that another program holds."""

COMMITS_A_CHECKPOINT = 600
"""After how many commits the log is brought into the file: of some ten pages each, about 25 MB of log."""

ROW_ERRORS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
"""The driver's errors that say that one record is wrong, and not the journal."""

log = logging.getLogger("ailf.async_tasks")


class Writer:
    """Writes records in the order in which they come, in its own thread, and tells the loop."""

    def __init__(
        self,
        door: Door,
        owner_id: str,
        loop: asyncio.AbstractEventLoop,
        on_commit: Callable[[], None],
        *,
        log_limit: int = 1_000,
    ) -> None:
        self._door = door
        self._path = door.path
        self._owner_id = owner_id
        self._loop = loop
        self._on_commit = on_commit
        self._backlog = Backlog()
        self.record = self._backlog.put
        """Has a change written; from any thread. A submission that cannot be written is refused, whatever else
        cannot be written is kept and tried again."""
        self._lines = LogQueue(self._backlog.wake)
        self._book = LogBook(log_limit)
        self.log = self._lines.put
        """Has a line of a task's log written; from anywhere. Of too many that wait, the middle of each task's goes."""
        # Set by the thread alone:
        self._trouble: JournalError | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._commits = 0
        # Committed, but perhaps into a log that nobody will find: told when that is known.
        self._unsure: list[Record] = []
        # A daemon, so that a program that forgets to stop can exit.
        self._thread = threading.Thread(target=self._run, name=f"ailf journal {door.path.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def health(self) -> Health:
        """Whether the journal takes writes, as of the last try, and what waits for it."""
        waiting, oldest = self._backlog.size()
        age = None if oldest is None else max(0.0, time.time() - oldest / 1e6)
        trouble = self._trouble
        return Health(
            is_writable=trouble is None,
            unwritten=waiting + len(self._lines),
            oldest_seconds=age,
            last_error=None if trouble is None else str(trouble),
        )

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
                result = work(self._door.enter())
                self._door.leave()
            except (sqlite3.Error, OSError) as error:
                self._door.roll_back()
                self._tell(_fail, future, journal_error(error, self._path, "written"))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller hears of it
                self._door.roll_back()
                self._tell(_fail, future, error)
            else:
                self._tell(_succeed, future, result)

        self._backlog.put_work(run)
        return await future

    def look_after_the_place(self) -> None:
        """See whether the journal's files are still there, where nothing is written for a while; from any thread."""
        if self._trouble is None and self._door.look() is not Displacement.NONE:
            with suppress(JournalError):
                self._backlog.put_work(self._mind_the_place)

    def _mind_the_place(self) -> None:
        try:
            self._door.enter()
        except JournalError as error:
            self._keep([], error)

    def close(self, patience: float = CLOSING_PATIENCE_SECONDS) -> list[Record]:
        """Write what is left, and end the thread; blocks until then.

        Args:
            patience: for how many seconds to go on trying on a journal that takes no writes.

        Returns:
            The records that could not be written.
        """
        self._backlog.close(patience)
        self._thread.join()
        self._lines.close()
        lines = Counter(line.task_id for line in self._lines.take())
        return self._backlog.left() + [
            (left_out_line(task_id, 0, number), None, None) for task_id, number in lines.items()
        ]

    def leave_to_the_parent(self) -> None:
        """In a forked child: take no more lines."""
        self._lines.close()

    def close_at_exit(self, patience: float) -> bool:
        """The same for a process that ends in any case; returns whether the thread has ended in time."""
        self._backlog.close(patience)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (taken := self._backlog.take()) is not None:
            records, work = taken
            # After the records: what a task has logged is in the file when its end is.
            lines = self._lines.take()
            if records or lines or self._trouble is not None:
                self._write(records, lines)
            for piece in work:
                piece()
            self._check_point_if_due()
        if self._trouble is None and (lines := self._lines.take()):
            self._write([], lines)

    def _write(self, records: list[Record], lines: list[Logged]) -> None:
        try:
            records = self._without_the_unsure(records)
            self._commit_together(records, lines)
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever a record does to it
            self._book.forget()
            if _is_about_the_journal(error):
                self._lines.put_back(lines)
                self._keep(records, error)
            else:
                self._door.roll_back()
                self._write_one_by_one(records, lines)
        else:
            self._settle(records)

    def _check_point_if_due(self) -> None:
        """Bring the write-ahead log into the file now and then, when whoever waited for a commit has been told.

        SQLite would do it within a commit, whose caller would wait for it.
        """
        self._commits += 1
        if self._commits >= COMMITS_A_CHECKPOINT:
            self._commits = 0
            with suppress(sqlite3.Error, JournalError):
                self._door.enter().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _commit_together(self, records: list[Record], lines: list[Logged]) -> None:
        batch = Batch(self._owner_id)
        for change, _, _ in records:
            batch.add(change)
        connection = self._begin()
        batch.execute(connection)
        if lines:
            self._book.write(connection, lines)
        elif not records:
            # Nothing waits, and yet somebody may wait to hear that the journal takes writes again.
            connection.execute(TOUCH_OWNER.sql, (self._owner_id,))
        self._commit(connection, records, lines)

    def _begin(self) -> sqlite3.Connection:
        connection = self._door.enter()
        if self._backlog.is_closing:
            connection.execute(f"PRAGMA busy_timeout={CLOSING_BUSY_MILLISECONDS}")
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _commit(self, connection: sqlite3.Connection, records: list[Record], lines: list[Logged]) -> None:
        connection.execute("COMMIT")
        try:
            self._door.leave()
        except Exception:
            self._unsure = records
            # Those nobody waits for: they are where the commit is.
            lines.clear()
            raise

    def _without_the_unsure(self, records: list[Record]) -> list[Record]:
        """What is left to write, once it is known that the last commit went into the journal."""
        if not self._unsure:
            return records
        self._door.enter()
        committed = set(map(id, self._unsure))
        self._tell(self._settled, [record for record in records if id(record) in committed], {})
        self._unsure = []
        return [record for record in records if id(record) not in committed]

    def _write_one_by_one(self, records: list[Record], lines: list[Logged]) -> None:
        """Write the records that can be, in one transaction; a bad one does not fail its neighbours."""
        try:
            connection = self._begin()
            refusals: dict[int, AilfError] = {}
            for index, record in enumerate(records):
                connection.execute("SAVEPOINT one")
                try:
                    batch = Batch(self._owner_id)
                    batch.add(record[0])
                    batch.execute(connection)
                except Exception as error:
                    if _is_about_the_journal(error):
                        raise
                    connection.execute("ROLLBACK TO one")
                    refusals[index] = _refusal(record[0], error, self._path)
                connection.execute("RELEASE one")
            if lines:
                self._book.write(connection, lines)
            self._commit(connection, records, lines)
        except (sqlite3.Error, JournalError) as error:
            self._book.forget()
            self._lines.put_back(lines)
            self._keep(records, error)
        else:
            self._settle(records, refusals)

    def _settle(self, records: list[Record], refusals: Mapping[int, AilfError] = MappingProxyType({})) -> None:
        self._backlog.settle()
        self._lines.settle()
        if self._trouble is not None:
            self._trouble = None
            self._retry_seconds = FIRST_RETRY_SECONDS
            dropped = self._backlog.dropped()
            lost = f"{dropped} reports of progress were dropped" if dropped else "nothing was lost"
            log.warning("The journal %s takes writes again; %s.", self._path, lost)
        self._tell(self._settled, records, refusals)

    def _keep(self, records: list[Record], error: Exception) -> None:
        """Refuse the submissions and keep all else, in order, for the next try."""
        self._door.roll_back()
        trouble = error if isinstance(error, JournalError) else journal_error(error, self._path, "written")
        if self._trouble is None:
            log.warning("%s Running tasks run on; what they did is kept in memory until it can be written.", trouble)
        self._trouble = trouble
        unsure = set(map(id, self._unsure))
        refused = [record for record in records if can_be_refused(record) and id(record) not in unsure]
        kept = [record for record in records if not can_be_refused(record) or id(record) in unsure]
        self._backlog.put_back(kept, self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)
        if refused:
            self._tell(self._settled, refused, dict.fromkeys(range(len(refused)), trouble))

    def _tell(self, function: Callable[..., None], *arguments: object) -> None:
        # A loop that was closed without a stop hears nothing; what was written is written.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _settled(self, records: Iterable[Record], refusals: Mapping[int, AilfError]) -> None:
        for index, (_, done, about) in enumerate(records):
            if done is not None:
                done(about, refusals.get(index))
        self._on_commit()


def _is_about_the_journal(error: Exception) -> bool:
    if isinstance(error, JournalError):
        return not isinstance(error, TaskConflictError)
    return isinstance(error, sqlite3.Error) and not isinstance(error, ROW_ERRORS)


def _refusal(change: Change, error: Exception, path: Path) -> AilfError:
    task_id = change.task_id
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
