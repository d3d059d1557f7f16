"""Whether anybody has written to the journal since the last look, for next to nothing.

``PRAGMA data_version`` (https://sqlite.org/pragma.html#pragma_data_version) is a number that changes when
another connection, of this process or any other, has committed. To read it takes no query and no page
of the file: some microseconds, so that one may ask many times a second.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from ailf.async_tasks.journal.form import Access, connect, translated
from ailf.async_tasks.journal.reading.turnstile import Turnstile
from ailf.errors import JournalError


class Pulse:
    """A connection of its own that is asked for nothing else; for one thread at a time."""

    def __init__(self, path: Path, assert_here: Callable[[], None] = lambda: None) -> None:
        """Begin: what was committed before is not news.

        Args:
            path: the journal.
            assert_here: raises where another file is at the path by now.

        Raises:
            JournalError: it cannot be opened.
        """
        self._path = path
        self._assert_here = assert_here
        self._turnstile = Turnstile()
        self._connection: sqlite3.Connection | None = self._open()
        self._version = self._read()

    def _open(self) -> sqlite3.Connection:
        self._assert_here()
        with translated(self._path, "read"):
            connection = connect(self._path, Access.READ)
        # Whoever asks must never wait for a lock; the next look comes soon.
        connection.execute("PRAGMA busy_timeout=0")
        return connection

    def has_changed(self) -> bool:
        """Whether something was committed since the last call; True as well where that cannot be told."""
        if not self._turnstile.try_to_enter():
            return True
        try:
            version = self._read()
        finally:
            self._turnstile.leave()
        changed = version is None or version != self._version
        self._version = version
        return changed

    def _read(self) -> int | None:
        try:
            self._connection = self._connection or self._open()
            [(version,)] = self._connection.execute("PRAGMA data_version").fetchall()
        except (sqlite3.Error, JournalError):
            # Locked for a moment, or in trouble, which the read that follows will name.
            return None
        return int(version)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def leave(self) -> bool:
        """Close the connection, and open none until told; returns whether that is done."""
        if not self._turnstile.shut():
            return False
        self.close()
        return True

    def come_back(self) -> None:
        """Open another one when it is needed."""
        self._turnstile.open()
