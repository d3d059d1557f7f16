"""Start and stop: what a manager opens, what it leaves, and who may call it when."""

import asyncio
import contextlib
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
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
)
from tests.conftest import until


def statuses(journal: Path) -> list[tuple[str, str | None]]:
    """The states in the file, and the reasons for them."""
    with closing(sqlite3.connect(journal)) as connection:
        return connection.execute("SELECT status, reason FROM tasks ORDER BY rowid").fetchall()


async def test_start_and_stop_are_idempotent(journal: Path) -> None:
    """Each may be called again, at the same time too, and before the other."""
    manager = TaskManager(journal)
    await manager.stop()
    assert not journal.exists()
    await asyncio.gather(manager.start(), manager.start(), manager.start())
    await manager.start()
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("SELECT count(*) FROM owners").fetchone() == (1,)
    await asyncio.gather(manager.stop(), manager.stop(), manager.stop())
    await manager.stop()
    with pytest.raises(NotStartedError):
        manager.list_tasks()


async def test_a_stopped_manager_starts_again(journal: Path) -> None:
    """A second start finds what the first run did, and runs new tasks; so does one while stopping."""
    manager = TaskManager(journal)
    await manager.start()
    first = await manager.submit(asyncio.sleep(0, 1))
    await manager.wait_for_task(first)
    await manager.stop()
    await manager.start()
    assert await manager.result(first) == 1
    stopping = asyncio.ensure_future(manager.stop())
    await asyncio.sleep(0)
    await manager.start()
    await stopping
    assert await manager.result(await manager.submit(asyncio.sleep(0, 2))) == 2
    await manager.stop()


async def test_a_stop_leaves_nothing_behind(journal: Path) -> None:
    """After it the journal is one private file, no thread is left, and the owner has a time of its stop."""
    before = set(threading.enumerate())
    async with TaskManager(journal) as manager:
        await manager.wait_for_task(await manager.submit(asyncio.sleep(0)))
        await manager.alist_tasks()
    await until(lambda: set(threading.enumerate()) <= before)
    assert sorted(path.name for path in journal.parent.iterdir()) == ["tasks.db", "tasks.db.owners"]
    assert not list((journal.parent / "tasks.db.owners").glob("*-*.lock"))
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("SELECT count(*) FROM owners WHERE stopped_at IS NULL").fetchone() == (0,)


async def test_a_stop_ends_every_task(journal: Path) -> None:
    """Running tasks unwind, waiting ones never start, all end CANCELLED for the shutdown, and it is written."""
    log: list[str] = []

    async def work() -> None:
        try:
            log.append("started")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            log.append("unwound")

    async with TaskManager(journal, max_concurrency=2) as manager:
        for _ in range(5):
            await manager.submit(work())
        await until(lambda: len(log) == 2)
    assert log == ["started"] * 2 + ["unwound"] * 2
    assert statuses(journal) == [("cancelled", "shutdown")] * 5
    with closing(sqlite3.connect(journal)) as connection:
        rows = connection.execute("SELECT count(*) FROM task_events WHERE kind = 'started'").fetchone()
    assert rows == (2,)


@pytest.mark.parametrize("drain", [30, 30.5, timedelta(minutes=1)])
async def test_a_drain_lets_running_tasks_finish(journal: Path, drain: Any) -> None:
    """Tasks that end in time keep their own end; those that wait for a slot are cancelled at once; none is taken."""
    manager = TaskManager(journal, max_concurrency=1)
    await manager.start()
    gate = asyncio.Event()
    running = await manager.submit(gate.wait())
    waiting = await manager.submit(asyncio.sleep(0))
    stopping = asyncio.ensure_future(manager.stop(drain))
    assert await manager.wait_for_task(waiting) is None
    assert not stopping.done()
    refused = asyncio.sleep(0)
    with pytest.raises(NotStartedError, match="stopping"):
        await manager.submit(refused)
    assert manager.update_progress(running, 50)
    gate.set()
    await stopping
    assert statuses(journal) == [("completed", None), ("cancelled", "shutdown")]


async def test_a_drain_has_an_end(journal: Path) -> None:
    """What runs on past the drain is cancelled."""
    manager = TaskManager(journal)
    await manager.start()
    await manager.submit(asyncio.Event().wait())
    await manager.stop(drain=0.02)
    assert statuses(journal) == [("cancelled", "shutdown")]


@pytest.mark.parametrize(
    ("drain", "error"), [(-1, InvalidArgumentError), (float("nan"), InvalidArgumentError), ("1", InvalidTypeError)]
)
async def test_a_drain_is_a_length_of_time(manager: TaskManager, drain: Any, error: type[AilfError]) -> None:
    """Anything else is refused, and the manager goes on."""
    with pytest.raises(error):
        await manager.stop(drain)
    assert await manager.result(await manager.submit(asyncio.sleep(0, "on"))) == "on"


