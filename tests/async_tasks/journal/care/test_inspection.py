"""Looking at a file before it is used: is it a journal, is it whole, and is it left as it was?"""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care import inspection
from ailf.async_tasks.journal.care.inspection import ask, assert_is_journal, companions
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.form.engine import Access, connect, create_file
from ailf.errors import JournalError, NotAJournalError

GROWING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
connection.execute("CREATE TABLE growing (filler)")
print("ready", flush=True)
while not sys.stdin.closed and connection.execute("PRAGMA page_count").fetchone()[0] < 12_000:
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO growing VALUES (randomblob(?))", [(3000,)] * 500)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
"""


def test_a_journal_that_grows_is_recognised_all_the_while(journal: Path) -> None:
    """A checkpoint that another process is in the middle of is not taken for damage."""
    ensure_current(journal)
    arguments = [sys.executable, "-c", GROWING, str(journal)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        looks = 0
        while writer.poll() is None:
            assert_is_journal(journal)
            looks += 1
    assert writer.returncode == 0
    assert looks > 0


def test_a_look_sees_what_is_in_the_log_alone(journal: Path) -> None:
    """What another connection has committed counts, though no checkpoint has brought it into the file."""
    create_file(journal)
    writer = connect(journal, Access.WRITE)
    writer.execute("CREATE TABLE fresh (value)")
    names = ask(journal, lambda look: look.execute("SELECT name FROM sqlite_master").fetchall())
    assert names == [("fresh",)]
    writer.close()


def test_a_database_of_another_program_in_use_is_refused(journal: Path) -> None:
    """Its log and index, which its own program keeps, are as they were."""
    theirs = sqlite3.connect(journal, isolation_level=None)
    theirs.execute("PRAGMA journal_mode=WAL")
    theirs.execute("CREATE TABLE albums (title)")
    log, _ = companions(journal)
    before = journal.read_bytes(), log.read_bytes(), sorted(journal.parent.iterdir())
    with pytest.raises(NotAJournalError, match=r"another program \(1 tables, application_id 0\)"):
        assert_is_journal(journal)
    assert (journal.read_bytes(), log.read_bytes(), sorted(journal.parent.iterdir())) == before
    theirs.close()


def damaged(path: Path, *, pages: int) -> bytes:
    """Make a journal of some size, spoil a page in its middle, and return the file."""
    ensure_current(path)
    connection = connect(path, Access.WRITE)
    connection.execute("INSERT INTO owners (id, pid, host, boot_id, started_at) VALUES ('o', 1, 'h', 'b', 't')")
    connection.executemany(
        "INSERT INTO tasks (id, name, status, created_at, owner_id) VALUES (?, 'n', 'pending', 't', 'o')",
        ((f"{number:050}",) for number in range(pages * 10)),
    )
    connection.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 8192 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    return bytes(content)


def test_a_damaged_journal_is_refused_untouched(journal: Path) -> None:
    """A page that makes no sense keeps the journal from opening, with its path and what to do."""
    content = damaged(journal, pages=20)
    with pytest.raises(JournalError, match=r"tasks\.db.*journal restore BACKUP"):
        ensure_current(journal)
    assert journal.read_bytes() == content
    assert not companions_of(journal)


def test_damage_of_which_sqlite_speaks_in_no_language_is_an_error_of_ours(journal: Path) -> None:
    """What is wrong is quoted in SQLite's message, and bytes that are no text keep Python from reading it."""
    ensure_current(journal)
    content = journal.read_bytes().replace(b"CREATE TABLE owners", b"CREATE \xff\xff\xff\xff\xff owners")
    journal.write_bytes(content)
    with pytest.raises(JournalError, match=r"tasks\.db.*journal restore BACKUP"):
        ensure_current(journal)
    assert journal.read_bytes() == content
    assert not companions_of(journal)


def test_a_large_journal_is_looked_at_by_its_ends(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a size the check at the start reads only the ends: damage there is found, and elsewhere waits."""
    monkeypatch.setattr(inspection, "SMALL_JOURNAL_BYTES", 0)
    ensure_current(journal)
    inspection.assert_is_sound(journal)
    content = bytearray(journal.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    journal.write_bytes(content)
    with pytest.raises(JournalError, match="journal restore BACKUP"):
        inspection.assert_is_sound(journal)
    assert journal.read_bytes() == content


def companions_of(path: Path) -> list[Path]:
    """SQLite's companions of a file that are there."""
    return [companion for companion in companions(path) if companion.exists()]


def test_what_was_written_to_meanwhile_is_looked_at_again(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that found damage while another process wrote has read a bit of each, and proves nothing."""
    ensure_current(journal)
    check, found = inspection._damage, []

    def torn_once(connection: sqlite3.Connection) -> str | None:
        found.append(check(connection))
        if len(found) > 1:
            return found[-1]
        writer = connect(journal, Access.WRITE)
        writer.execute("CREATE TABLE more (value)")
        writer.close()
        return "row 1 missing from index"

    monkeypatch.setattr(inspection, "_damage", torn_once)
    inspection.assert_is_sound(journal)
    assert found == [None, None]
