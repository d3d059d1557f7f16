"""The manager on another event loop than asyncio's own."""

import asyncio
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager, TaskStatus, current_task


def test_a_manager_works_on_uvloop(journal: Path) -> None:
    """All that a task can come to, on a loop that many applications choose; the journal is the same."""
    uvloop = pytest.importorskip("uvloop", reason="not for every platform")

    async def report() -> str:
        current_task().update_progress(50, "half")
        await asyncio.sleep(0)
        return "done"

    async def scenario() -> dict[str, TaskStatus]:
        async with TaskManager(journal) as manager:
            await asyncio.gather(*(manager.submit(report(), task_id=f"burst {number}") for number in range(100)))
            await manager.submit(lambda: 1 / 0, task_id="fails")
            await manager.submit(asyncio.sleep(3600), task_id="too long", timeout=0.01)
            await manager.submit(asyncio.sleep(3600), task_id="cancelled")
            assert await manager.cancel_task("cancelled")
            assert await manager.result("burst 99") == "done"
            for task_id in ("fails", "too long"):
                assert await manager.wait_for_task(task_id) is None
            await manager.submit(asyncio.sleep(3600), task_id="stopped")
        async with TaskManager(journal) as manager:
            assert [event.progress for event in manager.get_task_events("burst 0")] == [None, None, 50, None]
            return {info.id: info.status for info in await manager.alist_tasks()}

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        statuses = runner.run(scenario())
    assert {statuses.pop(f"burst {number}") for number in range(100)} == {TaskStatus.COMPLETED}
    assert statuses == {
        "fails": TaskStatus.FAILED,
        "too long": TaskStatus.FAILED,
        "cancelled": TaskStatus.CANCELLED,
        "stopped": TaskStatus.CANCELLED,
    }
