"""An id that comes again: whatever a process remembers of its first task, the second is answered for by itself."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.errors import DuplicateTaskError, TaskFailedError, TaskNotFoundError


async def after(gate: asyncio.Event, value: Any) -> Any:
    """Return a value once somebody says so."""
    await gate.wait()
    return value


@pytest.mark.parametrize(("old", "new"), [(("old", 1), ("new", 2)), ("old", "new"), ({"a": 1}, None), ("x" * 500, 1)])
async def test_an_id_that_another_manager_uses_again(journal: Path, old: Any, new: Any) -> None:
    """Deleted, running again, ended again, deleted again: each read and each wait is about the task that is there."""
    gate = asyncio.Event()
    async with TaskManager(journal) as one, TaskManager(journal) as other:
        await one.submit(asyncio.sleep(0, old), task_id="nightly")
        assert await one.result("nightly") == old
        delete(journal)
        assert one.get_task_info("nightly") is None
        with pytest.raises(TaskNotFoundError):
            await one.result("nightly")
        await other.submit(after(gate, new), task_id="nightly")
        assert one.list_tasks()[0].result is None
        assert await one.wait_for_task("nightly", timeout=0.05) is None
        waiting = asyncio.create_task(one.result("nightly"))
        await asyncio.sleep(0)
        gate.set()
        found = await waiting
        assert found in (new, [*new] if isinstance(new, tuple) else new)


async def test_a_failure_that_comes_again(journal: Path) -> None:
    """The cause of the first is no cause of the second."""

    async def fail(error: Exception) -> None:
        raise error

    async with TaskManager(journal) as one, TaskManager(journal) as other:
        await one.submit(fail(ValueError("first")), task_id="x")
        with pytest.raises(TaskFailedError, match="first") as caught:
            await one.result("x")
        assert isinstance(caught.value.__cause__, ValueError)
        delete(journal)
        await other.submit(fail(OSError("second")), task_id="x")
        await other.wait_for_task("x")
        with pytest.raises(TaskFailedError, match="OSError: second") as caught:
            await one.result("x")
        assert caught.value.__cause__ is None
        with pytest.raises(TaskFailedError, match="OSError: second") as caught:
            await other.result("x")
        assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("value", [{1, 2}, 7, object()], ids=["set", "number", "object"])
async def test_a_cancelled_duplicate_spoils_nothing(manager: TaskManager, value: Any) -> None:
    """Neither what the first task keeps in memory nor its row; nor does one that is refused."""
    await manager.submit(asyncio.sleep(0, value), task_id="x")
    assert await manager.result("x") is value
    for _ in range(3):
        duplicate = asyncio.create_task(manager.submit(asyncio.sleep(0, "other"), task_id="x"))
        await asyncio.sleep(0)
        duplicate.cancel()
        await asyncio.gather(duplicate, return_exceptions=True)
        with pytest.raises(DuplicateTaskError):
            await manager.submit(asyncio.sleep(0, "other"), task_id="x")
    assert await manager.result("x") is value
    info = manager.get_task_info("x")
    assert info is not None
    assert (info.status, info.result) == (TaskStatus.COMPLETED, value)
    assert [event.kind for event in manager.get_task_events("x")] == ["submitted", "started", "completed"]


async def test_progress_of_one_is_no_progress_of_the_other(journal: Path) -> None:
    """A task whose row somebody has deleted does not show its progress in the row of the next one."""
    gates = asyncio.Event(), asyncio.Event()
    async with TaskManager(journal) as one, TaskManager(journal) as other:
        await one.submit(after(gates[0], 1), task_id="x")
        delete(journal)
        await other.submit(after(gates[1], 2), task_id="x")
        one.update_progress("x", 50, "of the first")
        info = one.get_task_info("x")
        assert info is not None
        assert (info.progress, info.progress_message) == (0, None)
        for gate in gates:
            gate.set()


def delete(journal: Path) -> None:
    """Delete every task, as somebody with a shell does."""
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("DELETE FROM tasks")
        connection.commit()
