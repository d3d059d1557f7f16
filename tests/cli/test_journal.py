"""``ailf journal``: what is said of a file, and what is done to it."""

import asyncio
import gzip
import json
import os
import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TextIO

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import migrate, owners, upkeep
from ailf.async_tasks.journal.care.locks import OwnerLock
from tests.async_tasks.journal.care.test_revisions import FIRST, JOURNALS, content, schema_text
from tests.async_tasks.journal.support import OWNER, RUNNING, insert
from tests.cli.conftest import Ailf
from tests.conftest import first_round


def test_info_in_json(full: Path, ailf: Ailf) -> None:
    """The documented keys."""
    facts = json.loads(ailf("journal", "info", "--json").stdout)
    assert facts.keys() == {
        *("path", "bytes", "log_bytes", "free_bytes", "revision", "newest_revision", "tasks", "events"),
        *("first_submitted", "last_submitted", "owners", "deleted_at", "deleted", "sqlite_version", "sqlite_lacks"),
    }
    assert facts["tasks"] == {"pending": 1, "running": 1, "completed": 1, "failed": 1, "cancelled": 1}
    assert (facts["events"], facts["revision"]) == (6, migrate.HEAD)
    assert facts["owners"][0].keys() == {"id", "pid", "host", "started_at", "life", "unfinished", "retention"}


async def test_info_tells_the_living_from_the_dead(full: Path, ailf: Ailf) -> None:
    """By the locks that they hold, or do not; looking takes none of them away."""
    here = owners.this_process()
    with closing(sqlite3.connect(full, isolation_level=None)) as connection:
        dead = OWNER | {
            "id": "00000000-0000-4000-8000-000000000001",
            "pid": 1,
            "host": here.host,
            "boot_id": here.boot_id,
        }
        insert(connection, "owners", dead)
    folder = full.with_name(f"{full.name}.owners")
    folder.mkdir(exist_ok=True)
    (folder / f"{dead['id']}.lock").touch()
    states = {state.id: state.life for state in upkeep.owner_states(full)}
    assert states == {"o1": upkeep.Life.UNKNOWN, dead["id"]: upkeep.Life.DEAD}
    assert (folder / f"{dead['id']}.lock").exists()
    async with TaskManager(full) as manager:
        assert manager._session is not None
        me = manager._session.journal.owner.id
        assert {state.id: state.life for state in upkeep.owner_states(full)}[me] is upkeep.Life.ALIVE
        assert "alive" in ailf("journal", "info").stdout


def test_recover_fails_the_tasks_of_the_dead(full: Path, ailf: Ailf) -> None:
    """Of those alone: who cannot be seen is left as it is while somebody has the journal open, until a person says."""
    here = owners.this_process()
    with closing(sqlite3.connect(full, isolation_level=None)) as connection:
        identity = {"boot_id": here.boot_id, "process_started": 1, "pid_namespace": here.pid_namespace}
        insert(connection, "owners", OWNER | identity | {"id": "dead", "pid": 2**22 + 1})
        insert(connection, "tasks", RUNNING | {"id": "lost", "owner_id": "dead"})
    warned = ailf("journal", "doctor")
    assert (warned.exit_code, "run `ailf journal recover`" in warned.stdout) == (1, True)
    with closing(sqlite3.connect(full)) as other:
        other.execute("SELECT count(*) FROM tasks").fetchall()
        assert ailf("journal", "recover").stdout == "1 task marked as failed.\n"
    assert json.loads(ailf("tasks", "show", "lost", "--json").stdout)["reason"] == "process_died"
    assert json.loads(ailf("tasks", "show", "lost", "--json").stdout)["owner"]["life"] == "dead"
    assert json.loads(ailf("tasks", "show", "ba-runs", "--json").stdout)["status"] == "running"
    assert "run `ailf journal recover --owner o1`" in ailf("journal", "doctor").stdout
    assert ailf("journal", "recover", "--owner", "o").stdout == "2 tasks marked as failed.\n"
    assert json.loads(ailf("tasks", "show", "ba-runs", "--json").stdout)["reason"] == "process_died"


def test_recover_takes_nobody_s_word_for_the_death_of_the_living(full: Path, ailf: Ailf) -> None:
    """An owner that is not there is an error of the caller's, one that is alive one of the journal's."""
    refused = ailf("journal", "recover", "--owner", "nobody")
    assert (refused.exit_code, "no owners of the journal" in refused.stderr) == (2, True)
    lock = OwnerLock(full, "o1")
    assert lock.acquire()
    refused = ailf("journal", "recover", "--owner", "o1")
    assert (refused.exit_code, "is alive, and nothing was changed" in refused.stderr) == (3, True)
    lock.release()


