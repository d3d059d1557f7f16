"""The group-commit writer: one thread, one connection, one transaction for all that waits.

Callers append changes and go on; the thread takes whatever has gathered and commits it in one transaction. There is no
timer: an idle journal commits at once, and under load the changes that arrive during one commit are the next batch.

What becomes of a record, which is settled exactly once:

=======================================  =====================================================================
what happens                             what becomes of the batch
=======================================  =====================================================================
it is committed                          its callers are told
one row is wrong, or has lost its guard  that row is refused, its neighbours are committed
anything else happens to one row         that row and what its task did later is kept, the others are committed
the journal takes no writes              submissions are refused; all else is kept, in order, and tried again
the manager stops meanwhile              it is tried for ``CLOSING_PATIENCE_SECONDS`` more, then refused
=======================================  =====================================================================
"""

import asyncio
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TypeVar

from ailf.async_tasks.guard import log
from ailf.async_tasks.journal.form import Displacement, journal_error, left_out_line
from ailf.async_tasks.journal.writing.backlog import Backlog, Piece, Record
from ailf.async_tasks.journal.writing.commit import Committer, Written, is_about_the_journal
from ailf.async_tasks.journal.writing.deliveries import NONE_REFUSED, Deliveries
from ailf.async_tasks.journal.writing.door import Door
from ailf.async_tasks.journal.writing.log_queue import LogQueue
from ailf.async_tasks.journal.writing.refusals import in_words, unwritten_error
from ailf.async_tasks.model import Health, Logged
from ailf.errors import AilfError, JournalError

T = TypeVar("T")
FIRST_RETRY_SECONDS = 0.05
"""How long the writer waits before it tries again, doubled each time ..."""

LAST_RETRY_SECONDS = 2.0
"""... up to this: a disk that has room again is noticed soon, and one that has none is left in peace."""

LINES_GATHER_SECONDS = 0.01
"""How long lines of logs wait for others, unless anything else comes meanwhile."""

CLOSING_PATIENCE_SECONDS = 10.0
"""How long a closing writer tries on a journal that takes no writes: the one bound of every wait for a stop."""

LAST_TRIES = 10
"""How often it is tried to answer all who still wait: what has no memory for that may have some a moment later."""

