"""Running the reads in the thread of whoever asks."""

import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self, TypeVar

from ailf.async_tasks.journal.form import Access, connect, indexes, refuse_inherited, translated
from ailf.async_tasks.journal.reading.filters import Query, Row
from ailf.async_tasks.journal.reading.kinds import kind_of
from ailf.async_tasks.journal.reading.turnstile import Turnstile

T = TypeVar("T")

READY_PATIENCE_SECONDS = 1.0
"""How long a read waits until a journal whose log was taken away is opened anew, which takes some milliseconds ..."""

READY_LOOK_SECONDS = 0.002
"""... and how often it looks."""


class Reader:
    """Reads in the caller's thread, whichever it is, on read-only connections."""

    def __init__(
        self,
        path: Path,
        indexed: frozenset[str] | None = None,
        assert_here: Callable[[], None] = lambda: None,
        is_ready: Callable[[], bool] = lambda: True,
        *,
        patience_seconds: float | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            path: the journal.
            indexed: the JSON paths of the keys of the metadata that have an index, where that is known.
            assert_here: raises where another file is at the path by now.
            is_ready: whether what is read is the journal: not while its log is gone.
            patience_seconds: how long a read waits for a lock; None is as long as every connection does.
        """
        self._path = path
        self._patience_ms = None if patience_seconds is None else round(patience_seconds * 1000)
        self._indexed = indexed
        self._assert_here = assert_here
        self._is_ready = is_ready
        self._turnstile = Turnstile()
        # As many as threads have read at a time; a connection is for one thread at a time.
        self._idle: deque[sqlite3.Connection] = deque()
        self._is_closed = False

    def rows(self, query: Query) -> list[Row]:
        """All rows of a query.

        Raises:
            ManagerError: this is a forked child, whose parent had the journal open.
            JournalError: the journal cannot be read.
        """
        return self.ask(lambda connection: _fetched(connection, query))

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """What a question put to a connection that reads gives.

        Raises:
            ManagerError: this is a forked child, whose parent had the journal open.
            JournalError: the journal cannot be read.
        """
        refuse_inherited(self._path)
        until = time.monotonic() + READY_PATIENCE_SECONDS
        while True:
            answer = self._once(question, is_last=time.monotonic() > until)
            if answer is not None:
                return answer[0]
            while not self._is_ready() and time.monotonic() < until:
                # The writer's thread opens it anew, and tells nobody: a read takes no lock to be woken by.
                time.sleep(READY_LOOK_SECONDS)

    def _once(self, question: Callable[[sqlite3.Connection], T], *, is_last: bool) -> tuple[T] | None:
        """An answer; None where it may not be the journal's: with its log gone, SQLite reads a bit of each state."""
        with translated(self._path, "read"):
            self._turnstile.enter()
            try:
                answer = (self._ask(question),)
            except Exception:
                if is_last or self._is_ready():
                    raise
                return None
            else:
                return answer if is_last or self._is_ready() else None
            finally:
                self._turnstile.leave()

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._idle.pop()
        except IndexError:
            self._assert_here()
            connection = self._connected()
        try:
            return question(connection)
        finally:
            self._idle.append(connection)
            if self._is_closed:
                self.close()

    def leave(self) -> bool:
        """Close all connections, and open none until told; returns whether that is done."""
        if not self._turnstile.shut():
            return False
        self._close_idle()
        return True

    def come_back(self) -> None:
        """Open connections again when they are needed."""
        self._turnstile.open()

    def _connected(self) -> sqlite3.Connection:
        connection = connect(self._path, Access.READ)
        if self._patience_ms is not None:
            connection.execute(f"PRAGMA busy_timeout={self._patience_ms}")
        connection.create_function("ailf_kind", 1, kind_of, deterministic=True)
        return connection

    def indexed_paths(self) -> frozenset[str]:
        """The JSON paths of the keys of the metadata that have an index, as of the first time that this is asked.

        Raises:
            JournalError: the journal cannot be read.
        """
        if self._indexed is None:
            self._indexed = indexes.paths_of(self.rows(Query(indexes.ALL, ())))
        return self._indexed

    def __enter__(self) -> Self:
        """Use it for a while."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._is_closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        # Another thread may close as well, as the last to have read.
        with suppress(IndexError):
            while True:
                self._idle.pop().close()


def _fetched(connection: sqlite3.Connection, query: Query) -> list[Row]:
    try:
        return connection.execute(*query).fetchall()
    except sqlite3.OperationalError as error:
        if not is_about_text(error):
            raise
    connection.text_factory = as_it_is
    try:
        return connection.execute(*query).fetchall()
    finally:
        connection.text_factory = str


def is_about_text(error: Exception) -> bool:
    """Whether a text is no UTF-8, of which SQLite takes any: one cell of one row, which is to hide no other."""
    return "Could not decode to UTF-8" in str(error)


def as_it_is(text: bytes) -> str:
    """A text whatever it is made of."""
    return text.decode(errors="backslashreplace")
