"""Which files a connection has open, so that whoever writes can see that they are still those of the journal's name.

SQLite finds a journal and its log by their names once, and then writes into what it opened, whatever becomes of
the names (https://sqlite.org/howtocorrupt.html#_unlinking_or_renaming_a_database_file_while_in_use). To look costs
some microseconds.
"""

import fcntl
import os
import sqlite3
import struct
from contextlib import suppress
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from ailf.async_tasks.journal.form.paths import beside
from ailf.errors import JournalError

SET_LOCK: int | None = getattr(fcntl, "F_OFD_SETLK", None)
"""The command of fcntl(2) that locks for an open file description, where the system has it."""

NO_CHECKPOINT: int | None = getattr(sqlite3, "SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE", None)
"""The setting of a connection to leave the log alone at its end, where this Python has it."""

Inode = tuple[int, int]
"""The device and the number of a file, which are its own whatever it is called."""


DESCRIPTORS = "/proc/self/fd"
"""Where Linux lists what this process has open (proc(5))."""

MOUNTS = "/proc/self/mountinfo"

SHARED_LOCK = (0x40000002, 510)
"""The bytes that SQLite locks to say that a database is in use (https://sqlite.org/lockingv3.html)."""

INDEX_HEADER = struct.Struct("=16xI76xI")
"""Of the log's index: the last frame, and up to which one all is in the file (https://sqlite.org/walformat.html)."""

INDEX_BEGINNING = struct.Struct("=8x4x2xHI")
"""Of the log's index: the size of a page, and the last frame; before them a number that each change counts up."""

LOG_HEADER_BYTES, FRAME_HEADER_BYTES = 32, 24
"""What the log has before its frames, and before the page in each."""

JOURNAL_HEADER = struct.Struct(">24xI")
"""Of a database: its mark, and the change counter (https://sqlite.org/fileformat.html#file_change_counter)."""

DATABASE_MARK = b"SQLite format 3\0"

NO_DATABASE = -1
"""In the place of the change counter of a file that was emptied, or has something else in it: it is further back."""

LARGEST_STEP = 1 << 24
"""By how much the change counter may run ahead between two looks: each change of the file is one."""


class Displacement(Enum):
    """What has happened to the files of a journal."""

    NONE = auto()
    JOURNAL = auto()
    """The journal itself is not at its name any more."""
    OVERWRITTEN = auto()
    """The journal is at its name, and what is in it is another file's."""
    LOG = auto()
    """The journal is there; its write-ahead log, or the log's index, is not the one that is open."""


class Place(NamedTuple):
    """Which files are at the names of a journal; None where there is none."""

    file: Inode | None
    """The journal's own."""
    log: Inode | None
    """The write-ahead log's."""
    log_index: Inode | None
    """The index of the log's, which all processes share as their memory."""


class Stamp(NamedTuple):
    """What changes as a journal is written to."""

    written: int
    """When the journal itself was last written to, in nanoseconds."""
    size: int
    """The journal's own, in bytes."""
    log_size: int
    """The write-ahead log's."""


class Names:
    """The names of a journal's files, worked out once: they are looked at in each transaction."""

    __slots__ = ("_index", "_journal", "_log")

    def __init__(self, path: Path) -> None:
        # By the name that was given, so that a link which leads elsewhere now is noticed as well.
        self._journal = str(path)
        self._log = str(beside(path, "-wal"))
        self._index = str(beside(path, "-shm"))

    def look(self) -> Place:
        """Which files are there now."""
        return Place(_inode(self._journal), _inode(self._log), _inode(self._index))

    def look_closely(self) -> tuple[Place, Stamp]:
        """Which files are there now, and what says that somebody has written to them: as quick as ``look``."""
        file, log = _status(self._journal), _status(self._log)
        place = Place(_inode_in(file), _inode_in(log), _inode(self._index))
        written, size = (file.st_mtime_ns, file.st_size) if file is not None else (0, 0)
        return place, Stamp(written, size, log.st_size if log is not None else 0)


def change_between(opened: Place, now: Place) -> Displacement:
    """What has happened to the files since they were opened.

    Args:
        opened: what was at the names then.
        now: what is there now.
    """
    if opened == now:
        return Displacement.NONE
    return Displacement.JOURNAL if opened.file != now.file else Displacement.LOG


def _inode(name: str) -> Inode | None:
    return _inode_in(_status(name))


def _inode_in(found: os.stat_result | None) -> Inode | None:
    return None if found is None else (found.st_dev, found.st_ino)


def _status(name: str) -> os.stat_result | None:
    try:
        return os.stat(name)  # noqa: PTH116 - half the time of Path.stat()
    except OSError:
        return None


def descriptors_of(inode: Inode | None) -> list[int]:
    """What this process has open on a file, SQLite's own descriptors among it; none where no system tells."""
    found = []
    with suppress(OSError):
        for name in os.listdir(DESCRIPTORS) if inode is not None else ():  # noqa: PTH208 - numbers, no paths
            with suppress(OSError):
                status = os.fstat(int(name))
                if (status.st_dev, status.st_ino) == inode:
                    found.append(int(name))
    return found


