"""``cleanup``, ``retention`` and ``cleanup_interval``: what is deleted, and when."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.errors import JournalError
from tests.conftest import first_round, patience, until


async def end_in_each_state(manager: TaskManager) -> None:
    """Have a task in each end state."""

    async def fail() -> None:
        raise ValueError

    for task_id in [await manager.submit(asyncio.sleep(0)), await manager.submit(fail())]:
        await manager.wait_for_task(task_id)
    await manager.cancel_task(await manager.submit(asyncio.Event().wait()))


@pytest.mark.parametrize(
    ("retention", "left"),
    [
        (0, []),
        (timedelta(0), []),
        (3600, ["completed", "failed", "cancelled"]),
        (None, ["completed", "failed", "cancelled"]),
        (timedelta(days=1_000_000), ["completed", "failed", "cancelled"]),
        ({"completed": 0}, ["failed", "cancelled"]),
        ({TaskStatus.FAILED: 0, "CANCELLED": timedelta(0), "completed": None}, ["completed"]),
        ({TaskStatus.FAILED: timedelta(hours=1), "cancelled": 0}, ["completed", "failed"]),
        ({}, ["completed", "failed", "cancelled"]),
    ],
)
async def test_each_end_state_is_kept_for_its_time(journal: Path, retention: Any, left: list[str]) -> None:
    """A round deletes what has been kept long enough, and says how many tasks that were; events go along."""
    async with TaskManager(journal, retention=retention) as manager:
        await end_in_each_state(manager)
    async with TaskManager(journal) as manager:
        await manager.cleanup()
        assert [str(info.status) for info in manager.list_tasks()] == left
    with closing(sqlite3.connect(journal)) as connection:
        [(orphans,)] = connection.execute(
            "SELECT count(*) FROM task_events WHERE task_id NOT IN (SELECT id FROM tasks)"
        )
    assert orphans == 0


async def test_a_round_says_how_many_it_deleted(journal: Path) -> None:
    """The number is that of the tasks, over however many steps; unfinished ones are never among them."""
    async with TaskManager(journal, retention=None) as manager:
        await first_round(manager)
        ids = await asyncio.gather(*(manager.submit(asyncio.sleep(0)) for _ in range(450)))
        await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
        running = await manager.submit(asyncio.Event().wait())
        with closing(sqlite3.connect(journal)) as connection, connection:
            connection.execute("""UPDATE owners SET retention = '{"completed": 0}'""")
        assert await manager.cleanup() == 450
        assert await manager.cleanup() == 0
        assert [info.id for info in manager.list_tasks()] == [running]


async def test_rounds_come_at_the_interval(journal: Path) -> None:
    """The first at the start, the next ones by themselves, until the stop."""
    async with TaskManager(journal, retention=0, cleanup_interval=timedelta(milliseconds=10)) as manager:
        for _ in range(3):
            await manager.submit(asyncio.sleep(0))
            await until(lambda: manager.count_tasks() == 0)


async def test_a_round_that_fails_is_followed_by_others(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A journal that is locked for a while costs a round, and a line in the log, but not the clean-up."""
    async with TaskManager(journal, retention=0, cleanup_interval=0.01) as manager:
        task_id = await manager.submit(asyncio.Event().wait())
        with patience(0.01), closing(sqlite3.connect(journal, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalError, match="locked"):
                await manager.cleanup()
            await until(lambda: "clean-up failed" in caplog.text)
            other.execute("ROLLBACK")
        await manager.cancel_task(task_id)
        await until(lambda: manager.count_tasks() == 0)