def test_recover_finds_all_dead_whom_nobody_else_can_be(full: Path, ailf: Ailf) -> None:
    """Nobody else has the journal open: whose lock file is gone, of a container that is gone, is dead."""
    assert ailf("journal", "recover").stdout == "2 tasks marked as failed.\n"


async def test_info_and_doctor_tell_what_is_kept_and_what_is_gone(journal: Path, ailf: Ailf) -> None:
    """The policy of each living manager, and what the clean-up deleted last."""
    policy = {"completed": timedelta(0), "failed": timedelta(days=7)}
    async with TaskManager(journal, retention=policy, cleanup_interval=3600) as manager:
        await first_round(manager)
        assert "deleted" not in ailf("journal", "info").stdout
        await manager.result(await manager.submit(asyncio.sleep(0)))
        await manager.cleanup()
        keeps = "cancelled for ever, completed for 0 seconds, failed for 7 days"
        assert keeps in " ".join(ailf("journal", "info").stdout.split())
        assert "deleted:   1 completed, at 20" in ailf("journal", "info").stdout
        told = ailf("journal", "doctor").stdout
        assert f"keeps its tasks {keeps}" in told
        assert "the clean-up last deleted 1 completed, at 20" in told


def test_check_finds_damage(full: Path, ailf: Ailf) -> None:
    """A whole journal is said to be whole; a page that was overwritten is found, and doctor says what to do."""
    assert ailf("journal", "check").stdout == "The journal is whole.\n"
    assert json.loads(ailf("journal", "check", "--full", "--json").stdout) == {"whole": True, "findings": []}
    with closing(sqlite3.connect(full)) as connection, connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("UPDATE tasks SET owner_id = 'nobody' WHERE id = 'bb-waits'")
    found = ailf("journal", "check")
    assert found.exit_code == 3
    assert "points to no row of owners" in found.stdout
    doctor = json.loads(ailf("journal", "doctor", "--json").stdout)
    assert doctor[0]["level"] == "error"
    assert "journal restore BACKUP" in doctor[0]["advice"]


def test_an_index_that_disagrees_is_made_anew(full: Path, ailf: Ailf) -> None:
    """No backup is asked for: the doctor mends it."""
    with closing(sqlite3.connect(full, isolation_level=None)) as connection:
        connection.execute("CREATE INDEX partial ON tasks (name) WHERE status = 'running'")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = 'CREATE INDEX partial ON tasks (name)' WHERE name = 'partial'"
        )
    found = ailf("journal", "check", "--full")
    assert found.exit_code == 3
    assert "missing from index partial" in found.stdout
    assert "doctor --fix" in found.stderr
    fixed = ailf("journal", "doctor", "--full", "--fix")
    assert "the indexes were made anew" in fixed.stdout
    assert ailf("journal", "check", "--full").stdout == "The journal is whole.\n"


def test_what_is_harmless_is_mended(full: Path, ailf: Ailf) -> None:
    """Events that a deletion without foreign keys and triggers left behind: no error, no backup, a word mends them."""
    with closing(sqlite3.connect(full, isolation_level=None)) as connection:
        [(trigger,)] = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'tasks_take_all_along'")
        connection.execute("DROP TRIGGER tasks_take_all_along")
        connection.execute("DELETE FROM tasks WHERE status = 'failed'")
        connection.execute(trigger)
        [(left,)] = connection.execute("SELECT count(*) FROM task_events WHERE task_id NOT IN (SELECT id FROM tasks)")
    assert left
    told = ailf("journal", "doctor")
    assert (told.exit_code, "ailf journal doctor --fix" in told.stdout, "restore" in told.stdout) == (1, True, False)
    checked = ailf("journal", "check")
    assert (checked.exit_code, "harmless" in checked.stderr) == (3, True)
    fixed = json.loads(ailf("journal", "doctor", "--fix", "--json").stdout)
    assert [one["text"] for one in fixed if one["level"] == "fixed"] == [
        f"{left} events and log lines of deleted tasks were deleted",
        "2 tasks of dead processes marked as failed",
    ]
    again = ailf("journal", "doctor", "--fix")
    assert (again.exit_code, "fixed" in again.stdout) == (0, False)
    assert ailf("journal", "check", "--full").stdout == "The journal is whole.\n"


