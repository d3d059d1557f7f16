"""Tasks of another owner on the same journal: waited for, watched and cancelled from here."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager, TaskStatus, current_task
from ailf.errors import NotStartedError, TaskCancelledError, TaskFailedError, WaitTimeoutError
from tests.conftest import PATIENCE_SECONDS, until


@pytest.fixture
async def other(journal: Path) -> AsyncIterator[TaskManager]:
    """Another manager on the journal: an owner of its own, whichever process it is in."""
    async with TaskManager(journal) as started:
        yield started


async def test_the_result_of_another_s_task_is_waited_for(manager: TaskManager, other: TaskManager) -> None:
    """Both calls wake when the other's task has ended, and tell how."""
    go = asyncio.Event()

    async def work(error: Exception | None) -> dict[str, int]:
        await go.wait()
        if error is not None:
            raise error
        return {"answer": 42}

    good, bad = [await other.submit(work(error)) for error in (None, ValueError("no"))]
    waits = [manager.wait_for_task(good), manager.result(good), manager.result(bad), manager.wait_for_task(bad)]
    together = asyncio.gather(*waits, return_exceptions=True)
    with pytest.raises(WaitTimeoutError):
        await manager.result(good, timeout=0.01)
    assert await manager.wait_for_task(good, timeout=0.01) is None
    info = manager.get_task_info(good)
    assert info is not None
    assert info.status is TaskStatus.RUNNING
    go.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        waited, result, failure, nothing = await together
    assert waited == result == {"answer": 42}
    assert isinstance(failure, TaskFailedError)
    assert failure.error == "no"
    assert nothing is None


async def test_another_s_task_is_watched_to_its_end(manager: TaskManager, other: TaskManager) -> None:
    """Its events come as they are written, and the iteration ends behind the last."""
    step = asyncio.Event()

    async def work() -> None:
        for number in (1, 2):
            await step.wait()
            step.clear()
            current_task().update_progress(50 * number, f"step {number}")

    task_id = await other.submit(work())
    step.set()
    kinds = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for event in manager.watch(task_id):
            kinds.append(str(event.kind))
            if event.kind == "progress":
                step.set()
    assert kinds == ["submitted", "started", "progress", "progress", "completed"]


async def test_another_s_task_is_cancelled(manager: TaskManager, other: TaskManager, journal: Path) -> None:
    """The owner does it, the caller is told when it is done, and the row says when it was asked."""
    task_id = await other.submit(partial(asyncio.sleep, 3600))
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await manager.cancel_task(task_id) is True
        with pytest.raises(TaskCancelledError) as cancelled:
            await other.result(task_id)
    assert cancelled.value.reason == "cancelled"
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.status is TaskStatus.CANCELLED
    assert info.cancel_requested_at is not None
    assert info.completed_at is not None
    assert info.created_at <= info.cancel_requested_at <= info.completed_at
    assert await manager.cancel_task(task_id) is False


async def test_another_s_task_that_waits_for_a_slot_never_starts(manager: TaskManager, journal: Path) -> None:
    """A pending one is ended where it waits."""
    async with TaskManager(journal, max_concurrency=1) as other, asyncio.timeout(PATIENCE_SECONDS):
        await other.submit(partial(asyncio.sleep, 3600))
        waiting = await other.submit(partial(asyncio.sleep, 3600))
        assert await manager.cancel_task(waiting) is True
        info = manager.get_task_info(waiting)
        assert info is not None
        assert info.started_at is None
        assert other.count_tasks("running") == 1


async def test_a_task_that_will_not_be_cancelled(manager: TaskManager, other: TaskManager) -> None:
    """What ends otherwise, though it was asked, is not said to be cancelled."""

    async def stubborn() -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            return "done all the same"
        return "never"

    task_id = await other.submit(stubborn())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.sleep(0)
        assert await manager.cancel_task(task_id) is False
        assert await manager.result(task_id) == "done all the same"


async def test_a_request_is_obeyed_once(
    manager: TaskManager, other: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that takes its time to unwind is not cancelled again with every commit; asked again, it is."""
    monkeypatch.setattr("ailf.async_tasks.running.live_task.GRACE_SECONDS", 0)
    cancelled = 0
    go = asyncio.Event()

    async def slow() -> None:
        nonlocal cancelled
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                cancelled += 1

    task_id = await other.submit(slow())
    asked = [asyncio.create_task(manager.cancel_task(task_id))]
    await until(lambda: cancelled == 1)
    # Where a later request was obeyed, the owner has seen the first one again.
    assert await manager.cancel_task(await other.submit(partial(asyncio.sleep, 3600))) is True
    assert cancelled == 1
    asked.append(asyncio.create_task(manager.cancel_task(task_id)))
    await until(lambda: cancelled == 2)
    go.set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await asyncio.gather(*asked) == [False, False]


async def test_no_request_is_written_where_there_is_nothing_to_cancel(manager: TaskManager, journal: Path) -> None:
    """Unknown, ended, or our own: the column stays empty."""
    done = await manager.submit(asyncio.sleep(0))
    await manager.result(done)
    own = await manager.submit(partial(asyncio.sleep, 3600))
    found = [await manager.cancel_task(task_id) for task_id in ("unknown", done, own)]
    assert found == [False, False, True]
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("SELECT count(cancel_requested_at) FROM tasks").fetchone() == (0,)


async def test_a_stop_ends_the_waits_for_others(journal: Path, other: TaskManager) -> None:
    """Nobody here goes on waiting for another's task once the manager that waits has stopped."""
    task_id = await other.submit(partial(asyncio.sleep, 3600))
    manager = TaskManager(journal)
    await manager.start()
    wait = asyncio.create_task(manager.wait_for_task(task_id))
    await asyncio.sleep(0)
    await manager.stop()
    with pytest.raises(NotStartedError, match="stopped while"):
        await asyncio.wait_for(wait, PATIENCE_SECONDS)


PROGRAM = """
import asyncio, sys
from ailf.async_tasks import TaskManager, current_task

async def endless():
    current_task().update_progress(25, "a quarter")
    await asyncio.Event().wait()

async def main():
    async with TaskManager(sys.argv[1]) as manager:
        for name in ("first", "second"):
            await manager.submit(endless, task_id=name)
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def start(journal: Path) -> subprocess.Popen[str]:
    """Another process, with two tasks that never end."""
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(journal)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_a_task_of_another_process_is_cancelled_and_a_dead_one_s_is_not(journal: Path) -> None:
    """A real process obeys; of one that was killed, the task is found FAILED instead."""
    process = start(journal)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        async with TaskManager(journal, cleanup_interval=3600) as manager, asyncio.timeout(PATIENCE_SECONDS):
            assert await manager.cancel_task("first") is True
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            assert await manager.cancel_task("second") is False
            info = manager.get_task_info("second")
            assert info is not None
            assert (info.status, info.reason) == (TaskStatus.FAILED, "process_died")
    finally:
        process.kill()
        process.communicate()
