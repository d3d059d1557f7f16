"""``wait_for_task`` and ``result``: the end of a task, without disturbing it."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import Reason, TaskManager, TaskStatus
from ailf.errors import (
    AilfError,
    InvalidArgumentError,
    InvalidTypeError,
    ManagerError,
    NotStartedError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    WaitTimeoutError,
)
from tests.conftest import until


async def fail() -> None:
    """Raise."""
    raise LookupError("no such leaf")


async def ended_tasks(manager: TaskManager) -> dict[TaskStatus, str]:
    """A task that has ended in each end state."""
    ids = {
        TaskStatus.COMPLETED: await manager.submit(asyncio.sleep(0, "fine")),
        TaskStatus.FAILED: await manager.submit(fail()),
        TaskStatus.CANCELLED: await manager.submit(asyncio.Event().wait()),
    }
    await manager.cancel_task(ids[TaskStatus.CANCELLED])
    for task_id in ids.values():
        await manager.wait_for_task(task_id)
    return ids


async def test_the_result_of_a_completed_task(manager: TaskManager) -> None:
    """Both calls give what it returned, while it runs and after it has ended, with a limit of 0 too."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    waits = [asyncio.ensure_future(call(task_id)) for call in (manager.wait_for_task, manager.result) for _ in range(3)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*waits) == [True] * 6
    assert await manager.wait_for_task(task_id, timeout=0) is True
    assert await manager.result(task_id, timeout=timedelta(0)) is True


async def test_a_task_without_a_result_has_none(manager: TaskManager) -> None:
    """``wait_for_task`` gives None where it failed, was cancelled, is unknown or returned nothing."""
    ids = await ended_tasks(manager)
    nothing = await manager.submit(asyncio.sleep(0))
    for task_id in (ids[TaskStatus.FAILED], ids[TaskStatus.CANCELLED], "unknown", nothing):
        assert await manager.wait_for_task(task_id) is None
    assert await manager.result(nothing) is None


async def test_a_failure_is_raised_with_its_traceback_as_a_note(manager: TaskManager) -> None:
    """The error tells the task, the reason, the error's text and type, and shows where it was raised."""
    task_id = await manager.submit(fail())
    with pytest.raises(TaskFailedError, match="no such leaf") as caught:
        await manager.result(task_id)
    error = caught.value
    assert (error.task_id, error.reason, error.error, error.error_type) == (
        task_id,
        Reason.ERROR,
        "no such leaf",
        "LookupError",
    )
    [note] = error.__notes__
    assert "in fail" in note
    assert note.endswith("LookupError: no such leaf\n")


async def test_a_cancellation_is_raised_with_its_reason(journal: Path) -> None:
    """The error tells who ended the task: somebody, or the stop of its manager; after a restart too."""
    async with TaskManager(journal) as manager:
        cancelled = (await ended_tasks(manager))[TaskStatus.CANCELLED]
        shut_down = await manager.submit(asyncio.Event().wait())
    async with TaskManager(journal) as manager:
        for task_id, reason in ((cancelled, Reason.CANCELLED), (shut_down, Reason.SHUTDOWN)):
            with pytest.raises(TaskCancelledError, match=reason) as caught:
                await manager.result(task_id)
            assert (caught.value.task_id, caught.value.reason) == (task_id, reason)


async def test_an_earlier_run_answers_as_this_one(journal: Path) -> None:
    """After a restart both calls say of each ended task what they said before."""
    async with TaskManager(journal) as manager:
        ids = await ended_tasks(manager)
    async with TaskManager(journal) as manager:
        assert await manager.result(ids[TaskStatus.COMPLETED]) == "fine"
        with pytest.raises(TaskFailedError, match="no such leaf") as caught:
            await manager.result(ids[TaskStatus.FAILED])
        assert "in fail" in caught.value.__notes__[0]
        assert await manager.wait_for_task(ids[TaskStatus.CANCELLED]) is None


async def test_an_unknown_task_is_not_found(manager: TaskManager) -> None:
    """The error is a LookupError that names the id."""
    with pytest.raises(TaskNotFoundError, match="nowhere") as caught:
        await manager.result("nowhere")
    assert isinstance(caught.value, LookupError)
    assert caught.value.task_id == "nowhere"


