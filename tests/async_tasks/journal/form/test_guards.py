"""The guards of the UPDATEs: what another program did to a task is never overwritten, not even without the triggers."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager
from ailf.errors import TaskFailedError
from tests.async_tasks.journal.support import OWNER, insert
from tests.conftest import PATIENCE_SECONDS, until

FAR_FUTURE = "2999-01-01T00:00:00.000000Z"
FAIL = "UPDATE tasks SET status = 'failed', reason = 'error', error = 'elsewhere', completed_at = ? WHERE id = ?"
START = "UPDATE tasks SET status = 'running', started_at = ? WHERE id = ?"
TRIGGERS = ("tasks_end_once", "tasks_follow_transitions")


def by_a_stranger(journal: Path, *statements: tuple[str, tuple[str, ...]]) -> None:
    """Write to the journal as another program would."""
    with closing(sqlite3.connect(journal)) as connection, connection:
        for sql, values in statements:
            connection.execute(sql, values)


async def test_an_end_that_another_program_wrote_stays_without_the_triggers(journal: Path) -> None:
    """The UPDATE that ends a task names the state that it expects, and refuses where it is another one."""
    gate = asyncio.Event()
    async with TaskManager(journal) as manager:
        task_id = await manager.submit(gate.wait())
        dropping = [(f"DROP TRIGGER {name}", ()) for name in TRIGGERS]
        by_a_stranger(journal, *dropping, (FAIL, (FAR_FUTURE, task_id)))
        ended = manager.get_task_info(task_id)
        waiting = asyncio.ensure_future(manager.result(task_id, PATIENCE_SECONDS))
        gate.set()
        with pytest.raises(TaskFailedError, match="elsewhere"):
            await waiting
        assert manager.get_task_info(task_id) == ended


async def test_a_task_that_another_program_started_does_not_start_again(journal: Path) -> None:
    """The UPDATE that starts a task names PENDING, and not a line runs where the task is that no more."""
    gate = asyncio.Event()
    ran = []

    async def work(name: str) -> None:
        ran.append(name)

    async with TaskManager(journal, max_concurrency=1) as manager:
        await manager.submit(gate.wait())
        taken = await manager.submit(work("taken"))
        by_a_stranger(
            journal,
            ("UPDATE tasks SET status = 'running', started_at = '2999-01-01T00:00:00.000000Z' WHERE id = ?", (taken,)),
        )
        following = await manager.submit(work("following"))
        gate.set()
        await manager.wait_for_task(following, PATIENCE_SECONDS)
        with closing(sqlite3.connect(journal)) as connection:
            assert connection.execute("SELECT started_at FROM tasks WHERE id = ?", (taken,)).fetchall() == [
                ("2999-01-01T00:00:00.000000Z",)
            ]
    assert ran == ["following"]


async def test_a_task_of_another_owner_is_not_ended(journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The UPDATE names the owner: a task that is another manager's now is left to that one."""
    gate = asyncio.Event()
    async with TaskManager(journal) as manager:
        task_id = await manager.submit(gate.wait())
        with closing(sqlite3.connect(journal)) as connection, connection:
            insert(connection, "owners", OWNER)
            connection.execute("UPDATE tasks SET owner_id = ?", (OWNER["id"],))
        gate.set()
        await until(lambda: f"The end of task {task_id} is not in the journal" in caplog.text)
        info = manager.get_task_info(task_id)
        assert info is not None
        assert info.status == "running"