def _header(inode: Inode | None, size: int) -> bytes | None:
    """The first bytes in a file that SQLite has open; fewer where it is shorter, None where nobody can tell.

    Read through SQLite's own descriptor: to open the file and close it again would drop SQLite's locks.
    """
    for descriptor in descriptors_of(inode):
        with suppress(OSError):
            return os.pread(descriptor, size, 0)
    return None


def frames_left(place: Place) -> int | None:
    """How many frames of the log that is open are not in the journal itself; None where that cannot be told."""
    found = _header(place.log_index, INDEX_HEADER.size)
    if found is None or len(found) < INDEX_HEADER.size:
        return None
    last, in_file = INDEX_HEADER.unpack(found)
    return int(max(0, last - in_file))


def is_log_cut(place: Place) -> bool:
    """Whether the log that is open is shorter than what its index says is in it: somebody has cut it, past SQLite.

    SQLite writes the log before its index, and cuts it after; what changed meanwhile says nothing.
    """
    before = _header(place.log_index, INDEX_BEGINNING.size)
    sizes = [os.fstat(descriptor).st_size for descriptor in descriptors_of(place.log)]
    after = _header(place.log_index, INDEX_BEGINNING.size)
    if before is None or before != after or len(before) < INDEX_BEGINNING.size or not sizes:
        return False
    size_of_page, last = INDEX_BEGINNING.unpack(before)
    # The largest size of a page has no room in its two bytes.
    frame = FRAME_HEADER_BYTES + (size_of_page if size_of_page > 1 else 1 << 16)
    return bool(last > 0 and sizes[0] < LOG_HEADER_BYTES + last * frame)


def change_counter(place: Place) -> int | None:
    """How often the file has been changed, ``NO_DATABASE`` if it is none; None where that cannot be told."""
    found = _header(place.file, JOURNAL_HEADER.size)
    if found is None:
        return None
    if len(found) < JOURNAL_HEADER.size or not found.startswith(DATABASE_MARK):
        return NO_DATABASE
    [counter] = JOURNAL_HEADER.unpack(found)
    return int(counter)


def is_overwritten(before: int | None, now: int | None) -> bool:
    """Whether somebody has emptied the file that is open, or copied another over it: its counter is not further on.

    Args:
        before: the change counter at an earlier look.
        now: the change counter now.
    """
    return before is not None and now is not None and not 0 <= now - before < LARGEST_STEP


def close_untouched(connection: sqlite3.Connection, place: Place) -> bool:
    """Close a connection and leave all files as they are.

    SQLite's last connection to a database brings the log into it and deletes the log, by its name, which may be
    somebody else's log by now. It does so only when nobody else uses the database; a lock of another kind than
    SQLite's (an "open file description lock", fcntl(2)) on what it has open says that somebody does.

    Args:
        connection: the connection.
        place: which files it has open.

    Returns:
        Whether it is closed. Where the system has no such locks it is left open, and must stay so.
    """
    if NO_CHECKPOINT is not None:
        connection.setconfig(NO_CHECKPOINT, True)  # type: ignore[attr-defined]  # noqa: FBT003 - Python 3.12
    elif not _hold(place):
        _left_open.append(connection)
        return False
    connection.close()
    return True


_left_open: list[sqlite3.Connection] = []
"""What can be closed neither way."""


def _hold(place: Place) -> bool:
    # Native sizes, and the trailing alignment of C's struct flock.
    lock = struct.pack("hhqqi0q", fcntl.F_RDLCK, os.SEEK_SET, *SHARED_LOCK, 0)
    held = False
    if SET_LOCK is None:
        return False
    for descriptor in descriptors_of(place.file):
        with suppress(OSError):
            fcntl.fcntl(descriptor, SET_LOCK, lock)
            held = True
    return held


def assert_one_name(path: Path) -> None:
    """Refuse a file that has a second name, each of which would get a log of its own beside it.

    See https://sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file.

    Args:
        path: a journal that is there.

    Raises:
        JournalError: it has hard links, or is mounted as a single file.
    """
    file = path.resolve()
    links = file.stat().st_nlink
    if links > 1:
        raise JournalError(
            f"The journal {path} cannot be opened: the file has {links} names (hard links), each with a log of its "
            "own, which would damage it; delete the other names, or copy the file instead of linking it."
        )
    if str(file) in _mount_points():
        raise JournalError(
            f"The journal {path} cannot be opened: it is mounted as a single file, so that its log lies outside of "
            "what is mounted, and is lost or damages the journal; mount the folder that it is in."
        )


def _mount_points() -> set[str]:
    try:
        with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as mounts:  # noqa: PTH123 - no path of ours
            fields = [line.split(" ", 5)[4] for line in mounts]
    except (OSError, IndexError):
        return set()
    # Blanks and the like are spelled as octal numbers there.
    return {_unescaped(field) for field in fields}


def _unescaped(field: str) -> str:
    head, *parts = field.split("\\")
    return head + "".join(chr(int(part[:3], 8)) + part[3:] for part in parts)
