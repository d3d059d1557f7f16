"""Whether anybody has written to the journal since the last look, for next to nothing.

``PRAGMA data_version`` (https://sqlite.org/pragma.html#pragma_data_version) is a number that changes when
another connection, of this process or any other, has committed. To read it takes no query and no page
of the file: some microseconds, so that one may ask many times a second.
"""

import sqlite3
from pathlib import Path

from ailf.async_tasks.journal.form import Access, connect, translated


class Pulse:
    """A connection of its own that is asked for nothing else; for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Begin: what was committed before is not news.

        Args:
            path: the journal.

        Raises:
            JournalError: it cannot be opened.
        """
        with translated(path, "read"):
            self._connection = connect(path, Access.READ)
        # Whoever asks must never wait for a lock; the next look comes soon.
        self._connection.execute("PRAGMA busy_timeout=0")
        self._version = self._read()

    def has_changed(self) -> bool:
        """Whether something was committed since the last call; True as well where that cannot be told."""
        version = self._read()
        changed = version is None or version != self._version
        self._version = version
        return changed

    def _read(self) -> int | None:
        try:
            [(version,)] = self._connection.execute("PRAGMA data_version").fetchall()
        except sqlite3.Error:
            # Locked for a moment, or in trouble, which the read that follows will name.
            return None
        return int(version)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