def test_nothing_is_mended_in_what_is_damaged(full: Path, ailf: Ailf) -> None:
    """Whoever restores a backup wants to look at what is there first."""
    with closing(sqlite3.connect(full)) as connection, connection:
        connection.execute("UPDATE tasks SET owner_id = 'nobody' WHERE id = 'bb-waits'")
    told = ailf("journal", "doctor", "--fix")
    assert (told.exit_code, "fixed" in told.stdout, "restore BACKUP" in told.stdout) == (3, False, True)


async def test_a_forgotten_stop_is_nothing_to_worry_about(journal: Path, ailf: Ailf) -> None:
    """A notebook that was closed without one: nothing was unfinished, and nothing is to be done."""
    async with TaskManager(journal):
        pass
    here = owners.this_process()
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        identity = {"boot_id": here.boot_id, "process_started": 1, "pid_namespace": here.pid_namespace}
        insert(connection, "owners", OWNER | identity | {"id": "dead", "pid": 2**22 + 1})
    told = ailf("journal", "doctor")
    assert (told.exit_code, "1 manager ended without a stop" in told.stdout) == (0, True)
    assert "0 managers at work on it" in told.stdout


def test_a_journal_that_was_dumped_says_how_to_get_its_mark_back(full: Path, tmp_path: Path, ailf: Ailf) -> None:
    """The pragma that the error names makes it a journal again."""
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(full)) as connection, closing(sqlite3.connect(copy)) as other:
        other.executescript("\n".join(connection.iterdump()))
    refused = ailf("journal", "info", "--journal", copy)
    pragma = re.search(r"PRAGMA application_id=\d+", refused.stderr)
    assert refused.exit_code == 3
    assert pragma is not None
    with closing(sqlite3.connect(copy)) as other:
        other.execute(pragma[0])
    assert json.loads(ailf("tasks", "list", "--journal", copy, "--json").stdout) == json.loads(
        ailf("tasks", "list", "--json").stdout
    )
    assert ailf("journal", "check", "--full", "--journal", copy).exit_code == 0


def test_a_backup_is_consistent_while_somebody_writes(full: Path, ailf: Ailf, tmp_path: Path) -> None:
    """Every transaction is in the copy whole or not at all, and the copy is private."""
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(full, isolation_level=None)) as connection:
            number = 0
            while not stop.is_set():
                connection.execute("BEGIN IMMEDIATE")
                for half in ("a", "b"):
                    insert(connection, "tasks", RUNNING | {"id": f"{number}{half}"})
                connection.execute("COMMIT")
                number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [tmp_path / f"copy-{number}.db" for number in range(3)]
        for copy in copies:
            assert ailf("journal", "backup", copy).exit_code == 0
    finally:
        stop.set()
        writer.join()
    for copy in copies:
        assert copy.stat().st_mode & 0o777 == 0o600
        assert upkeep.check(copy, full=True) == []
        with closing(sqlite3.connect(copy)) as connection:
            assert connection.execute("SELECT count(*) % 2 FROM tasks WHERE id GLOB '[0-9]*'").fetchone() == (0,)


