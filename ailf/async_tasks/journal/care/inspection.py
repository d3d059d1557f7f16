"""Looking at a file before it is used: is it a journal, and is it whole?"""

import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from ailf.async_tasks.journal.form import (
    ADVICE,
    APPLICATION_ID,
    Access,
    Durability,
    Place,
    assert_not_planted,
    assert_one_name,
    beside,
    change_counter,
    pragmas,
    refuse_inherited,
    translated,
    uri,
)
from ailf.errors import JournalError, NotAJournalError

T = TypeVar("T")

ENDS = [
    f"SELECT {end}({column}) FROM {table}"  # noqa: S608 - words of this module
    for table, column in (("tasks", "id"), ("task_events", "seq"), ("owners", "id"))
    for end in ("min", "max")
    for column in (column, "rowid")
]
"""Reads the first and the last row of each table, and of its index."""

LOG_HEADER = struct.Struct(">I4xI4x8s")
LOG_MAGIC = 0x377F0682
LOG_BEGIN_BYTES = 32
LOG_FRAME = struct.Struct(">I4x8s8x16s8xI")
FIRST_PAGE_MAGIC = b"SQLite format 3\0"
LOG_FRAME_BYTES = 24
"""Of a write-ahead log: its header, and the header of a frame with the page's own up to the change counter."""

LOOKS = 3
"""How often a log is looked at, while somebody may be writing to it."""

SMALL_JOURNAL_BYTES = 4 * 1024 * 1024
"""Up to which size a journal is checked as a whole at each start, which takes some milliseconds."""


def companions(path: Path) -> tuple[Path, Path]:
    """The write-ahead log and its index, which SQLite keeps beside a file in use."""
    return beside(path, "-wal"), beside(path, "-shm")


def ask(path: Path, question: Callable[[sqlite3.Connection], T], *, is_ours: bool = True) -> T:
    """Put a question to a file that may not be ours to use: nothing is changed or left beside it.

    A file without a write-ahead log is whole in itself, and read as "immutable", which keeps SQLite
    from making a log. Where there is one, somebody may be writing, or have died: then only SQLite gives
    a whole picture, by the log and with its locks.

    Args:
        path: the file.
        question: called with a connection that only reads.
        is_ours: whether it is known to be a journal, so that the log's index may be made anew beside it.

    Returns:
        The answer.

    Raises:
        ManagerError: this is a forked child, whose parent had the journal open.
        sqlite3.Error: the file cannot be read.
    """
    refuse_inherited(path)
    log, index = companions(path)

    def is_whole() -> bool:
        return not (log.exists() and (is_ours or index.exists()))

    before = path.stat()
    if is_whole():
        try:
            return _ask(path, question, immutable=True, is_ours=is_ours)
        except (sqlite3.DatabaseError, UnicodeDecodeError, JournalError):
            after = path.stat()
            written = (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size)
            if not log.exists() and not written:
                raise
            # Somebody wrote to it meanwhile, and what was read was a bit of each; or the power went while
            # the log was brought into the file, which is good only together with the log then.
    try:
        return _ask(path, question, is_ours=is_ours)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
            raise
    # The power went as the file was made, and only who may write can undo what was cut short.
    return _ask(path, question, Access.WRITE) if is_ours else _ask(path, question, immutable=True, is_ours=False)


def _ask(
    path: Path,
    question: Callable[[sqlite3.Connection], T],
    access: Access = Access.READ,
    *,
    immutable: bool = False,
    is_ours: bool = True,
) -> T:
    with closing(sqlite3.connect(uri(path, access, immutable=immutable), uri=True, isolation_level=None)) as look:
        for statement in pragmas(access, Durability.PROCESS, is_ours=is_ours):
            look.execute(statement)
        return question(look)


def assert_is_journal(path: Path) -> None:
    """Refuse a file that is not a journal, without changing it or leaving anything beside it.

    Raises:
        NotAJournalError: the file is another program's database, or no database.
        JournalError: the file cannot be read, has a second name, or was planted by another user.
    """
    if not path.is_file():
        kind = "a folder; name a file in it" if path.is_dir() else "no plain file; name another path"
        raise NotAJournalError(f"The journal {path} cannot be opened: this is {kind}.")
    assert_one_name(path)
    assert_not_planted(path)
    try:
        with translated(path, "opened"):
            application_id = ask(path, _application_id, is_ours=False)
    except JournalError as error:
        if getattr(error.__cause__, "sqlite_errorname", "") == "SQLITE_NOTADB":
            raise NotAJournalError(
                f"{path} is no SQLite database: it was left as it was; name another path for the journal."
            ) from error
        raise
    if application_id == 0 and ask(path, _has_our_tables, is_ours=False):
        raise NotAJournalError(
            f"{path} has a journal's tables and has lost the mark of one, as a copy by .dump does: it was left as it "
            f"was. Say PRAGMA application_id={APPLICATION_ID} in the sqlite3 shell to bring that back; "
            "`ailf journal backup` makes copies that keep it."
        )
    if application_id != APPLICATION_ID:
        raise NotAJournalError(
            f"{path} is a SQLite database of another program ({_tables(path)}application_id {application_id}): "
            "it was left as it was; name another path for the journal."
        )


