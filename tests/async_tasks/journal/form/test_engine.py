"""Connections: their PRAGMAs, odd paths, private files, files that are none of ours, errors with advice."""

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care.inspection import companions
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.form import views
from ailf.async_tasks.journal.form.engine import (
    ADVICE,
    Access,
    Durability,
    assert_sqlite_version,
    connect,
    create_file,
    journal_error,
    json_is_innocuous,
    translated,
)
from ailf.async_tasks.journal.form.place import Names, close_untouched
from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.errors import JournalError

COMMON = {"busy_timeout": 30_000, "cell_size_check": 1, "mmap_size": 0, "temp_store": 2}


def settings(connection: sqlite3.Connection, names: set[str]) -> dict[str, object]:
    """What a connection answers to each of these PRAGMAs; None where SQLite gives no answer."""
    return {name: (connection.execute(f"PRAGMA {name}").fetchone() or [None])[0] for name in names}


@pytest.mark.parametrize(("durability", "synchronous"), [(Durability.PROCESS, 1), (Durability.POWER, 2)])
def test_a_writing_connection_has_its_pragmas(journal: Path, durability: Durability, synchronous: int) -> None:
    """WAL, the durability asked for, foreign keys, and the guards against damaged and prepared files."""
    create_file(journal)
    connection = connect(journal, Access.WRITE, durability)
    wanted = COMMON | {
        "journal_mode": "wal",
        "synchronous": synchronous,
        "foreign_keys": 1,
        "trusted_schema": int(not json_is_innocuous()),
        "journal_size_limit": 64 * 1024 * 1024,
        "query_only": 0,
    }
    assert settings(connection, set(wanted)) == wanted
    connection.close()


def test_a_reading_connection_has_its_pragmas_and_cannot_write(journal: Path) -> None:
    """It trusts no schema, unless JSON needs it, and every write is refused."""
    ensure_current(journal)
    connection = connect(journal, Access.READ)
    wanted = COMMON | {"trusted_schema": int(not json_is_innocuous()), "query_only": 1, "journal_mode": "wal"}
    assert settings(connection, set(wanted)) == wanted
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM owners")
    connection.close()


def test_creating_leaves_a_file_that_is_there_alone(journal: Path) -> None:
    """Whoever comes second to create a journal finds the first one's."""
    ensure_current(journal)
    before = journal.read_bytes()
    create_file(journal)
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["what?.db", "a#b.db", "100%.db", "%41.db", "two words.db", "größe 日本.db", "a&mode=ro.db", "file:x.db"]
)
async def test_any_file_name_works(tmp_path: Path, name: str) -> None:
    """Characters that mean something in a URI are just characters in the name of a journal."""

    async def work() -> int:
        return 1

    async with TaskManager(tmp_path / name) as manager:
        task_id = await manager.submit(work())
        assert await manager.wait_for_task(task_id) == 1
        assert (await manager.aget_task_info(task_id)) is not None
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.owners"}


def test_a_name_that_is_no_unicode_works(tmp_path: Path) -> None:
    """File systems hold bytes; a name that decodes to lone surrogates is one like any other."""
    path = tmp_path / os.fsdecode(b"caf\xe9.db")
    ensure_current(path)
    ensure_current(path)
    assert path.exists()


def test_reads_from_many_threads_disturb_none(journal: Path) -> None:
    """Each thread reads on a connection that no other thread closes."""
    ensure_current(journal)
    reader = Reader(journal)
    begin = threading.Barrier(20)
    found: list[int] = []

    def read() -> None:
        begin.wait()
        for _ in range(50):
            [(value,)] = reader.rows(Query("SELECT count(*) FROM sqlite_master WHERE type = ?", ("view",)))
            found.append(value)

    threads = [threading.Thread(target=read) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reader.close()
    assert found == [len(views.VIEWS)] * 1000


@pytest.mark.parametrize("name", sorted(ADVICE))
def test_an_error_says_which_file_what_happened_and_what_to_do(name: str) -> None:
    """Extended codes get the advice of their primary one."""
    error = sqlite3.OperationalError("it went wrong")
    error.sqlite_errorname = f"{name}_SOMEHOW"
    text = str(journal_error(error, Path("/there/tasks.db"), "written"))
    assert text == f"The journal /there/tasks.db cannot be written: it went wrong ({name}_SOMEHOW); {ADVICE[name]}."


def test_an_error_without_a_code_keeps_its_words(journal: Path) -> None:
    """What is not the driver's own error is quoted as it is, with the original as its cause."""
    with pytest.raises(JournalError, match=r"cannot be read: no such thing\.$") as caught, translated(journal, "read"):
        raise OSError("no such thing")
    assert isinstance(caught.value.__cause__, OSError)


def test_a_locked_journal_is_an_error_with_advice(journal: Path) -> None:
    """The error of a lock that is really held names its code and what to do about it."""
    ensure_current(journal)
    holder, other = connect(journal, Access.WRITE), connect(journal, Access.WRITE)
    other.execute("PRAGMA busy_timeout=1")
    holder.execute("BEGIN IMMEDIATE")
    with (
        pytest.raises(JournalError, match=r"SQLITE_BUSY\); another program has kept it locked"),
        translated(journal, "written"),
    ):
        other.execute("BEGIN IMMEDIATE")
    holder.execute("ROLLBACK")
    holder.close()
    other.close()


def test_a_file_system_without_a_write_ahead_log_is_refused(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite answers with the mode that it kept; a database in memory, for one, can have no log."""
    monkeypatch.setattr("ailf.async_tasks.journal.form.engine.uri", lambda *_: "file:none?mode=memory")
    with pytest.raises(JournalError, match=r"does not allow SQLite's write-ahead log .*'memory'.* local disk"):
        connect(journal, Access.WRITE)


def test_an_old_sqlite_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """STRICT tables need SQLite 3.37, and the message says which one there is."""
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 36, 9))
    with pytest.raises(JournalError, match=r"needs SQLite 3\.37\.0 or newer"):
        assert_sqlite_version()


def test_a_new_file_is_private_marked_and_able_to_shrink(journal: Path) -> None:
    """The header says whose it is; the file and its companions are readable by the user alone."""
    create_file(journal)
    connection = connect(journal, Access.WRITE)
    connection.execute("CREATE TABLE filler (value)")
    assert settings(connection, {"application_id", "auto_vacuum"}) == {"application_id": 0x61696C66, "auto_vacuum": 2}
    for file in (journal, *companions(journal)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    connection.close()


def test_the_log_of_a_journal_that_is_gone_is_kept(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A new journal at its name neither takes it for its own nor deletes it; put back together, nothing is lost."""
    ensure_current(journal)
    old = connect(journal, Access.WRITE)
    old.execute("INSERT INTO owners (id, pid, host, boot_id, started_at) VALUES ('o', 1, 'h', 'b', '2026')")
    away = journal.with_name("away.db")
    journal.rename(away)
    ensure_current(journal)
    [kept] = journal.parent.glob("tasks.db.left-*-wal")
    assert str(kept) in caplog.text
    close_untouched(old, Names(away).look())
    kept.rename(journal.with_name("away.db-wal"))
    for path, owners in ((journal, 0), (away, 1)):
        connection = connect(path, Access.READ)
        assert connection.execute("SELECT count(*) FROM owners").fetchall() == [(owners,)]
        connection.close()
