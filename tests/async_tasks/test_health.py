"""What a manager says of its journal: writable or not, how much waits, and that it is well again."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ailf.async_tasks import Health, TaskManager, TaskStatus
from ailf.errors import JournalError, NotStartedError
from tests.conftest import patience, until

RETENTION = dict.fromkeys(("completed", "failed", "cancelled"), 3600.0)
WELL = Health(is_writable=True, unwritten=0, oldest_seconds=None, last_error=None, retention=RETENTION)


@pytest.fixture
def holder(journal: Path) -> Iterator[sqlite3.Connection]:
    """Another program's connection, for whose lock the manager does not wait long."""
    connection = sqlite3.connect(journal, isolation_level=None)
    with patience(0.005):
        yield connection
    connection.close()


async def test_a_manager_that_is_well_says_so(manager: TaskManager) -> None:
    """Nothing waits where everything is written."""
    await manager.result(await manager.submit(asyncio.sleep(0)))
    assert manager.health() == WELL


async def test_health_needs_a_started_manager(journal: Path) -> None:
    """Before the start there is nothing to say."""
    with pytest.raises(NotStartedError):
        TaskManager(journal).health()


async def test_trouble_shows_with_what_waits_and_why(manager: TaskManager, holder: sqlite3.Connection) -> None:
    """While another program holds the journal, health counts what is in memory alone, and names the reason."""
    go = asyncio.Event()
    task_id = await manager.submit(go.wait())
    holder.execute("BEGIN IMMEDIATE")
    manager.update_progress(task_id, 50)
    go.set()
    await until(lambda: not manager.health().is_writable and manager.health().unwritten == 2)
    health = manager.health()
    assert health.oldest_seconds is not None
    assert health.oldest_seconds >= 0
    assert "SQLITE_BUSY" in (health.last_error or "")
    holder.execute("ROLLBACK")
    assert await manager.result(task_id) is True
    assert manager.health() == WELL


async def test_trouble_ends_though_nobody_submits_any_more(
    manager: TaskManager, holder: sqlite3.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a refused submission was all, the manager finds out by itself that the journal takes writes again."""
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalError, match="SQLITE_BUSY"):
        await manager.submit(asyncio.sleep(0))
    assert not manager.health().is_writable
    holder.execute("ROLLBACK")
    await until(lambda: manager.health() == WELL)
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "takes writes again" in warnings[1]


async def test_a_journal_that_was_taken_away_is_noticed(manager: TaskManager, journal: Path) -> None:
    """Nothing is written into a file that nobody can open any more; what happened waits until it is back."""
    go = asyncio.Event()
    task_id = await manager.submit(go.wait())
    away = journal.with_name("away.db")
    journal.rename(away)
    with pytest.raises(JournalError, match="deleted or replaced"):
        await manager.submit(asyncio.sleep(0))
    go.set()
    await until(lambda: manager.health().unwritten == 1)
    journal.touch()
    with pytest.raises(JournalError, match="deleted or replaced"):
        await manager.submit(asyncio.sleep(0))
    journal.unlink()
    away.rename(journal)
    assert await manager.result(task_id) is True
    await until(lambda: manager.health() == WELL)
    assert [info.status for info in manager.list_tasks()] == [TaskStatus.COMPLETED]