def _has_our_tables(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT tasks.owner_id, seq FROM tasks, task_events, owners, alembic_version LIMIT 0")
    except sqlite3.Error:
        return False
    return True


def _tables(path: Path) -> str:
    """How many tables another program's database has, if its schema is one that may be read."""
    try:
        return f"{ask(path, _count_tables, is_ours=False)} tables, "
    except (sqlite3.Error, OSError):
        return ""


def assert_log_belongs(path: Path) -> None:
    """Refuse a journal beside which lies the log of another file: SQLite would replay it onto this one.

    That is so where somebody put a backup in the place of a journal whose program was killed. All that links the two
    is the change counter: each page one in the log has the next one or a later one than the file had when the log
    was begun, and the file has one of these, or the one before.

    Args:
        path: the journal.

    Raises:
        JournalError: the log is another file's; nothing was changed.
        sqlite3.Error: the journal cannot be read.
    """
    log, _ = companions(path)
    for _ in range(LOOKS):
        before = _states(path, log)
        counters = counters_in(log)
        counter = _counter_of(path) if counters else None
        if counter is None or counters[0] - 1 <= counter <= counters[-1]:
            return
        if _states(path, log) == before:
            break
        # Somebody is at work on it, and what was looked at is a bit of each.
    else:
        return
    raise JournalError(
        f"The journal {path} cannot be opened: the log {log} beside it belongs to another file, which was replaced or "
        f"overwritten by this one; SQLite would write that log into it. Nothing was changed. Move {log.name} and "
        f"{log.name.removesuffix('-wal')}-shm away; to put a backup in a journal's place, use "
        "`ailf journal restore BACKUP`, which does so."
    )


def _states(*files: Path) -> list[tuple[int, int, int]]:
    return [(one.st_ino, one.st_mtime_ns, one.st_size) for one in (file.stat() for file in files if file.exists())]


def counters_in(log: Path) -> list[int]:
    """The change counters of the journal's first page in a write-ahead log, in their order.

    See https://sqlite.org/fileformat.html#the_write_ahead_log. To open a log and close it again does no harm: SQLite
    has its locks on the other two files.

    Args:
        log: the log; none are in one that is not there.
    """
    found = []
    with suppress(OSError, struct.error), log.open("rb") as file:
        magic, page_size, salts = LOG_HEADER.unpack(file.read(LOG_HEADER.size))
        if magic & ~1 != LOG_MAGIC:
            return []
        place = LOG_BEGIN_BYTES
        while True:
            file.seek(place)
            page, its_salts, begin, counter = LOG_FRAME.unpack(file.read(LOG_FRAME.size))
            if its_salts != salts:
                break
            if page == 1:
                if begin != FIRST_PAGE_MAGIC:
                    # Of a transaction that was cut short, of which SQLite reads nothing either.
                    break
                found.append(counter)
            place += LOG_FRAME_BYTES + page_size
    return found


def _counter_of(path: Path) -> int | None:
    """The change counter of the file itself, whatever is in its log; None where it cannot be told."""
    with closing(sqlite3.connect(uri(path, Access.READ, immutable=True), uri=True)) as connection:
        try:
            connection.execute("PRAGMA application_id").fetchall()
        except sqlite3.DatabaseError:
            # A bit of each state, where bringing the log into the file was cut short: it is whole only with its log.
            return None
        found = path.stat()
        return change_counter(Place((found.st_dev, found.st_ino), None, None))


def assert_is_sound(path: Path) -> None:
    """Refuse a damaged journal, without changing it: see ``refuse_damage``."""
    with translated(path, "opened"):
        ask(path, partial(refuse_damage, path=path))


def refuse_damage(connection: sqlite3.Connection, path: Path) -> None:
    """Look for damage; as part of a question, so that it is looked for again where somebody wrote meanwhile.

    A small journal is checked as a whole. Of a large one, whose check would take long at each start, the
    ends of each table and its index are read; ``PRAGMA integrity_check`` in the sqlite3 shell reads it all.

    Args:
        connection: where to look.
        path: the journal.

    Raises:
        JournalError: it is damaged.
    """
    if trouble := _damage(connection):
        raise JournalError(f"The journal {path} cannot be opened: {trouble}; {ADVICE['SQLITE_CORRUPT']}.")


def _application_id(connection: sqlite3.Connection) -> int:
    # From the file's header: SQLite need not read and understand the schema for it, most of what a look costs.
    [(application_id,)] = connection.execute("PRAGMA application_id")
    return int(application_id)


def _count_tables(connection: sqlite3.Connection) -> int:
    [(tables,)] = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
    return int(tables)


def _damage(connection: sqlite3.Connection) -> str | None:
    [(pages,), (size,)] = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    if pages * size <= SMALL_JOURNAL_BYTES:
        [(found,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
        return None if found == "ok" else " ".join(found.split())
    for end in ENDS:
        connection.execute(end).fetchall()
    return None
