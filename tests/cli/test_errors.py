"""Bad input: one line that says what to do, the right exit code, no traceback, nothing left behind."""

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from ailf.cli.app import app
from tests.async_tasks.journal.care.test_revisions import FIRST, JOURNALS
from tests.async_tasks.journal.support import snapshot
from tests.cli.conftest import Ailf

READING = [
    *("tasks list", "tasks show x", "tasks stats", "tasks watch", "tasks tail", "tasks tail x", "tasks timeline"),
    *("tasks export", "tasks wait x", "tasks cancel x", "tasks prune --older-than 1d --yes"),
    *("journal info", "journal check", "journal doctor", "journal recover", "journal vacuum", "journal backup copy.db"),
    *("journal upgrade", "journal downgrade 0001"),
]


def one_line(text: str) -> str:
    """The line, which is the only one."""
    [line] = text.splitlines()
    assert line.isprintable()
    return line


@pytest.mark.parametrize("verb", READING)
def test_no_journal(journal: Path, ailf: Ailf, verb: str) -> None:
    """Nothing is made where there is none."""
    found = ailf(*verb.split())
    assert (found.exit_code, found.stdout) == (3, "")
    assert "There is no journal" in one_line(found.stderr)
    assert list(journal.parent.iterdir()) == []


@pytest.mark.parametrize("verb", READING)
@pytest.mark.parametrize("content", ["text", "other"])
def test_not_a_journal(journal: Path, ailf: Ailf, verb: str, content: str) -> None:
    """Another program's database, or no database: left byte for byte as it was."""
    if content == "text":
        journal.write_text("to do: buy milk\n" * 100)
    else:
        with closing(sqlite3.connect(journal)) as connection:
            connection.execute("CREATE TABLE albums (title)")
    before = snapshot(journal.parent)
    found = ailf(*verb.split())
    assert found.exit_code == 3
    assert "name another path" in one_line(found.stderr)
    assert snapshot(journal.parent) == before


@pytest.mark.parametrize("verb", ["tasks list", "tasks cancel x", "journal info", "journal upgrade", "journal recover"])
def test_a_newer_journal(full: Path, ailf: Ailf, verb: str) -> None:
    """It takes a newer release, and says so."""
    with closing(sqlite3.connect(full)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    found = ailf(*verb.split())
    assert found.exit_code == 3
    assert "install the newer release" in one_line(found.stderr)


@pytest.mark.parametrize("verb", ["tasks list", "tasks prune --older-than 1d", "journal recover"])
def test_an_older_journal(journal: Path, ailf: Ailf, verb: str) -> None:
    """The command that upgrades is named; one that reads does not upgrade by itself."""
    journal.write_bytes(gzip.decompress((JOURNALS / FIRST).read_bytes()))
    before = journal.read_bytes()
    found = ailf(*verb.split())
    assert found.exit_code == 3
    assert "run `ailf journal upgrade`" in one_line(found.stderr)
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("tasks list --since soon", "is no time; write 2h"),
        ("tasks list --since 99999999999999d", "is no time"),
        ("tasks list --status sleeping", "not one of"),
        ("tasks list --limit 0", "--limit"),
        ("tasks list -m user", "has no '='"),
        ("tasks list --sort colour", "not one of"),
        ("tasks list --journal", "requires an argument"),
        ("tasks lsit", "No such command"),
        ("tasks show", "Missing argument"),
        ("tasks prune --older-than 7s", "would be deleted"),
        ("tasks prune --older-than 5 --yes", "has no unit; write 5s or 5d"),
        ("tasks list --since 5", "has no unit; write 5m or 5d"),
        ("tasks stats --since 30", "has no unit; write 30m or 30d"),
        ("tasks wait aa-done --timeout 5", "has no unit; write 5s or 5m"),
        ("tasks cancel bb-waits --timeout 5", "has no unit; write 5s or 5m"),
        ("tasks list --limit 9223372036854775807", "--limit"),
        ("tasks list --limit 99999999999999999999999", "--limit"),
        ("tasks stats --limit 99999999999999999999999", "--limit"),
        ("tasks timeline --limit 99999999999999999999999", "--limit"),
        ("tasks timeline --width 99999999999999999999999", "--width"),
        ("tasks tail --lines 99999999999999999999999", "--lines"),
        ("tasks list --column colour", "is no column"),
        ("tasks list --column metadata.", "is no column"),
        ("tasks list --column name.first", "is no column"),
        ("list", "Did you mean `ailf tasks list`?"),
        ("doctor", "Did you mean `ailf journal doctor`?"),
        ("tasks doctor", "Did you mean `ailf journal doctor`?"),
        ("journal show", "Did you mean `ailf tasks show`?"),
        ("taks", "Did you mean `ailf tasks`?"),
        ("tasks lsit", "Did you mean `ailf tasks list`?"),
        ("tasks prune --older-than seven", "is no length of time; write 90s"),
        ("tasks prune --older-than 9e9d", "is no length of time"),
        ("tasks prune --older-than 99999999999999999d", "longer than time"),
        ("tasks prune", "Missing option '--older-than'"),
        ("tasks wait aa-done --timeout -1", "is no length of time"),
        ("tasks timeline --since 1h --until 2h", "ends before it begins"),
        ("journal downgrade 0007", "there is no '0007' before it"),
        ("journal downgrade base", "there is no 'base' before it"),
    ],
)
def test_wrong_usage(full: Path, ailf: Ailf, verb: str, said: str) -> None:
    """What is wrong, and what to write instead; nothing happens to the journal."""
    before = full.read_bytes()
    found = ailf(*verb.split())
    assert (found.exit_code, found.stdout) == (2, "")
    assert said in one_line(found.stderr)
    assert full.read_bytes() == before


