"""Alembic's commands, as a user types them in the top folder."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import migrate
from ailf.async_tasks.journal.form import indexes
from tests.async_tasks.journal.support import attempt, opened, run, snapshot

TOP = Path(__file__).parents[4]
ALEMBIC = (sys.executable, "-m", "alembic")


def alembic(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of Alembic's commands that must succeed."""
    return run(*ALEMBIC, *arguments, cwd=TOP, **environment)


def test_the_commands_work_on_a_journal_that_is_named(journal: Path) -> None:
    """Upgrade, current, check, history and downgrade, with ``-x journal=PATH``."""
    named = ("-x", f"journal={journal}")
    alembic(*named, "upgrade", "head")
    assert f"{migrate.HEAD} (head)" in alembic(*named, "current").stdout
    assert "No new upgrade operations detected." in alembic(*named, "check").stdout
    assert "<base> -> 0001" in alembic(*named, "history").stdout
    alembic(*named, "downgrade", "base")
    connection = sqlite3.connect(journal)
    assert connection.execute("SELECT name FROM sqlite_master WHERE name = 'tasks'").fetchall() == []
    connection.close()


def test_the_environment_names_the_journal(journal: Path) -> None:
    """``$AILF_JOURNAL`` does, unless ``-x journal=PATH`` names another."""
    opened(journal).close()
    assert alembic("current", AILF_JOURNAL=str(journal)).stdout == f"{migrate.HEAD} (head)\n"
    other = journal.with_name("other 100%.db")
    alembic("-x", f"journal={other}", "upgrade", "head", AILF_JOURNAL=str(journal))
    assert migrate.revision_of(other) == migrate.HEAD


def test_the_default_is_in_the_working_directory(tmp_path: Path) -> None:
    """With no name at all it is ``ailf_tasks.db``, as it is for the manager."""
    run(*ALEMBIC, "-c", TOP / "alembic.ini", "upgrade", "head", cwd=tmp_path, AILF_JOURNAL="")
    assert migrate.revision_of(tmp_path / "ailf_tasks.db") == migrate.HEAD


@pytest.mark.parametrize(("command", "there"), [("current", False), ("check", False), ("current", True)])
def test_commands_that_look_create_nothing(journal: Path, command: str, there: bool) -> None:  # noqa: FBT001
    """Where there is no journal, or an empty file, there is none afterwards, nor anything beside it."""
    if there:
        journal.touch()
    before = snapshot(journal.parent)
    attempt(*ALEMBIC, "-x", f"journal={journal}", command, cwd=TOP)
    assert snapshot(journal.parent) == before


def test_indexes_of_keys_are_nobodys_business_but_the_users(journal: Path) -> None:
    """``check`` does not miss them in the code, and up and down they stay."""
    connection = opened(journal)
    indexes.make(connection, ["user", "it's"])
    connection.close()
    named = ("-x", f"journal={journal}")
    checked = alembic(*named, "check")
    assert "No new upgrade operations detected." in checked.stdout
    assert "Warning" not in checked.stderr
    alembic(*named, "downgrade", "0001")
    alembic(*named, "upgrade", "head")
    connection = sqlite3.connect(journal)
    assert indexes.paths_of(connection.execute(indexes.ALL)) == {'$."user"', '$."it\'s"'}
    connection.close()


def test_check_sees_a_view_and_a_trigger_that_differ(journal: Path) -> None:
    """What SQLAlchemy's metadata does not hold is compared as well."""
    connection = opened(journal)
    connection.execute("DROP VIEW failed_tasks")
    connection.execute("DROP TRIGGER tasks_end_once")
    connection.execute("CREATE VIEW mine AS SELECT 1")
    connection.close()
    checked = attempt(*ALEMBIC, "-x", f"journal={journal}", "check", cwd=TOP)
    assert checked.returncode != 0
    assert "DROP VIEW mine" in checked.stdout + checked.stderr
    assert "CREATE VIEW failed_tasks" in checked.stdout + checked.stderr
    assert "CREATE TRIGGER tasks_end_once" in checked.stdout + checked.stderr


def test_another_program_s_database_is_refused(journal: Path) -> None:
    """A slip of the path does no harm, and the message is one line, not a traceback."""
    connection = sqlite3.connect(journal)
    connection.execute("CREATE TABLE albums (title)")
    connection.close()
    before = snapshot(journal.parent)
    refused = attempt(*ALEMBIC, "-x", f"journal={journal}", "upgrade", "head", cwd=TOP)
    assert refused.returncode != 0
    assert "FAILED: " in refused.stdout + refused.stderr
    assert "another program" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    assert snapshot(journal.parent) == before


def test_sql_mode_says_that_there_is_none(journal: Path) -> None:
    """The migrations look at the journal, so they cannot be written out without one."""
    refused = attempt(*ALEMBIC, "-x", f"journal={journal}", "upgrade", "head", "--sql", cwd=TOP)
    assert refused.returncode != 0
    assert "no --sql mode" in refused.stdout + refused.stderr
    assert not journal.exists()


async def test_a_downgrade_on_a_living_manager_s_journal_is_refused(manager: TaskManager, journal: Path) -> None:
    """It would take the tables from under it; the message says whom to stop."""
    for command in (("downgrade", "0002"), ("downgrade", "base")):
        refused = await asyncio.to_thread(attempt, *ALEMBIC, "-x", f"journal={journal}", *command, cwd=TOP)
        assert refused.returncode != 0
        assert f"in use by pid {os.getpid()}" in refused.stdout + refused.stderr
    assert await manager.result(await manager.submit(asyncio.sleep(0, "fine"))) == "fine"


def test_a_program_runs_the_commands_without_a_file(journal: Path, tmp_path: Path) -> None:
    """``command.upgrade`` makes and upgrades a journal, with no command line and no logging section behind it."""
    program = """
import sys
from alembic import command
from alembic.config import Config
from ailf.async_tasks.journal.care.migrate import migrations_folder

config = Config(sys.argv[2]) if sys.argv[2:] else Config()
config.set_main_option("script_location", str(migrations_folder()))
config.attributes["journal"] = sys.argv[1]
command.upgrade(config, "head")
command.current(config)
command.check(config)
"""
    ini = tmp_path / "plain.ini"
    ini.write_text("[alembic]\npath_separator = os\n")
    for arguments in ((), (ini,)):
        journal.unlink(missing_ok=True)
        finished = run(sys.executable, "-c", program, journal, *arguments)
        assert f"{migrate.HEAD} (head)" in finished.stdout
        assert migrate.revision_of(journal) == migrate.HEAD
