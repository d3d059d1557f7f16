"""Bringing a journal to the newest revision: create, upgrade, back up, refuse; and leave alone what is refused."""

import asyncio
import gzip
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import migrate
from ailf.async_tasks.journal.care.locks import OwnerLock
from ailf.async_tasks.journal.care.migrate import MigrateMode, ensure_current
from ailf.async_tasks.journal.care.owners import this_process
from ailf.async_tasks.journal.form.engine import Access, connect, create_file
from ailf.async_tasks.journal.form.paths import owners_folder
from ailf.errors import JournalError, JournalVersionError
from tests.async_tasks.journal.care.test_alembic import ALEMBIC, TOP
from tests.async_tasks.journal.care.test_revisions import JOURNALS, SECOND
from tests.async_tasks.journal.support import (
    RUNNING,
    attempt,
    fill,
    insert,
    python,
    schema_of,
    snapshot,
)
from tests.conftest import until

CURRENT = migrate.HEAD
_FOLDER = migrate.migrations_folder()
_VERSIONS = [str(file.relative_to(_FOLDER)) for file in _FOLDER.glob("versions/*.py")]

LATER_REVISION = """
from ailf.async_tasks.journal.care.revisions import through_alembic

revision, down_revision = "0004", "0003"

def upgrade(run=through_alembic):
    # SQLite's way of changing a table: copy it, and drop the old one.
    views = run("SELECT name, sql FROM sqlite_master WHERE type = 'view'")
    for name, _ in views:
        run(f"DROP VIEW {{name}}")
    [(table,)] = run("SELECT sql FROM sqlite_master WHERE name = 'tasks'")
    run("CREATE TABLE copy " + table[table.index("("):])
    run("INSERT INTO copy SELECT * FROM tasks")
    run("DROP TABLE tasks")
    run("ALTER TABLE copy RENAME TO tasks")
    run("ALTER TABLE tasks ADD COLUMN colour TEXT")
    for _, sql in views:
        run(sql)
    {then}

def downgrade(run=through_alembic):
    run("ALTER TABLE tasks DROP COLUMN colour")
"""


@pytest.fixture
def later_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make the code a later release, with one more migration, which does what is given besides."""

    def become(then: str = "pass") -> None:
        folder = tmp_path / "later" / "migrations"
        (folder / "versions").mkdir(parents=True)
        for name in ("env.py", "script.py.mako", *_VERSIONS):
            (folder / name).write_text((migrate.migrations_folder() / name).read_text())
        (folder / "versions" / "0004_later.py").write_text(LATER_REVISION.format(then=then))
        monkeypatch.setattr(migrate, "migrations_folder", lambda: folder)
        monkeypatch.setattr(migrate, "HEAD", "0004")
        monkeypatch.setattr(migrate, "KNOWN", migrate.KNOWN | {"0004"})

    return become


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A journal in a folder that holds nothing else."""
    (tmp_path / "own").mkdir()
    return tmp_path / "own" / "tasks.db"


def dump(path: Path) -> list[str]:
    """Everything a database holds, as SQL."""
    connection = sqlite3.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines


def mode_of(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def test_the_constants_are_what_the_folder_says() -> None:
    """``HEAD`` and ``KNOWN`` spare a start a look at the scripts; they must not lag behind."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrate.migrations_folder()))
    assert scripts.get_current_head() == migrate.HEAD
    assert {None, *(script.revision for script in scripts.walk_revisions())} == migrate.KNOWN


def test_a_new_journal_is_made_private_and_current(journal: Path) -> None:
    """One start makes the file, the tables and the folder of locks, for the user's eyes alone."""
    ensure_current(journal)
    assert migrate.revision_of(journal) == migrate.HEAD
    assert mode_of(journal) == 0o600
    assert mode_of(journal.with_name("tasks.db.owners")) == 0o700
    assert mode_of(journal.with_name("tasks.db.owners") / migrate.MIGRATION_LOCK) == 0o600
    connection = connect(journal, Access.WRITE)
    insert(connection, "owners", {"id": "o1", "pid": 1, "host": "h", "boot_id": "b", "started_at": "x"})
    for companion in ("tasks.db-wal", "tasks.db-shm"):
        assert mode_of(journal.with_name(companion)) == 0o600
    connection.close()


def test_a_current_journal_is_left_as_it_is(journal: Path) -> None:
    """A start on a current journal reads, and changes nothing."""
    fill(journal)
    before = snapshot(journal.parent)
    ensure_current(journal)
    ensure_current(journal, MigrateMode.CHECK)
    assert snapshot(journal.parent) == before


def test_a_zero_byte_file_becomes_a_journal(journal: Path) -> None:
    """What ``mktemp`` makes, or a process that died at the very start, is as good as no file."""
    journal.touch(mode=0o600)
    ensure_current(journal)
    assert migrate.revision_of(journal) == migrate.HEAD


def test_a_start_that_died_before_the_first_migration_is_taken_up(journal: Path) -> None:
    """A marked file without tables is finished by the next start, also where older ones are refused."""
    create_file(journal)
    assert migrate.revision_of(journal) is None
    ensure_current(journal, MigrateMode.CHECK)
    assert migrate.revision_of(journal) == migrate.HEAD
    assert list(journal.parent.glob("*.backup-*")) == []


def test_an_older_journal_is_backed_up_and_upgraded(journal: Path, later_release: Callable[[], None]) -> None:
    """Every row and its events survive; the copy beside it is the journal as it was, private."""
    fill(journal)
    before = dump(journal)
    later_release()
    ensure_current(journal)
    connection = connect(journal, Access.READ)
    assert connection.execute("SELECT id, status, colour FROM tasks").fetchall() == [("t1", "completed", None)]
    assert connection.execute("SELECT task_id, kind FROM task_events").fetchall() == [("t1", "submitted")]
    connection.close()
    [backup] = journal.parent.glob("*.backup-*")
    assert backup.name.startswith(f"tasks.db.backup-{CURRENT}-")
    assert dump(backup) == before
    assert mode_of(backup) == 0o600
    assert migrate.revision_of(journal) == "0004"


def test_a_backup_holds_what_is_in_the_log_alone(journal: Path, later_release: Callable[[], None]) -> None:
    """Rows that another program committed a moment ago, in no checkpoint yet, are in the copy."""
    fill(journal)
    other = connect(journal, Access.WRITE)
    insert(other, "tasks", RUNNING | {"id": "t2"})
    later_release()
    ensure_current(journal)
    other.close()
    [backup] = journal.parent.glob("*.backup-*")
    copy = sqlite3.connect(backup)
    assert copy.execute("SELECT id FROM tasks ORDER BY id").fetchall() == [("t1",), ("t2",)]
    assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    copy.close()


def test_check_refuses_an_older_journal(journal: Path, later_release: Callable[[], None]) -> None:
    """The user who wants to decide about migrations is told how, and the journal is as it was."""
    fill(journal)
    shutil.rmtree(owners_folder(journal))
    later_release()
    before = snapshot(journal.parent)
    with pytest.raises(JournalVersionError, match=r"is at revision 0003, this release needs 0004: run `alembic"):
        ensure_current(journal, MigrateMode.CHECK)
    assert snapshot(journal.parent) == before


def test_check_waits_for_a_migration_under_way(journal: Path, later_release: Callable[[], None]) -> None:
    """What another process is just doing need not be done by the user: the start goes on when it is done."""
    fill(journal)
    later_release()
    with migrate.migration_lock(journal):
        start = threading.Thread(target=ensure_current, args=(journal, MigrateMode.CHECK))
        start.start()
        migrate.upgrade(journal)
    start.join()
    assert migrate.revision_of(journal) == "0004"


async def test_no_index_is_made_in_a_journal_that_was_migrated_meanwhile(journal: Path) -> None:
    """A start that waits for the lock can be seen as alive, and looks again when it has it."""
    ensure_current(journal)
    manager = TaskManager(journal, indexed_metadata=["user"])
    with closing(sqlite3.connect(journal)) as other:
        with migrate.migration_lock(journal):
            start = asyncio.create_task(manager.start())
            await until(lambda: other.execute("SELECT 1 FROM owners WHERE stopped_at IS NULL").fetchall())
            other.execute("UPDATE alembic_version SET version_num = '0001'")
            other.commit()
        with pytest.raises(JournalVersionError, match="at revision 0001"):
            await start
        assert other.execute("SELECT count(*) FROM owners WHERE stopped_at IS NULL").fetchall() == [(0,)]
        assert other.execute("SELECT name FROM sqlite_master WHERE name LIKE 'tasks_by_meta%'").fetchall() == []


@pytest.mark.parametrize(
    "then",
    [
        "raise RuntimeError('half-way')",
        "run('INSERT INTO nothing VALUES (1)')",
        "run('DELETE FROM owners')",
    ],
)
def test_a_failing_migration_leaves_the_journal_as_it_was(
    journal: Path, later_release: Callable[[str], None], then: str
) -> None:
    """Whether Python, SQL or the foreign keys say no: all of it is rolled back, and the error is ours."""
    fill(journal)
    before = dump(journal)
    later_release(then)
    with pytest.raises(JournalError, match=r"cannot be migrated: "):
        ensure_current(journal)
    # A copy of what is as it was, for each try, would fill the disk.
    assert list(journal.parent.glob("*.backup-*")) == []
    # The connection that failed is closed: SQLite removes the log with the last one.
    assert not journal.with_name("tasks.db-wal").exists()
    assert dump(journal) == before


def test_down_and_up_again(journal: Path) -> None:
    """A downgrade to the base drops all of it, and an upgrade makes the very same schema again."""
    from alembic import command

    fill(journal)
    connection = connect(journal, Access.READ)
    before = schema_of(connection)
    command.downgrade(migrate.alembic_config(journal), "base")
    assert schema_of(connection) == {}
    ensure_current(journal)
    assert schema_of(connection) == before
    assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
    connection.close()


def test_down_and_up_with_rows(journal: Path, later_release: Callable[[], None]) -> None:
    """A step down and up keeps every row, though SQLite's way is to copy the table and drop the old one."""
    from alembic import command

    fill(journal)
    later_release()
    ensure_current(journal)
    command.downgrade(migrate.alembic_config(journal), CURRENT)
    command.upgrade(migrate.alembic_config(journal), "head")
    connection = connect(journal, Access.READ)
    assert connection.execute("SELECT id, result FROM tasks").fetchall() == [("t1", "1")]
    assert connection.execute("SELECT count(*) FROM task_events").fetchone() == (1,)
    connection.close()


def test_many_processes_create_one_journal(journal: Path) -> None:
    """Those that come while the first one creates it wait, and find it done."""
    program = """
import sys
from pathlib import Path
from ailf.async_tasks.journal.care.migrate import ensure_current
print("ready", flush=True)
sys.stdin.read()
ensure_current(Path(sys.argv[1]))
"""
    command = [sys.executable, "-W", "error", "-c", program, str(journal)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    errors = [process.communicate()[1].decode() for process in processes]
    assert errors == [""] * 4
    assert migrate.revision_of(journal) == migrate.HEAD
    assert list(journal.parent.glob("*.backup-*")) == []


def test_no_start_imports_alembic(journal: Path) -> None:
    """Importing it takes a good part of a short program's time, and its globals belong to the application."""
    program = """
import asyncio, sys
from ailf.async_tasks import TaskManager

async def main():
    async with TaskManager(sys.argv[1]):
        print("alembic" in sys.modules)

asyncio.run(main())
"""
    assert python(program, journal) == "False\n"
    assert python(program, journal) == "False\n"


def test_a_migration_that_hangs_elsewhere_holds_nobody_up_for_ever(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for it gives up with an error that names the lock."""
    monkeypatch.setattr(migrate, "MIGRATION_PATIENCE_SECONDS", 0.01)
    folder = owners_folder(journal)
    folder.mkdir()
    with FileLock(folder / migrate.MIGRATION_LOCK), pytest.raises(JournalError, match=r"migration\.lock"):
        ensure_current(journal)


async def test_a_journal_with_which_an_earlier_release_is_at_work_is_refused(journal: Path) -> None:
    """Its manager would go on by its own rules: it has to stop first, and until then nothing is changed."""
    journal.write_bytes(gzip.decompress((JOURNALS / SECOND).read_bytes()))
    earlier = replace(this_process(), process_started=None, pid_namespace=None)
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute(
            "INSERT INTO owners (id, pid, host, boot_id, started_at) VALUES (?, ?, ?, ?, '2026')",
            (earlier.id, earlier.pid, earlier.host, earlier.boot_id),
        )
    lock = OwnerLock(journal, earlier.id)
    assert lock.acquire()
    before = snapshot(journal.parent)
    with pytest.raises(JournalVersionError, match=f"pid {earlier.pid} on .* stop that program, and start again"):
        await TaskManager(journal).start()
    refused = attempt(*ALEMBIC, "-x", f"journal={journal}", "upgrade", "head", cwd=TOP)
    assert refused.returncode != 0
    assert f"pid {earlier.pid} on {earlier.host}: stop it before an upgrade" in refused.stdout + refused.stderr
    after = snapshot(journal.parent)
    after.pop(f"{journal.name}.owners/migration.lock")
    assert after == before
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE owners SET stopped_at = started_at WHERE id = ?", (earlier.id,))
    lock.release()
    async with TaskManager(journal, retention=None) as manager:
        assert manager.count_tasks() > 0


def test_a_start_works_while_the_application_migrates_its_own_database(journal: Path) -> None:
    """Alembic's context is a global: whoever made a journal through it had the application's tables in it."""
    program = """
import sys
from pathlib import Path
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import create_engine
from ailf.async_tasks.journal.care.migrate import ensure_current

engine = create_engine("sqlite://")
with engine.connect() as connection, Operations.context(MigrationContext.configure(connection)) as own:
    ensure_current(Path(sys.argv[1]))
    from alembic import op
    op.execute("CREATE TABLE app (a)")
    print(connection.exec_driver_sql("SELECT name FROM sqlite_master").fetchall())
"""
    assert python(program, journal) == "[('app',)]\n"
    connection = connect(journal, Access.READ)
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'app'").fetchall() == []
    connection.close()


def test_a_start_says_nothing_of_its_migration(journal: Path) -> None:
    """Whatever level the user's log has, the first start writes none of Alembic's lines into it."""
    program = """
import asyncio, logging, sys
from ailf.async_tasks import TaskManager
logging.basicConfig(level=logging.INFO, stream=sys.stdout)

async def main():
    async with TaskManager(sys.argv[1]):
        pass

asyncio.run(main())
"""
    assert "alembic" not in python(program, journal)


async def test_a_downgrade_between_the_look_and_the_registration_is_noticed(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start looks at the revision again once others can see that it is alive."""
    ensure_current(journal)
    look = migrate.ensure_current

    def look_and_lose_it(path: Path, mode: MigrateMode) -> None:
        look(path, mode)
        migrate.downgrade(path, "0002")

    monkeypatch.setattr("ailf.async_tasks.journal.ensure_current", look_and_lose_it)
    manager = TaskManager(journal)
    with pytest.raises(JournalVersionError, match="was taken to revision 0002"):
        await manager.start()
    assert migrate.revision_of(journal) == "0002"
    assert list(owners_folder(journal).glob("????????-*.lock")) == []


async def test_no_downgrade_takes_the_tables_from_under_a_manager(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that comes between the look and the downgrade is seen, since the look is made with the journal locked."""
    from ailf.async_tasks.journal.care import upkeep

    ensure_current(journal)
    manager = TaskManager(journal)
    back_up = migrate.back_up

    def back_up_and_start(path: Path, revision: str) -> Path:
        copy = back_up(path, revision)
        asyncio.run_coroutine_threadsafe(manager.start(), loop).result()
        return copy

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(migrate, "back_up", back_up_and_start)
    with pytest.raises(JournalError, match="in use by pid"):
        await asyncio.to_thread(upkeep.downgrade, journal, "0002")
    assert await manager.result(await manager.submit(asyncio.sleep(0, "fine"))) == "fine"
    assert list(journal.parent.glob("*.backup-*")) == []
    await manager.stop()