def test_the_largest_numbers_are_numbers(full: Path, ailf: Ailf) -> None:
    """As many as SQLite counts."""
    for verb in ("list --limit", "stats --limit", "timeline --limit", "tail --no-follow --lines"):
        found = ailf("tasks", *verb.split(), 2**63 - 2)
        assert (found.exit_code, found.stderr) == (0, ""), verb


@pytest.mark.parametrize("verb", [(), ("--journal", ":memory:")])
def test_the_private_journal_cannot_be_looked_at(
    ailf: Ailf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...]
) -> None:
    """It is its own process's; no file of that name is looked for or made."""
    monkeypatch.chdir(tmp_path)
    found = CliRunner(env={"AILF_JOURNAL": ":memory:"}).invoke(app, [*verb, "tasks", "list"])
    assert found.exit_code == 2
    assert "name a file with --journal" in one_line(found.stderr)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_works_a_terminal_is_spelled_out(ailf: Ailf) -> None:
    """What the user typed comes back harmless, too."""
    found = ailf("tasks", "list", "--journal", "no\x1b[2Jwhere.db")
    assert found.exit_code == 3
    assert "\\x1b[2J" in one_line(found.stderr)


def test_a_folder_that_cannot_hold_the_backup(full: Path, ailf: Ailf, tmp_path: Path) -> None:
    """Neither over an existing file, nor in a folder that is not there."""
    there = tmp_path / "there"
    there.write_text("mine")
    found = ailf("journal", "backup", there)
    assert (found.exit_code, there.read_text()) == (2, "mine")
    assert "is there already" in one_line(found.stderr)
    found = ailf("journal", "backup", tmp_path / "no" / "folder.db")
    assert found.exit_code == 3
    assert "cannot be written" in one_line(found.stderr)


@pytest.mark.parametrize("verb", ["tasks list", "tasks show aa-done", "journal info"])
def test_a_locked_journal_can_be_read(full: Path, ailf: Ailf, verb: str) -> None:
    """Somebody's open transaction holds nobody up who reads."""
    with closing(sqlite3.connect(full, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        assert ailf(*verb.split()).exit_code == 0


@pytest.mark.parametrize("verb", ["tasks prune --older-than 1s --yes", "journal vacuum", "journal recover"])
def test_a_locked_journal_cannot_be_written(full: Path, ailf: Ailf, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """Who wants to write waits, and then says that the file is locked, and what to do."""
    from ailf.async_tasks.journal.form import engine

    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0)
    with closing(sqlite3.connect(full, isolation_level=None)) as holder:
        holder.execute("UPDATE owners SET host = host, boot_id = boot_id")
        holder.execute("BEGIN IMMEDIATE")
        found = ailf(*verb.split())
        if verb == "journal recover":
            # Nobody is dead, so nothing is to be written.
            assert found.exit_code == 0
            return
        assert found.exit_code == 3
        assert "end its transaction" in one_line(found.stderr)