async def test_a_task_that_completes_while_it_is_cancelled_has_completed(journal: Path) -> None:
    """How a task ends in a stop is its own affair: a result is kept, an error too."""

    async def returns() -> str:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "made it"

    async def raises() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("on the way out")

    async with TaskManager(journal) as manager:
        await manager.submit(returns())
        await manager.submit(raises())
        await asyncio.sleep(0)
    assert statuses(journal) == [("completed", None), ("failed", "error")]


async def test_a_task_that_does_not_end_is_given_up(
    journal: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stop does not wait for ever for a task that swallows every cancellation; it says so."""
    monkeypatch.setattr("ailf.async_tasks.running.live.GRACE_SECONDS", 0.05)
    gate = asyncio.Event()

    async def stubborn() -> None:
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    manager = TaskManager(journal)
    await manager.start()
    await manager.submit(stubborn(), name="mule")
    await asyncio.sleep(0)
    await manager.stop()
    assert statuses(journal) == [("failed", "shutdown")]
    assert "mule" in caplog.text
    gate.set()
    await asyncio.sleep(0)


async def test_a_stop_inside_of_a_task_is_refused(manager: TaskManager) -> None:
    """It would wait for its own end: a clear error, and the manager goes on."""
    task_id = await manager.submit(manager.stop())
    assert await manager.wait_for_task(task_id) is None
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.error_type == "ailf.errors.ManagerError"
    assert "inside task" in (info.error or "")
    assert await manager.result(await manager.submit(asyncio.sleep(0, "on"))) == "on"


async def test_a_cancelled_stop_goes_on(journal: Path) -> None:
    """Who stops waiting for a stop does not call it back."""
    manager = TaskManager(journal)
    await manager.start()
    await manager.submit(asyncio.Event().wait())
    stopping = asyncio.ensure_future(manager.stop())
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await manager.stop()
    assert statuses(journal) == [("cancelled", "shutdown")]
    with pytest.raises(NotStartedError):
        manager.list_tasks()


async def test_a_cancelled_start_ends_in_one_state(journal: Path) -> None:
    """A stop right behind a start that was cancelled finds the manager started, and ends it."""
    manager = TaskManager(journal)
    starting = asyncio.ensure_future(manager.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await manager.stop()
    with pytest.raises(NotStartedError):
        manager.list_tasks()
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("SELECT count(*) FROM owners WHERE stopped_at IS NULL").fetchone() == (0,)


async def test_a_cancelled_block_leaves_nothing_open(journal: Path) -> None:
    """``async with`` that is cancelled while it starts stops what it has started."""
    before = set(threading.enumerate())

    async def block() -> None:
        async with TaskManager(journal):
            await asyncio.Event().wait()

    running = asyncio.ensure_future(block())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(lambda: set(threading.enumerate()) <= before)
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("SELECT count(*) FROM owners WHERE stopped_at IS NULL").fetchone() == (0,)


async def test_the_block_stops_whatever_happens_in_it(journal: Path) -> None:
    """An error in the block comes out of it, with every task ended."""

    async def block() -> None:
        async with TaskManager(journal) as manager:
            await manager.submit(asyncio.Event().wait())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await block()
    assert statuses(journal) == [("cancelled", "shutdown")]


async def test_a_stop_does_not_wait_behind_functions(journal: Path) -> None:
    """With every thread of the loop's pool taken by functions that cannot be cancelled, start and stop work."""
    gate = threading.Event()
    pool = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(pool)
    try:
        async with TaskManager(journal) as manager:
            await manager.submit(gate.wait)
            await until(pool._work_queue.empty)
        assert statuses(journal) == [("cancelled", "shutdown")]
        async with TaskManager(journal) as manager:
            assert manager.list_tasks()[0].reason is Reason.SHUTDOWN
    finally:
        gate.set()


async def test_a_clean_up_that_a_stop_overtakes_ends(journal: Path) -> None:
    """It is done, or an error says that the manager stops; it does not wait for ever."""
    for turns in range(6):
        manager = TaskManager(journal)
        await manager.start()
        cleaning = asyncio.ensure_future(manager.cleanup())
        for _ in range(turns):
            await asyncio.sleep(0)
        await manager.stop()
        await until(cleaning.done)
        assert cleaning.exception() is None or isinstance(cleaning.exception(), AilfError)


async def test_a_task_may_not_stop_but_start(manager: TaskManager) -> None:
    """``start`` inside a task of a started manager does nothing; ManagerError is a RuntimeError."""
    task_id = await manager.submit(manager.start())
    assert await manager.result(task_id) is None
    assert issubclass(ManagerError, RuntimeError)
    assert manager.count_tasks(TaskStatus.COMPLETED) == 1
