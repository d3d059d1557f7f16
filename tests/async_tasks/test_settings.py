"""What a manager is made with: its journal's path, and its settings."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager
from ailf.errors import (
    AilfError,
    InvalidArgumentError,
    InvalidTypeError,
    JournalError,
    NotAJournalError,
    NotStartedError,
)


async def test_a_private_journal_goes_with_its_manager() -> None:
    """A journal ":memory:" is a file in a folder of its own, for this user alone, and both are gone after the stop."""
    manager = TaskManager(":memory:")
    async with manager:
        assert manager._session is not None
        path = manager._session.journal.path
        assert manager.journal == path
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        await manager.wait_for_task(await manager.submit(asyncio.sleep(0)))
        async with TaskManager(":memory:") as other:
            assert other.count_tasks() == 0
            assert other.journal != path
    assert not path.parent.exists()
    async with manager:
        assert manager.count_tasks() == 0


async def test_the_journals_path_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is ``$AILF_JOURNAL``, else a file in the working directory; text and Path are the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AILF_JOURNAL", raising=False)
    assert TaskManager().journal == tmp_path / "ailf_tasks.db"
    assert TaskManager("x.db").journal == TaskManager(Path("x.db")).journal == tmp_path / "x.db"
    monkeypatch.setenv("AILF_JOURNAL", str(tmp_path / "from environment.db"))
    async with TaskManager() as manager:
        assert manager.journal == tmp_path / "from environment.db"
    assert (tmp_path / "from environment.db").is_file()


@pytest.mark.parametrize("name", ["with space", "100% #1?.db", "日本 🍃.db", 'it\'s "quoted"; --', "a&mode=ro"])
async def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    """No character of a name is taken for part of SQLite's URI."""
    async with TaskManager(tmp_path / name) as manager:
        assert await manager.alist_tasks() == []
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.owners"}


async def test_a_journal_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A missing folder, a folder, a file as folder, no database: an error that says what to do, and a free manager."""
    plain = tmp_path / "plain.txt"
    plain.write_text("not a database, but long enough to be mistaken for one\n" * 100)
    for path, error, words in (
        (tmp_path / "missing" / "tasks.db", JournalError, "create it first"),
        (tmp_path, JournalError, "folder"),
        (plain / "tasks.db", JournalError, "folder"),
        (plain, NotAJournalError, "no SQLite database"),
    ):
        manager = TaskManager(path)
        for _ in range(2):
            with pytest.raises(error, match=words):
                await manager.start()
        await manager.stop()
        with pytest.raises(NotStartedError):
            manager.list_tasks()
    assert [path.name for path in tmp_path.iterdir()] == ["plain.txt"]
    assert plain.read_text().startswith("not a database")


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "~no-such-user-here/tasks.db"])
def test_a_path_that_no_file_can_have_is_refused(path: str) -> None:
    """It is an error of ours, at once."""
    with pytest.raises(InvalidArgumentError, match="no path"):
        TaskManager(path)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"journal": 7}, InvalidTypeError),
        ({"journal": b"x.db"}, InvalidTypeError),
        ({"task_timeout": 0}, InvalidArgumentError),
        ({"task_timeout": "1"}, InvalidTypeError),
        ({"max_concurrency": 0}, InvalidArgumentError),
        ({"max_concurrency": 1.5}, InvalidTypeError),
        ({"max_concurrency": True}, InvalidTypeError),
        ({"retention": -1}, InvalidArgumentError),
        ({"retention": "1h"}, InvalidTypeError),
        ({"retention": {"running": 5}}, InvalidArgumentError),
        ({"retention": {"completed": "x"}}, InvalidTypeError),
        ({"retention": {5: 5}}, InvalidTypeError),
        ({"cleanup_interval": 0}, InvalidArgumentError),
        ({"cleanup_interval": None}, InvalidTypeError),
        ({"durability": "none"}, InvalidArgumentError),
        ({"durability": []}, InvalidArgumentError),
        ({"migrate": "never"}, InvalidArgumentError),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], error: type[AilfError]) -> None:
    """A manager is not made with a wrong argument, and the error names it."""
    with pytest.raises(error, match=next(iter(options))):
        TaskManager(**options)


@pytest.mark.parametrize(("durability", "level"), [("process", 1), ("power", 2)])
async def test_durability_is_sqlites_synchronous(journal: Path, durability: str, level: int) -> None:
    """The writer's connection syncs every commit only where the loss of power is to be survived."""
    async with TaskManager(journal, durability=durability) as manager:
        assert manager._session is not None
        connection = manager._session.journal._connection
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert await manager.result(await manager.submit(asyncio.sleep(0, 1))) == 1


def test_a_private_journal_has_no_path_before_it_is_made() -> None:
    """The path of ":memory:" is None while the manager is not started."""
    assert TaskManager(":memory:").journal is None