STUCK_SECONDS = 5.0
"""How much longer it is waited for where a call of the operating system does not come back."""


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
        self._loop = loop
        self._backlog = Backlog()
        self._committer = Committer(door, owner_id, self._while_waiting, log_limit=log_limit)
        self._deliveries = Deliveries(loop, on_commit)
        self.record: Callable[[Record], None] = self._backlog.put
        """Has a change written; from anywhere, a finalizer and a signal handler included. A submission that cannot
        be written is refused, whatever else cannot be written is kept and tried again."""
        self._lines = LogQueue(self._backlog.wake)
        self.log = self._lines.put
        """Has a line of a task's log written; from anywhere. Of too many that wait, the middle of each task's goes."""
        self._closing_at: float | None = None
        # For how many seconds more a closing writer tries after each batch that it could write.
        self._renewed: float | None = None
        # Set by the thread alone:
        self._trouble: JournalError | None = None
        self._retry_at = 0.0
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._unsent: tuple[Sequence[Record], Mapping[int, AilfError]] | None = None
        self._left: list[Record] = []
        self._is_flooded = False
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
            left_out=self._backlog.left_out,
        )

    async def call(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a piece of work on the writer's connection, between two batches.

        Args:
            work: called in the writer's thread, and again where it met somebody else's lock; it begins and ends
                its own transactions.

        Returns:
            What it returns.

        Raises:
            JournalError: the journal cannot be written, or is being closed.
        """
        if self._closing_at is not None:
            raise JournalError(f"The journal {self._path} is being closed, and takes nothing new.")
        future: asyncio.Future[T] = self._loop.create_future()

        def refuse(error: BaseException) -> None:
            self._answer(_fail, future, error)

        def run() -> None:
            try:
                result = self._committer.do(work)
            except (sqlite3.Error, OSError) as error:
                refuse(journal_error(error, self._path, "written"))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the caller hears of it
                refuse(error)
            else:
                self._answer(_succeed, future, result)

        self._backlog.put_work(Piece(run, refuse))
        return await future

    def look_after_the_place(self) -> None:
        """See whether the journal's files are still there, where nothing is written for a while; from any thread."""
        if self._trouble is None and self._closing_at is None and self._door.look() is not Displacement.NONE:
            self._backlog.put_work(Piece(self._mind_the_place, lambda _: None))

    def _mind_the_place(self) -> None:
        try:
            self._door.enter()
        except JournalError as error:
            self._keep([], error)

    def leave_to_the_parent(self) -> None:
        """In a forked child: take no more lines."""
        self._lines.close()

    def close(self, patience: float = CLOSING_PATIENCE_SECONDS) -> list[Record]:
        """Write what is left, and end the thread; blocks until then. Whoever waits for what cannot be written is told.

        Args:
            patience: for how many seconds to go on trying on a journal that takes no writes. While it takes them, all
                that waits is written, however long that takes.

        Returns:
            The records that could not be written.
        """
        self._renewed = patience
        self.close_soon(patience)
        while self._thread.is_alive() and (seconds := self._seconds_to_close() + STUCK_SECONDS) > 0:
            self._thread.join(seconds)
        is_over = not self._thread.is_alive()
        self._lines.close()
        # What has not ended is in a call that does not come back, and changes nothing meanwhile.
        left = self._left if is_over else self._backlog.left()
        lines: Counter[str] = Counter()
        for line in self._lines.take():
            lines[line.task_id] += line.left_out or 1
        return left + [(left_out_line(task_id, 0, number), None, None) for task_id, number in lines.items()]

    def _seconds_to_close(self) -> float:
        return 0.0 if self._closing_at is None else self._closing_at - time.monotonic()

    def close_at_exit(self, patience: float) -> bool:
        """The same for a process that ends in any case; returns whether the thread has ended in time."""
        self.close_soon(patience)
        self._thread.join(patience)
        return not self._thread.is_alive()

    def close_soon(self, patience: float = CLOSING_PATIENCE_SECONDS) -> None:
        """The same, without waiting for it."""
        self._closing_at = time.monotonic() + patience
        self._backlog.wake()

    def _run(self) -> None:
        error: BaseException | None = None
        while True:
            try:
                if error is not None:
                    self._survive(error)
                    error = None
                if self._is_over():
                    break
                self._backlog.gather(self._pause())
                if self._has_lines_alone:
                    # For lines nobody waits, and whoever logs once logs again: fewer commits leave more to the others.
                    self._backlog.gather(LINES_GATHER_SECONDS)
                if self._is_due():
                    self._turn()
            except BaseException as raised:  # noqa: BLE001 - the thread outlives whatever happens in it
                # What comes on top of it must not end the thread either: it is tried again.
                if error is not None:
                    # What went wrong goes wrong again: without a pause that would take a whole core.
                    time.sleep(FIRST_RETRY_SECONDS)
                error = error or raised
        for _ in range(LAST_TRIES):
            with suppress(BaseException):
                self._leave()
                break

    def _is_over(self) -> bool:
        closing_at = self._closing_at
        if closing_at is None:
            return False
        # A stop waits for all that can be written; the end of a process does not.
        gives_up = self._renewed is None or self._trouble is not None
        return self._is_idle() or (gives_up and time.monotonic() >= closing_at)

    def _is_idle(self) -> bool:
        """Whether nothing waits; a line may, though the call that told of it was heard while a lock was waited for."""
        return self._backlog.is_empty and not len(self._lines)

    @property
    def _has_lines_alone(self) -> bool:
        return self._closing_at is None and self._trouble is None and self._backlog.is_empty and len(self._lines) > 0

    def _pause(self) -> float | None:
        """For how many seconds there is nothing to do; None until something comes."""
        if self._trouble is None:
            return None if self._is_idle() and self._closing_at is None else 0
        if self._backlog.has_callers:
            return 0
        pause = max(0.0, self._retry_at - time.monotonic())
        return pause if self._closing_at is None else min(pause, FIRST_RETRY_SECONDS)

    def _is_due(self) -> bool:
        """Whether to write now: trouble is left in peace for a while, unless somebody waits for an answer."""
        if self._trouble is None or self._backlog.has_callers or self._closing_at is not None:
            return True
        return time.monotonic() >= self._retry_at

    def _while_waiting(self) -> bool:
        """While another program holds the lock; whether to go on waiting."""
        self._backlog.gather()
        return self._closing_at is None or time.monotonic() < self._closing_at

    def _turn(self) -> None:
        """One batch, and the pieces of work that wait."""
        self._send()
        self._tell_of_a_flood()
        # What is taken from here on is not what was committed before.
        self._committer.is_committed = False
        records = self._backlog.take()
        # After the records: what a task has logged is in the file when its end is.
        lines = self._lines.take()
        if records or lines or self._trouble is not None:
            self._write(records, lines)
        while (piece := self._backlog.next_work()) is not None:
            try:
                piece.run()
            except BaseException as error:  # noqa: BLE001 - whatever it is, who asked for it hears of it
                piece.refuse(error)
            self._backlog.work_is_done()
        self._committer.check_point_if_due()

    def _write(self, records: list[Record], lines: list[Logged]) -> None:
        try:
            records = self._without_the_confirmed(records)
            written = self._committer.write(records, lines)
        except BaseException as error:
            self._lines.put_back(lines)
            if not (isinstance(error, Exception) and is_about_the_journal(error)):
                raise
            self._keep(records, error)
        else:
            self._lines.settle()
            self._settle(records, written)

    def _without_the_confirmed(self, records: list[Record]) -> list[Record]:
        """What is left to write, once it is known that an earlier commit went into the journal."""
        if not (confirmed := self._committer.confirmed()):
            return records
        self._deliveries.send(confirmed)
        ids = set(map(id, confirmed))
        self._backlog.under_way = [record for record in records if id(record) not in ids]
        return self._backlog.under_way

    def _settle(self, records: Sequence[Record], written: Written) -> None:
        """Take note of what is committed, and tell its callers."""
        refusals = written.refusals
        if written.kept:
            ids = {id(record) for record in written.kept}
            settled = [index for index, record in enumerate(records) if id(record) not in ids]
            refusals = {place: refusals[index] for place, index in enumerate(settled) if index in refusals}
            records = [records[index] for index in settled]
        # In one step: what is told of is under way no more, whatever happens from here on.
        self._unsent, self._backlog.under_way = (records, refusals), list(written.kept)
        self._backlog.settle(written.kept)
        if self._renewed is not None and written.why is None:
            self._closing_at = time.monotonic() + self._renewed
        if written.why is not None:
            self._be_in_trouble(journal_error(written.why, self._path, "written"))
        elif self._trouble is not None:
            self._trouble = None
            self._retry_at = 0.0
            self._retry_seconds = FIRST_RETRY_SECONDS
            log.warning("The journal %s takes writes again; no transition and no result was lost.", self._path)
        self._send()

    def _keep(self, records: Sequence[Record], error: Exception) -> None:
        """Refuse the submissions and keep all else, in order, for the next try."""
        trouble = error if isinstance(error, JournalError) else journal_error(error, self._path, "written")
        refused = [record for record in records if self._committer.can_be_refused(record)]
        kept = [record for record in records if not self._committer.can_be_refused(record)]
        unsent = (refused, dict.fromkeys(range(len(refused)), trouble)) if refused else None
        self._unsent, self._backlog.under_way = unsent, kept
        self._backlog.settle(kept)
        self._be_in_trouble(trouble)
        self._send()

    def _be_in_trouble(self, trouble: JournalError) -> None:
        was_well = self._trouble is None
        self._trouble = trouble
        self._retry_at = time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)
        if was_well:
            log.warning("%s Running tasks run on; what they did is kept in memory until it can be written.", trouble)

    def _survive(self, error: BaseException) -> None:
        """The last resort: what is committed is told, whatever else is under way is kept, and health says why."""
        self._committer.roll_back()
        under_way = self._backlog.under_way
        if under_way and self._committer.is_committed and self._unsent is None:
            self._unsent, self._backlog.under_way = (under_way, NONE_REFUSED), []
            self._backlog.settle()
        elif under_way:
            self._backlog.settle(under_way)
        self._be_in_trouble(journal_error(error, self._path, "written"))
        self._send()

    def _tell_of_a_flood(self) -> None:
        """Say once that reports are left out, and again only if all could be written meanwhile."""
        if self._backlog.is_thinned and not self._is_flooded:
            log.warning(
                "More reports of progress come than can wait to be written to the journal %s: those in the middle are "
                "left out, and the timeline of each task says how many.",
                self._path,
            )
        self._is_flooded = self._backlog.is_thinned

    def _send(self) -> None:
        if self._unsent is not None:
            self._deliveries.send(*self._unsent)
            self._unsent = None

    def _leave(self) -> None:
        """At the end of the thread: answer all who still wait."""
        self._send()
        self._left += self._backlog.left()
        if self._left:
            unwritten = [in_words(change) for change, _, _ in self._left]
            error = unwritten_error(self._path, unwritten, self._trouble)
            self._deliveries.send(self._left, dict.fromkeys(range(len(self._left)), error))
        while (piece := self._backlog.next_work()) is not None:
            piece.refuse(JournalError(f"The journal {self._path} was closed before this could be done."))
            self._backlog.work_is_done()

    def _answer(self, function: Callable[..., None], *arguments: object) -> None:
        # A loop that was closed without a stop hears nothing; what was written is written.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[T], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
