"""The user's guide, section by section: what it says one can do can be done."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskInfo, TaskManager, TaskStatus
from tests.conftest import until


def look(manager: TaskManager, task_id: str) -> TaskInfo:
    """A task that is there."""
    info = manager.get_task_info(task_id)
    assert info is not None
    return info


async def test_overview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any setting: start, submit, look at the status, wait, look at the result, stop."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AILF_JOURNAL", raising=False)
    manager = TaskManager()
    await manager.start()
    bell = asyncio.Event()

    async def kettle() -> str:
        await bell.wait()
        return "tea is ready"

    task_id = await manager.submit(kettle())
    assert look(manager, task_id).status == TaskStatus.RUNNING
    bell.set()
    await until(lambda: look(manager, task_id).status == TaskStatus.COMPLETED)
    assert look(manager, task_id).result == "tea is ready"
    await manager.stop()
    assert (tmp_path / "ailf_tasks.db").is_file()


async def test_overview_coordinates_several_tasks(manager: TaskManager) -> None:
    """Tasks run at the same time: each waits for what the other one does."""
    left, right = asyncio.Event(), asyncio.Event()

    async def tick() -> str:
        left.set()
        await right.wait()
        return "tick"

    async def tock() -> str:
        right.set()
        await left.wait()
        return "tock"

    ids = [await manager.submit(tick()), await manager.submit(tock())]
    assert [await manager.wait_for_task(task_id) for task_id in ids] == ["tick", "tock"]


async def test_status(journal: Path) -> None:
    """A task can be seen in each of its five states, whose members compare equal to their words."""
    async with TaskManager(journal, max_concurrency=1) as manager:
        gate = asyncio.Event()

        async def explode() -> None:
            raise RuntimeError("boom")

        first = await manager.submit(gate.wait())
        second = await manager.submit(explode())
        third = await manager.submit(asyncio.Event().wait())
        assert look(manager, first).status == TaskStatus.RUNNING
        assert look(manager, second).status == TaskStatus.PENDING
        gate.set()
        await manager.wait_for_task(second)
        await manager.cancel_task(third)
        assert look(manager, first).status == TaskStatus.COMPLETED
        assert look(manager, second).status == TaskStatus.FAILED
        assert look(manager, second).error == "boom"
        assert look(manager, third).status == TaskStatus.CANCELLED
        assert [str(look(manager, one).status) for one in (first, second, third)] == [
            "completed",
            "failed",
            "cancelled",
        ]


async def test_timeouts(manager: TaskManager) -> None:
    """A task past its limit is FAILED with an error that tells of the time; one in time is not touched."""
    late = await manager.submit(asyncio.sleep(3600, "too late"), timeout=0.05)
    early = await manager.submit(asyncio.sleep(0, "in time"), timeout=3600)
    await until(lambda: look(manager, late).status == TaskStatus.FAILED)
    assert look(manager, late).error == "Task timed out after 0.05 seconds"
    assert look(manager, late).result is None
    await manager.wait_for_task(early)
    assert look(manager, early).result == "in time"


async def test_progress(manager: TaskManager) -> None:
    """A task reports under the id that its own submission gave, and each report can be seen from outside."""
    steps: asyncio.Queue[None] = asyncio.Queue()
    seen = []

    async def climb() -> str:
        for step in range(1, 5):
            await steps.get()
            manager.update_progress(task_id, step * 25)
        return "on top"

    task_id = await manager.submit(climb())
    assert look(manager, task_id).progress == 0
    for step in range(1, 5):
        steps.put_nowait(None)
        await until(lambda step=step: look(manager, task_id).progress == step * 25)  # type: ignore[misc]
        seen.append(f"{look(manager, task_id).progress}%")
    assert seen == ["25%", "50%", "75%", "100%"]
    assert await manager.wait_for_task(task_id) == "on top"


async def test_cancellation(manager: TaskManager) -> None:
    """A running task is cancelled, cleans up after itself, and the caller learns that it was."""
    state = []

    async def borrow() -> None:
        state.append("borrowed")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            state.append("given back")
            raise

    task_id = await manager.submit(borrow())
    await until(lambda: state)
    assert await manager.cancel_task(task_id)
    assert state == ["borrowed", "given back"]
    assert look(manager, task_id).status == TaskStatus.CANCELLED
    assert not await manager.cancel_task(task_id)


async def test_waiting(manager: TaskManager) -> None:
    """A wait gives the result, or None where there is none in time; a later wait still gets it."""
    gate = asyncio.Event()

    async def add() -> int:
        await gate.wait()
        return 1 + 1

    task_id = await manager.submit(add())
    assert await manager.wait_for_task(task_id, timeout=0.01) is None
    gate.set()
    assert await manager.wait_for_task(task_id, timeout=3600) == 2
    assert await manager.wait_for_task(task_id) == 2


async def test_metadata(manager: TaskManager) -> None:
    """What is attached to a task can be read and searched for."""
    attached: dict[str, Any] = {"tenant": "north", "urgent": True, "tags": ["a", "b"]}
    task_id = await manager.submit(asyncio.sleep(0), metadata=attached)
    other = await manager.submit(asyncio.sleep(0))
    assert look(manager, task_id).metadata == attached
    assert look(manager, other).metadata == {}
    assert [info.id for info in manager.list_tasks(metadata={"tenant": "north"})] == [task_id]


async def test_listing(journal: Path) -> None:
    """All tasks are listed, or those in one state, in order of submission."""
    async with TaskManager(journal, max_concurrency=2) as manager:
        ids = [await manager.submit(asyncio.Event().wait()) for _ in range(5)]
        assert [info.id for info in manager.list_tasks()] == ids
        assert [info.id for info in manager.list_tasks(status=TaskStatus.RUNNING)] == ids[:2]
        assert len(manager.list_tasks(status=TaskStatus.PENDING)) == 3
        assert manager.list_tasks(status=TaskStatus.FAILED) == []


async def test_errors(manager: TaskManager) -> None:
    """What a task raises is caught and recorded, and disturbs neither the manager nor other tasks."""

    async def divide(by: int) -> float:
        return 1 / by

    bad, good = await manager.submit(divide(0)), await manager.submit(divide(2))
    await until(lambda: look(manager, bad).status == TaskStatus.FAILED)
    assert look(manager, bad).error == "division by zero"
    assert await manager.wait_for_task(good) == 0.5


async def test_cleanup(manager: TaskManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager deletes what ended over an hour ago, in whichever state, and nothing else."""
    minutes = 0

    async def explode() -> None:
        raise RuntimeError("boom")

    def earlier() -> int:
        return time.time_ns() // 1000 - 60_000_000 * minutes

    monkeypatch.setattr("ailf.async_tasks.running.live_task.microseconds", earlier)
    monkeypatch.setattr("ailf.async_tasks.journal.writing.commit._microseconds", earlier)
    kept = []
    for minutes in (61, 50, 0):
        ended = [await manager.submit(asyncio.sleep(0)), await manager.submit(explode())]
        running = await manager.submit(asyncio.sleep(3600))
        cancelled = await manager.submit(asyncio.sleep(3600))
        await manager.cancel_task(cancelled)
        for task_id in ended:
            await manager.wait_for_task(task_id)
        kept += [running] if minutes > 60 else [*ended, running, cancelled]
    await manager.cleanup()
    assert [info.id for info in manager.list_tasks()] == kept


async def test_cleanup_goes_on_by_itself(journal: Path) -> None:
    """Nobody has to ask for it: ended tasks go at the next round."""
    async with TaskManager(journal, retention=0, cleanup_interval=0.02) as manager:
        await manager.submit(asyncio.sleep(0))
        await until(lambda: manager.count_tasks() == 0)


async def test_best_practices(journal: Path) -> None:
    """Stopped in a ``finally``, a manager has ended every task, and a task may handle its own errors."""
    log = []

    async def careful() -> None:
        try:
            int("noted")
        except asyncio.CancelledError:
            raise
        except ValueError as error:
            log.append(str(error))
            raise

    manager = TaskManager(journal)
    await manager.start()
    try:
        task_id = await manager.submit(careful(), timeout=3600)
        forgotten = await manager.submit(asyncio.sleep(3600))
        assert await manager.wait_for_task(task_id) is None
        assert look(manager, task_id).error == log[0]
    finally:
        await manager.stop()
    assert log == ["invalid literal for int() with base 10: 'noted'"]
    async with TaskManager(journal) as again:
        assert look(again, forgotten).status == TaskStatus.CANCELLED
        assert look(again, task_id).status == TaskStatus.FAILED
