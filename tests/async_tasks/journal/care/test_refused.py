"""What is no journal of this release: refused with a message that says what to do, and left as it was."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.errors import JournalError, JournalVersionError, NotAJournalError
from tests.async_tasks.journal.support import (
    fill,
    snapshot,
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal in a folder that holds nothing else."""
    (tmp_path / "own").mkdir()
    return tmp_path / "own" / "tasks.db"


def newer(path: Path) -> None:
    """A journal that a newer release made."""
    fill(path)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()


def newer_without_log(path: Path) -> None:
    """The same as one plain file, as a backup is."""
    newer(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()


def foreign(path: Path) -> None:
    """Another program's database."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE albums (title)")
    connection.close()


def foreign_with_log(path: Path) -> None:
    """Another program's database in WAL mode, closed."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE albums (title)")
    connection.close()


def foreign_with_json(path: Path) -> None:
    """Another program's database, with a schema that some releases of SQLite read only if it is trusted."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE albums (title TEXT CHECK (json_valid(title)))")
    connection.execute("CREATE INDEX by_artist ON albums (json_extract(title, '$.artist'))")
    connection.close()


def text(path: Path) -> None:
    """A text file."""
    path.write_text("Dear diary,\n" * 100)


def blank(path: Path) -> None:
    """A file of zeros, such as a disk leaves after a crash."""
    path.write_bytes(bytes(8192))


def folder(path: Path) -> None:
    """A folder."""
    path.mkdir()


def folder_is_missing(path: Path) -> None:
    """A path in a folder that does not exist."""
    path.parent.rmdir()


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (newer, JournalVersionError, r"at revision 9999, which a newer release .* install the newer release"),
        (newer_without_log, JournalVersionError, r"at revision 9999, which a newer release"),
        (foreign, NotAJournalError, r"database of another program \(1 tables.*name another path"),
        (foreign_with_log, NotAJournalError, r"database of another program \(1 tables.*name another path"),
        (foreign_with_json, NotAJournalError, r"database of another program \(.*application_id 0\).*name another path"),
        (text, NotAJournalError, r"is no SQLite database: .*name another path"),
        (blank, NotAJournalError, r"is no SQLite database: .*name another path"),
        (folder, NotAJournalError, r"this is a folder; name a file in it"),
        (folder_is_missing, JournalError, r"there is no folder .*; create it first"),
    ],
)
def test_what_is_refused_is_left_byte_for_byte(
    journal: Path, make: Callable[[Path], None], error: type[JournalError], words: str
) -> None:
    """Each refusal says what to do; the file is as it was, and nothing is left beside it."""
    make(journal)
    before = snapshot(journal.parent)
    with pytest.raises(error, match=words) as caught:
        ensure_current(journal)
    assert str(journal) in str(caught.value)
    assert snapshot(journal.parent) == before


@pytest.mark.skipif(sys.platform != "linux", reason="a file system that lets nobody make a file, root included")
def test_a_folder_that_takes_no_file_is_an_error_of_ours() -> None:
    """It says where, and what the system said."""
    with pytest.raises(JournalError, match=r"/proc/tasks\.db cannot be created: "):
        ensure_current(Path("/proc/tasks.db"))


@pytest.mark.parametrize("is_link", [False, True])
def test_a_newer_journal_of_a_killed_process_is_left_byte_for_byte(journal: Path, *, is_link: bool) -> None:
    """Its log, which is beside the file that a link leads to, holds what no checkpoint has brought into the file."""
    fill(journal)
    program = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("UPDATE alembic_version SET version_num = '9999'")
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program, str(journal)], check=False).returncode == -9
    index = journal.with_name("tasks.db-shm").name
    before = snapshot(journal.parent)
    named = journal
    if is_link:
        named = journal.parent.with_name("link.db")
        named.symlink_to(journal)
    with pytest.raises(JournalVersionError, match="9999"):
        ensure_current(named)
    after = snapshot(journal.parent)
    assert {name for name in before if before[name] != after.get(name)} <= {index}
    assert after.keys() == before.keys()
