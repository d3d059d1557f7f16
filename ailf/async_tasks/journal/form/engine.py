"""Connections to the journal: how each is opened, its PRAGMAs, and the driver's errors as ours."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from ailf.async_tasks.guard import log
from ailf.async_tasks.journal.form.forks import TrackedConnection
from ailf.async_tasks.journal.form.ownership import PRIVATE_FILE, assert_not_planted, tighten
from ailf.async_tasks.journal.form.paths import beside
from ailf.async_tasks.journal.form.schema import APPLICATION_ID
from ailf.errors import JournalError

MINIMUM_SQLITE = (3, 37, 0)
"""The first release with STRICT tables (https://sqlite.org/stricttables.html)."""

BUSY_TIMEOUT_SECONDS = 30
"""How long a connection waits for a lock that another one holds."""

JOURNAL_SIZE_LIMIT_BYTES = 64 * 1024 * 1024
"""To which size a checkpoint cuts a -wal file back that one long transaction made larger."""

AUTOMATIC_CHECKPOINT_PAGES = 10_000
"""At which length of the log a commit brings it into the file, if the writer has not done so before."""

ROLLBACK_MAGIC = bytes.fromhex("d9d505f920a163d7")
"""How a rollback journal that is still needed begins."""


class Durability(StrEnum):
    """What a commit survives."""

    PROCESS = "process"
    """The death of the process: a commit is handed to the operating system (synchronous=NORMAL)."""
    POWER = "power"
    """The loss of power as well: a commit is synced to the disk (synchronous=FULL)."""


class Access(StrEnum):
    """How a connection may use the file; none ever creates it."""

    READ = "ro"
    WRITE = "rw"


SYNCHRONOUS = {Durability.PROCESS: "NORMAL", Durability.POWER: "FULL"}

# The first name with which a code begins counts.
ADVICE = {
    "SQLITE_BUSY_RECOVERY": "another process is just opening it after a crash: try again",
    "SQLITE_BUSY": f"another program has kept it locked for over {BUSY_TIMEOUT_SECONDS} seconds: end its transaction",
    "SQLITE_CANTOPEN_ISDIR": "this is a folder: name a file in it",
    "SQLITE_CANTOPEN": "check that the file and its folder exist and may be written",
    "SQLITE_CORRUPT_INDEX": "an index disagrees with its table: say REINDEX in the sqlite3 shell",
    "SQLITE_CORRUPT": "the file is damaged: run `ailf journal restore BACKUP`, or move it away and start anew",
    "SQLITE_FULL": "the disk that it is on is full, or your quota of it: make room there",
    "SQLITE_IOERR_GETTEMPPATH": (
        "no folder takes temporary files: let SQLITE_TMPDIR name one that may be written and has room"
    ),
    "SQLITE_IOERR_SHM": "its file system has no room, or shares no memory between processes: put it on a local disk",
    "SQLITE_IOERR_NOMEM": "there is no memory left",
    "SQLITE_IOERR": "the disk answers with errors: check it, and the system's log",
    "SQLITE_NOTADB": "the file is no SQLite database: name another path",
    "SQLITE_PROTOCOL": "too many processes open it at once: try again",
    "SQLITE_READONLY_DBMOVED": "the file was moved while it was in use: put it back, and start again",
    "SQLITE_READONLY": "the file or its folder may not be written: change the permissions",
    "SQLITE_TOOBIG": "a text is longer than SQLite takes: keep it in a file, and its path in the journal",
}


def journal_error(error: BaseException, path: Path, doing: str) -> JournalError:
    """The driver's error as one of ours, saying what happened to which file and what to do.

    Args:
        error: what sqlite3 or SQLAlchemy raised.
        path: the journal.
        doing: what was tried, as in "written".
    """
    cause = getattr(error, "orig", None) or error
    code = getattr(cause, "sqlite_errorname", None) or ""
    # An extended code, SQLITE_IOERR_FSYNC say, begins with its primary one.
    advice = next((text for name, text in ADVICE.items() if code.startswith(name)), None)
    if isinstance(cause, UnicodeDecodeError):
        # SQLite quotes what it cannot make sense of, and the driver cannot read that.
        advice = ADVICE["SQLITE_CORRUPT"]
    what = f"{cause} ({code})" if code else str(cause)
    return JournalError(f"The journal {path} cannot be {doing}: {what}" + (f"; {advice}." if advice else "."))


@contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """Turn whatever the driver raises in the block into a ``JournalError``."""
    try:
        yield
    except (sqlite3.Error, SQLAlchemyError, OSError, UnicodeDecodeError) as error:
        raise journal_error(error, path, doing) from error


def uri(path: Path, access: Access, *, immutable: bool = False) -> str:
    """The file as SQLite's URI (https://sqlite.org/uri.html), whatever characters its name has."""
    return f"{path.absolute().as_uri()}?mode={access}" + ("&immutable=1" if immutable else "")


@cache
def json_is_innocuous() -> bool:
    """Whether this SQLite lets a schema call JSON functions with trusted_schema off, as 3.40 for one does not.

    Where it does not, neither a CHECK of the journal's can be run nor an index of a key be read.
    """
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("CREATE TABLE probe (value TEXT CHECK (json_valid(value)))")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


def pragmas(access: Access, durability: Durability, *, is_ours: bool = True) -> list[str]:
    """The settings of every connection, as statements.

    Args:
        access: how it may use the file.
        durability: what a commit survives.
        is_ours: whether the file is known to be a journal.
    """
    # A schema that somebody else prepared must not call what may be harmful (https://sqlite.org/security.html),
    # among which some releases of SQLite count the JSON functions, of which a journal's CHECKs and indexes are made.
    trusted = is_ours and not json_is_innocuous()
    common = [
        f"PRAGMA busy_timeout={BUSY_TIMEOUT_SECONDS * 1000}",
        f"PRAGMA trusted_schema={'ON' if trusted else 'OFF'}",
        "PRAGMA cell_size_check=ON",
        "PRAGMA mmap_size=0",
        # A large statement may need a temporary file, for which there may be no room, or no folder at all.
        "PRAGMA temp_store=MEMORY",
    ]
    if access is Access.READ:
        return [*common, "PRAGMA query_only=ON"]
    return [
        *common,
        f"PRAGMA synchronous={SYNCHRONOUS[durability]}",
        "PRAGMA foreign_keys=ON",
        f"PRAGMA journal_size_limit={JOURNAL_SIZE_LIMIT_BYTES}",
        f"PRAGMA wal_autocheckpoint={AUTOMATIC_CHECKPOINT_PAGES}",
    ]


def connect(path: Path, access: Access, durability: Durability = Durability.PROCESS) -> sqlite3.Connection:
    """A connection in autocommit mode, for any thread (one at a time), with the journal's PRAGMAs.

    Raises:
        ManagerError: this is a forked child, whose parent had the journal open.
        JournalError: the file system does not allow write-ahead logging.
    """
    connection = TrackedConnection(
        uri(path, access),
        journal=path,
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        for statement in pragmas(access, durability):
            connection.execute(statement)
        if access is Access.WRITE:
            _assert_wal(path, connection.execute("PRAGMA journal_mode=WAL").fetchone())
    except BaseException:
        connection.close()
        raise
    return connection


def tie_log_to_file(connection: sqlite3.Connection, *, anew: bool = False) -> None:
    """Write the journal's first page into its log, so that the log can be told from another file's.

    That page alone has the change counter, by which a log that is found beside a file is known to be its own; most
    commits write other pages. The setting that is set here has this value already.

    Args:
        connection: one that writes, outside of a transaction.
        anew: whether the file is to count further first, so that no earlier copy of it has the number.

    Raises:
        sqlite3.Error: the journal cannot be written.
    """
    mark = f"PRAGMA application_id={APPLICATION_ID}"
    connection.execute(mark)
    if anew:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        # SQLite counts on from the page as it was last read, which is to be read again.
        connection.execute("PRAGMA shrink_memory")
        connection.execute(mark)


@contextmanager
def leaving_nothing(path: Path) -> Iterator[None]:
    """For the time that somebody reads who has no part in the journal: afterwards nothing new is beside it.

    SQLite makes the write-ahead log's two files wherever they are missing, for a reader too; but only a
    connection that may write takes them away again with its end. So the last one is such a one.
    """
    its_log = beside(path, "-wal")
    had_log = its_log.exists()
    try:
        yield
    finally:
        if not had_log and its_log.exists():
            with (
                suppress(sqlite3.Error),
                closing(sqlite3.connect(uri(path, Access.WRITE), uri=True, timeout=0)) as last,
            ):
                last.execute("PRAGMA data_version").fetchall()


def _assert_wal(path: Path, reply: tuple[str]) -> None:
    if reply != ("wal",):
        raise JournalError(
            f"The journal {path} cannot be opened: its file system does not allow SQLite's write-ahead log "
            f"(journal_mode is {reply[0]!r}); put it on a local disk."
        )


def sync_engine(path: Path, access: Access, durability: Durability = Durability.PROCESS) -> Engine:
    """An engine whose connections are opened by ``connect``, as many as threads use at a time.

    The pool is named, since SQLAlchemy takes the URL for a database in memory: its choice for that
    closes connections that other threads are reading from.
    """
    return create_engine(
        "sqlite+pysqlite://",
        creator=lambda: connect(path, access, durability),
        poolclass=QueuePool,
        max_overflow=-1,
        pool_reset_on_return=None,
    )


def create_file(path: Path) -> None:
    """Make an empty journal, unless the file is there: private, marked as ours, able to give space back.

    Raises:
        JournalError: the folder is not there or may not be written.
    """
    if not path.parent.is_dir():
        raise JournalError(f"The journal {path} cannot be created: there is no folder {path.parent}; create it first.")
    with translated(path, "created"):
        if not path.is_symlink():
            assert_not_planted(path)
        try:
            # Before SQLite opens it, so that its companions inherit the mode. Afterwards nothing but
            # SQLite may open the file: closing it would drop SQLite's locks
            # (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE))
            _put_old_log_aside(path)
        except FileExistsError:
            if not is_without_content(path):
                return
            assert_not_planted(path)
            tighten(path)
        connection = sqlite3.connect(
            uri(path, Access.WRITE), uri=True, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None
        )
        try:
            # By now SQLite has undone a creation that was cut short, or waited for one that is under way.
            if connection.execute("PRAGMA page_count").fetchone() != (0,):
                return
            # Both are written into the header of a file that has no tables yet, and only there; together,
            # so that a file without the mark is never ours.
            connection.execute("BEGIN")
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute("COMMIT")
            _assert_wal(path, connection.execute("PRAGMA journal_mode=WAL").fetchone())
        finally:
            connection.close()


def _put_old_log_aside(path: Path) -> None:
    """Keep the log of a journal that was here and was moved away or deleted, which SQLite would delete or go on with.

    Args:
        path: a file that this process has just made, and nobody has opened yet: what is beside it is older.
    """
    left = beside(path, "-wal")
    if left.exists() and left.stat().st_size > 0:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        aside = beside(path, f".left-{stamp}-wal")
        left.rename(aside)
        log.warning(
            "A new journal %s is made where another one was, whose log is kept as %s: what was written last is in it. "
            "It is of use to the other journal's file alone.",
            path,
            aside,
        )
    for companion in ("-wal", "-shm"):
        beside(path, companion).unlink(missing_ok=True)


def is_without_content(path: Path) -> bool:
    """Whether a file is empty, or will be: the one transaction that wrote to it was cut short, or goes on.

    Beside it lies that transaction's rollback journal then, which says that the database had no pages
    before (https://sqlite.org/fileformat.html#the_rollback_journal).
    """
    if path.stat().st_size == 0:
        return True
    its_journal = beside(path, "-journal")
    if not its_journal.is_file():
        return False
    try:
        with its_journal.open("rb") as rollback:
            header = rollback.read(20)
    except OSError:
        return False
    return header.startswith(ROLLBACK_MAGIC) and header.endswith(bytes(4))


def assert_sqlite_version() -> None:
    """Refuse a SQLite library that is too old for the journal's tables.

    Raises:
        JournalError: it is.
    """
    if sqlite3.sqlite_version_info < MINIMUM_SQLITE:
        wanted = ".".join(map(str, MINIMUM_SQLITE))
        raise JournalError(
            f"The journal needs SQLite {wanted} or newer; this Python has {sqlite3.sqlite_version}. Use a newer Python."
        )