@pytest.mark.parametrize("timeout", [0, 0.01, timedelta(milliseconds=1)])
async def test_a_wait_that_times_out_leaves_the_task_alone(manager: TaskManager, timeout: Any) -> None:
    """The one call gives None, the other raises a TimeoutError; the task runs on to its result."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    assert await manager.wait_for_task(task_id, timeout) is None
    with pytest.raises(TimeoutError, match="runs on") as caught:
        await manager.result(task_id, timeout)
    assert isinstance(caught.value, WaitTimeoutError)
    assert manager.count_tasks(TaskStatus.RUNNING) == 1
    gate.set()
    assert await manager.result(task_id) is True


async def test_a_cancelled_wait_leaves_the_task_alone(manager: TaskManager) -> None:
    """Cancelling one waiter disturbs neither the task nor the other waiters."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    waits = [asyncio.ensure_future(manager.result(task_id)) for _ in range(3)]
    await asyncio.sleep(0)
    waits[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits[1]
    gate.set()
    assert [await waits[0], await waits[2]] == [True, True]


async def test_waits_that_are_over_take_no_memory(manager: TaskManager) -> None:
    """Asking again and again, with a limit, leaves nothing behind at a long task."""
    task_id = await manager.submit(asyncio.Event().wait())
    for _ in range(20):
        assert await manager.wait_for_task(task_id, timeout=0) is None
    assert manager._session is not None
    task = manager._session.live.find(task_id)
    assert task is not None
    assert len(task.waiters) == 0


async def test_a_task_cannot_wait_for_itself(manager: TaskManager) -> None:
    """Both calls, on the own id, are an error that says so, and no deadlock."""

    async def narcissus() -> list[str]:
        errors = []
        for call in (manager.wait_for_task, manager.result):
            with pytest.raises(ManagerError) as caught:
                await call("self")
            errors.append(str(caught.value))
        return errors

    await manager.submit(narcissus(), task_id="self")
    for message in await manager.result("self"):
        assert "waits for its own end" in message


async def test_a_task_may_wait_for_another(manager: TaskManager) -> None:
    """A task that submits another one gets its result."""

    async def outer() -> Any:
        return await manager.result(await manager.submit(asyncio.sleep(0, "inner")))

    assert await manager.result(await manager.submit(outer())) == "inner"


async def test_a_wait_begins_before_the_task_does(journal: Path) -> None:
    """A task that waits for a slot can be waited for, through its start to its end."""
    async with TaskManager(journal, max_concurrency=1) as manager:
        gate = asyncio.Event()
        await manager.submit(gate.wait())
        wait = asyncio.ensure_future(manager.result(await manager.submit(asyncio.sleep(0, "second"))))
        await asyncio.sleep(0)
        gate.set()
        assert await wait == "second"


async def test_the_task_of_another_process_is_waited_for(journal: Path) -> None:
    """A manager waits for a task that another one runs on the same journal."""
    async with TaskManager(journal) as worker, TaskManager(journal) as onlooker:
        gate = asyncio.Event()
        task_id = await worker.submit(gate.wait())
        assert await onlooker.wait_for_task(task_id, timeout=0) is None
        wait = asyncio.ensure_future(onlooker.result(task_id))
        await asyncio.sleep(0)
        gate.set()
        assert await wait is True


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        (-1, InvalidArgumentError),
        (float("nan"), InvalidArgumentError),
        ("5", InvalidTypeError),
        (True, InvalidTypeError),
    ],
)
async def test_a_wait_has_a_length(manager: TaskManager, timeout: Any, error: type[AilfError]) -> None:
    """A limit that is no length of time is refused by both calls."""
    for call in (manager.wait_for_task, manager.result):
        with pytest.raises(error):
            await call("x", timeout=timeout)


async def test_nothing_is_waited_for_before_start(journal: Path) -> None:
    """A manager that is not started says so."""
    manager = TaskManager(journal)
    for call in (manager.wait_for_task, manager.result, manager.cancel_task):
        with pytest.raises(NotStartedError):
            await call("x")


async def test_a_waiter_hears_of_a_stop(journal: Path) -> None:
    """Who waits when the manager stops learns that the task was cancelled."""
    manager = TaskManager(journal)
    await manager.start()
    task_id = await manager.submit(asyncio.Event().wait())
    wait = asyncio.ensure_future(manager.result(task_id))
    await asyncio.sleep(0)
    await manager.stop()
    await until(wait.done)
    with pytest.raises(TaskCancelledError, match="shutdown"):
        await wait
