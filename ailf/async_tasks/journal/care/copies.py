"""Copies of a journal, each a whole in itself: made by SQLite's own backup, whatever is written meanwhile."""

import os
import secrets
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

from ailf.async_tasks.journal.form import PRIVATE_FILE, translated
from ailf.errors import InvalidArgumentError, JournalError

COUNTER_PLACES = (24, 92)
"""Where a database has its change counter, twice (https://sqlite.org/fileformat.html#the_database_header)."""

FIRST_DRAWN_COUNTER = 1 << 31
"""Far above what a journal counts to by itself."""


def write_copy(source: sqlite3.Connection, copy: Path) -> None:
    """Fill an empty file with a copy of all that a connection sees.

    Args:
        source: any connection to the journal, outside of a transaction.
        copy: the file, of the mode that the copy is to have; nobody else uses it.

    Raises:
        sqlite3.Error: the journal cannot be read, or the copy not be written.
        OSError: the same.
    """
    with closing(sqlite3.connect(copy, isolation_level=None)) as target:
        source.backup(target)
        # The copy says WAL, as the original does; as one plain file it is easier to keep.
        target.execute("PRAGMA journal_mode=DELETE").fetchall()
    draw_counter(copy)


def draw_counter(copy: Path) -> None:
    """Give a copy a change counter of its own, so that an old log beside it can be told from its own.

    A log says nothing about the file that it belongs to but by this number. Any number is a right one, as long as
    both places have the same.

    Args:
        copy: the file; nobody uses it.
    """
    counter = FIRST_DRAWN_COUNTER + secrets.randbelow(FIRST_DRAWN_COUNTER - 1)
    with copy.open("r+b") as file:
        for place in COUNTER_PLACES:
            file.seek(place)
            file.write(struct.pack(">I", counter))
        file.flush()
        os.fsync(file.fileno())


def make_backup(source: sqlite3.Connection, path: Path, copy: Path) -> int:
    """Copy a journal to where nothing is yet.

    Args:
        source: any connection to the journal, outside of a transaction.
        path: the journal.
        copy: where to.

    Returns:
        The size of the copy in bytes.

    Raises:
        InvalidArgumentError: there is something at the copy's path.
        JournalError: the journal cannot be read, or the copy not be written.
    """
    try:
        copy.touch(mode=PRIVATE_FILE, exist_ok=False)
    except FileExistsError:
        raise InvalidArgumentError(f"{copy} is there already; name another path for the backup.") from None
    except OSError as error:
        raise JournalError(f"The backup {copy} cannot be written: {error.strerror}; name another path.") from error
    try:
        with translated(path, "backed up"):
            write_copy(source, copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy.stat().st_size
