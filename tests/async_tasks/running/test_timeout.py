"""Time limits: of a task, of the manager, and how a task may take them."""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest

from ailf.async_tasks import Reason, TaskInfo, TaskManager, TaskStatus
from ailf.errors import TaskFailedError
from tests.conftest import until


def info_of(manager: TaskManager, task_id: str) -> TaskInfo:
    """A task that is there."""
    info = manager.get_task_info(task_id)
    assert info is not None
    return info


async def stubborn(started: asyncio.Event, gate: asyncio.Event, result: str = "stubborn") -> str:
    """Swallow one cancellation, then wait for the gate and return."""
    started.set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await gate.wait()
    return result


async def test_past_its_limit_a_task_fails(manager: TaskManager) -> None:
    """The limit is in the row, and the error says how long it was; a second is said in the singular."""
    for limit, words in ((0.05, "0.05 seconds"), (1, None)):
        task_id = await manager.submit(asyncio.Event().wait() if words else asyncio.sleep(0), timeout=limit)
        await manager.wait_for_task(task_id)
        info = info_of(manager, task_id)
        assert info.timeout == limit
        if words:
            assert (info.status, info.reason) == (TaskStatus.FAILED, Reason.TIMEOUT)
            assert (info.error, info.error_type) == (f"Task timed out after {words}", "TimeoutError")
        else:
            assert info.status is TaskStatus.COMPLETED


async def test_the_managers_limit_holds_where_a_task_has_none(journal: Path) -> None:
    """``task_timeout`` is the limit of tasks submitted without one; a task's own limit goes before it."""
    async with TaskManager(journal, task_timeout=0.02) as manager:
        gate = asyncio.Event()
        short = await manager.submit(gate.wait())
        long = await manager.submit(gate.wait(), timeout=3600)
        with pytest.raises(TaskFailedError, match="timed out") as caught:
            await manager.result(short)
        assert caught.value.reason == Reason.TIMEOUT
        gate.set()
        assert await manager.result(long) is True
        assert [info.timeout for info in manager.list_tasks()] == [0.02, 3600]


async def test_the_limit_counts_from_the_start(journal: Path) -> None:
    """The time in which a task waits for a slot is not counted."""
    async with TaskManager(journal, max_concurrency=1) as manager:
        first = await manager.submit(asyncio.Event().wait(), timeout=0.1)
        second = await manager.submit(asyncio.sleep(0, "in time"), timeout=0.05)
        assert await manager.wait_for_task(first) is None
        assert await manager.result(second) == "in time"


async def test_a_limit_that_is_swallowed_is_a_timeout_all_the_same(manager: TaskManager) -> None:
    """However a task takes the cancellation at its limit, it has FAILED; what it raised is in the traceback."""
    gate = asyncio.Event()
    gate.set()

    async def raises_another_error() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("in the clean-up")

    swallowed = await manager.submit(stubborn(asyncio.Event(), gate), timeout=0.01)
    raised = await manager.submit(raises_another_error(), timeout=0.01)
    for task_id in (swallowed, raised):
        assert await manager.wait_for_task(task_id) is None
        assert info_of(manager, task_id).reason is Reason.TIMEOUT
    assert "in the clean-up" in (info_of(manager, raised).traceback or "")


async def test_a_timeout_error_of_the_tasks_own_is_an_error(manager: TaskManager) -> None:
    """A TimeoutError that the task raises, with or without a limit, is a plain error."""

    async def work() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    for limit in (None, 3600):
        task_id = await manager.submit(work(), timeout=limit)
        await manager.wait_for_task(task_id)
        info = info_of(manager, task_id)
        assert (info.status, info.reason, info.error_type) == (TaskStatus.FAILED, Reason.ERROR, "TimeoutError")
        assert info.error == "TimeoutError"


async def test_a_cancellation_goes_before_a_limit(manager: TaskManager) -> None:
    """A task that is cancelled, and passes its limit while it unwinds, was cancelled."""
    unwinding, gate = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            unwinding.set()
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    task_id = await manager.submit(work(), timeout=0.2)
    await asyncio.sleep(0)
    assert await manager.cancel_task(task_id) is True
    assert unwinding.is_set()
    assert info_of(manager, task_id).reason is Reason.CANCELLED


async def test_a_function_past_its_limit_is_left_to_its_thread(manager: TaskManager) -> None:
    """The task ends at its limit; the thread runs on, and what it reports or returns counts no more."""
    gate = threading.Event()
    counted: list[bool] = []

    def work() -> str:
        gate.wait()
        counted.append(manager.update_progress(task_id, 50))
        return "late"

    task_id = await manager.submit(work, timeout=0.02)
    assert await manager.wait_for_task(task_id) is None
    assert info_of(manager, task_id).reason is Reason.TIMEOUT
    before = manager.get_task_events(task_id)
    gate.set()
    await until(lambda: counted)
    assert counted == [False]
    assert manager.get_task_events(task_id) == before
    assert info_of(manager, task_id).result is None