def test_vacuum_makes_the_file_smaller(full: Path, ailf: Ailf) -> None:
    """What was deleted takes no room any more, and nothing else is gone."""
    with closing(sqlite3.connect(full, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for number in range(2000):
            insert(connection, "tasks", RUNNING | {"id": f"t{number}", "metadata": json.dumps({"x": "y" * 100})})
        connection.execute("COMMIT")
        connection.execute("DELETE FROM tasks WHERE id LIKE 't%'")
    before = full.stat().st_size
    assert "before" in ailf("journal", "vacuum").stdout
    assert full.stat().st_size < before / 2
    assert len(json.loads(ailf("tasks", "list", "--json").stdout)) == 5


def test_upgrade_and_downgrade(journal: Path, ailf: Ailf) -> None:
    """An older journal comes up and goes down again, each time after a backup; rows and schema as they were."""
    journal.write_bytes(gzip.decompress((JOURNALS / FIRST).read_bytes()))
    schema, rows = schema_text(journal), content(journal)
    upgraded = ailf("journal", "upgrade")
    assert upgraded.stdout.startswith("Upgraded from revision 0001; the backup is ")
    assert len(json.loads(ailf("tasks", "list", "--json").stdout)) == 10
    assert "the newest revision" in ailf("journal", "upgrade").stdout
    # The tasks of the process that made it are unfinished, on a machine that cannot be judged.
    refused = ailf("journal", "downgrade", "0001")
    assert (refused.exit_code, "stop it before a downgrade" in refused.stderr) == (3, True)
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("UPDATE owners SET stopped_at = started_at")
    assert ailf("journal", "downgrade", "0001").exit_code == 0
    assert len(list(journal.parent.glob("*.backup-*"))) == 2
    assert (schema_text(journal), content(journal)["tasks"]) == (schema, rows["tasks"])


@pytest.mark.parametrize("part", [(), ("tasks",), ("journal",), ("tasks", "list")])
def test_help_is_there(ailf: Ailf, part: tuple[str, ...]) -> None:
    """Each command explains itself, without a journal."""
    found = ailf(*part, "--help")
    assert found.exit_code == 0
    assert found.stdout.startswith("Usage: ")


def test_restore_puts_a_backup_in_the_journal_s_place(ailf: Ailf, full: Path) -> None:
    """It says what became of the replaced journal, and of what was unfinished; and refuses what is no backup."""
    copy = full.with_name("copy.db")
    assert ailf("journal", "backup", copy).exit_code == 0
    assert ailf("tasks", "prune", "--older-than", "1s", "--yes").exit_code == 0
    done = ailf("journal", "restore", copy)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "2 unfinished tasks marked as failed; the replaced journal is" in done.stdout
    assert len(json.loads(ailf("tasks", "list", "--json", "--status", "failed").stdout)) == 3
    refused = ailf("journal", "restore", full)
    assert refused.exit_code == 2
    assert "is the journal itself" in refused.stderr


@pytest.mark.parametrize("name", ["itself", "relative", "symlink", "hard link", "descriptor", "log"])
def test_export_never_writes_over_the_journal(
    ailf: Ailf, full: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever path it is named: nothing is changed."""
    other = full.with_name("other")
    keeper = sqlite3.connect(full)
    keeper.execute("SELECT count(*) FROM tasks").fetchall()
    descriptor = os.open(full, os.O_RDONLY)
    outputs = {"itself": full, "relative": Path("here.db"), "log": full.with_name(f"{full.name}-wal")}
    outputs["descriptor"] = Path(f"/proc/self/fd/{descriptor}")
    if name == "relative":
        monkeypatch.chdir(full.parent)
        outputs[name] = Path(full.name)
    elif name == "symlink":
        other.symlink_to(full)
    elif name == "hard link":
        # Made once the journal is open, since it is refused otherwise.
        monkeypatch.setattr("ailf.cli.export._refuse_the_journal", _linked_first(other, full))
    refused = ailf("tasks", "export", "--output", outputs.get(name, other))
    os.close(descriptor)
    assert refused.exit_code == 2
    assert "is the journal itself" in refused.stderr
    keeper.close()
    other.unlink(missing_ok=True)
    assert len(ailf("tasks", "export").stdout.splitlines()) == 5


def _linked_first(link: Path, journal: Path) -> Callable[[Path, Path], None]:
    from ailf.cli import export

    refuse = export._refuse_the_journal

    def then(output: Path, of: Path) -> None:
        link.hardlink_to(journal)
        refuse(output, of)

    return then


def test_an_export_takes_a_file_s_place_once_it_is_whole(
    ailf: Ailf, full: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there stays where it fails; a link, and the file's mode, stay as well; a pipe is written as it is."""
    output = full.with_name("out.jsonl")
    output.write_text("before")
    output.chmod(0o640)
    link = full.with_name("link")
    link.symlink_to(output)
    with monkeypatch.context() as patch:
        patch.setattr("ailf.cli.export._write", _no_room)
        refused = ailf("tasks", "export", "--output", link)
        assert (refused.exit_code, "cannot be written" in refused.stderr) == (3, True)
    assert output.read_text() == "before"
    assert ailf("tasks", "export", "--output", link).exit_code == 0
    assert len(output.read_text().splitlines()) == 5
    assert link.is_symlink()
    assert output.stat().st_mode & 0o777 == 0o640
    assert not list(full.parent.glob(".*.part"))
    assert ailf("tasks", "export", "--output", "/dev/null").exit_code == 0


def _no_room(_form: str, _pages: object, file: TextIO) -> int:
    file.write("half")
    raise OSError(28, "No space left on device")
