"""The first four promises of the design, each with the tests that fail where it is broken."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.async_tasks.session import Session
from tests.conftest import patience, until


def query(journal: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What a connection that knows nothing of ailf reads."""
    with closing(sqlite3.connect(journal)) as connection:
        return connection.execute(sql, values).fetchall()


def session_of(manager: TaskManager) -> Session:
    """The inside of a started manager."""
    assert manager._session is not None
    return manager._session


@contextmanager
def locked(journal: Path, *, gives_up_soon: bool = False) -> Iterator[None]:
    """Hold the journal's write lock; whether managers give up waiting for it soon can be chosen."""
    gives_up = patience(0.05) if gives_up_soon else nullcontext()
    with gives_up, closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def test_promise_2_a_task_has_started_when_its_first_line_could_run(journal: Path) -> None:
    """Behind a stranger's lock, that is when the lock is free and not when the task was submitted."""
    async with TaskManager(journal) as manager:
        with locked(journal):
            submission = asyncio.ensure_future(manager.submit(asyncio.Event().wait()))
            await until(lambda: manager.health().unwritten > 0)
            before = datetime.now(UTC)
            await until(lambda: datetime.now(UTC) > before)
            free = datetime.now(UTC)
        [(created_at, started_at)] = query(
            journal, "SELECT created_at, started_at FROM tasks WHERE id = ?", await submission
        )
    assert datetime.fromisoformat(created_at) <= before < free <= datetime.fromisoformat(started_at)


async def test_promise_1_write_ahead_submit(journal: Path) -> None:
    """``submit`` does not return before another connection can see the task, waiting for a slot or running."""
    async with TaskManager(journal, max_concurrency=1) as manager:
        for expected in ("running", "pending"):
            with locked(journal):
                submission = asyncio.ensure_future(manager.submit(asyncio.Event().wait()))
                assert await manager.alist_tasks(expected) == []
                assert not submission.done()
            task_id = await submission
            assert query(journal, "SELECT status FROM tasks WHERE id = ?", task_id) == [(expected,)]


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a wait for a slot"])
@pytest.mark.parametrize("threaded", [False, True], ids=["coroutine", "function"])
async def test_promise_1_write_ahead_start(journal: Path, *, threaded: bool, waits: bool) -> None:
    """In the first line of a task, another connection sees it RUNNING."""

    def first_line() -> list[tuple[Any, ...]]:
        return query(journal, "SELECT status, started_at IS NOT NULL FROM tasks WHERE id = 'x'")

    async def coroutine() -> list[tuple[Any, ...]]:
        return first_line()

    async with TaskManager(journal, max_concurrency=1) as manager:
        gate = asyncio.Event()
        if waits:
            await manager.submit(gate.wait())
        await manager.submit(first_line if threaded else coroutine(), task_id="x")
        gate.set()
        assert await manager.result("x") == [("running", 1)]


async def test_promise_1_write_ahead_end(manager: TaskManager, journal: Path) -> None:
    """When a waiter wakes, another connection sees the end state, the result and the error."""

    async def fail() -> None:
        raise ValueError("bad")

    for work, expected in (
        (asyncio.sleep(0, [1]), ("completed", "[1]", None)),
        (fail(), ("failed", None, "bad")),
    ):
        task_id = await manager.submit(work)
        await manager.wait_for_task(task_id)
        assert query(journal, "SELECT status, result, error FROM tasks WHERE id = ?", task_id) == [expected]
    task_id = await manager.submit(asyncio.Event().wait())
    assert await manager.cancel_task(task_id)
    assert query(journal, "SELECT status, reason FROM tasks WHERE id = ?", task_id) == [("cancelled", "cancelled")]


async def test_promise_1_no_read_runs_ahead_of_the_journal(manager: TaskManager, journal: Path) -> None:
    """While an end cannot be written, no read shows it and no waiter hears of it."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    waiter = asyncio.create_task(manager.wait_for_task(task_id))
    with locked(journal):
        gate.set()
        await until(lambda: session_of(manager).live._tasks[task_id].outcome is not None)
        info = manager.get_task_info(task_id)
        assert info is not None
        assert (info.status, info.result) == (TaskStatus.RUNNING, None)
        assert manager.list_tasks(TaskStatus.COMPLETED) == await manager.alist_tasks("completed") == []
        assert not waiter.done()
        assert await manager.wait_for_task(task_id, timeout=0) is None
    assert await waiter is True
    assert len(manager.list_tasks(TaskStatus.COMPLETED)) == 1


async def test_promise_2_every_event_is_kept(manager: TaskManager, journal: Path) -> None:
    """Each transition and each report that changes something is a row, in order; a repetition is none."""

    async def work() -> int:
        for progress, message in ((10, None), (10, None), (10, "slow"), (10, "slow"), (60.5, None), (60.5, "slow")):
            manager.update_progress("x", progress, message)
        return 1

    await manager.submit(work(), task_id="x")
    await manager.result("x")
    assert query(journal, "SELECT kind, progress, message FROM task_events WHERE task_id = 'x' ORDER BY seq") == [
        ("submitted", None, None),
        ("started", None, None),
        ("progress", 10, None),
        ("progress", 10, "slow"),
        ("progress", 60.5, "slow"),
        ("completed", None, None),
    ]


async def test_promise_2_events_and_rows_in_one_transaction(manager: TaskManager, journal: Path) -> None:
    """At every commit that another connection can see, each task's row agrees with its last event."""
    agrees = """
        SELECT tasks.id FROM tasks JOIN task_events ON task_events.seq =
            (SELECT max(seq) FROM task_events WHERE task_id = tasks.id)
        WHERE NOT CASE tasks.status
            WHEN 'pending' THEN kind IN ('submitted', 'progress') WHEN 'running' THEN kind IN ('started', 'progress')
            ELSE kind = tasks.status END
        OR (kind = 'progress' AND task_events.progress <> tasks.progress)
        UNION ALL SELECT id FROM tasks WHERE NOT EXISTS (SELECT 1 FROM task_events WHERE task_id = tasks.id)"""
    looks = 0
    over = threading.Event()

    def look() -> list[tuple[Any, ...]]:
        nonlocal looks
        with closing(sqlite3.connect(journal)) as connection:
            while not over.is_set():
                if wrong := connection.execute(agrees).fetchall():
                    return wrong
                looks += 1
        return []

    async def work(task_id: str) -> None:
        for step in range(1, 11):
            manager.update_progress(task_id, step)
            await asyncio.sleep(0)

    looking = asyncio.create_task(asyncio.to_thread(look))
    ids = await asyncio.gather(*(manager.submit(work(str(n)), task_id=str(n)) for n in range(60)))
    await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
    await until(lambda: looks > 3 or looking.done())
    over.set()
    assert await looking == []


async def test_promise_3_read_your_own_writes(manager: TaskManager, journal: Path) -> None:
    """Progress shows in the very next read, from the loop and from a thread, while it cannot be written."""
    task_id = await manager.submit(asyncio.Event().wait())

    def report(progress: float) -> list[tuple[float, str | None]]:
        assert manager.update_progress(task_id, progress, f"at {progress}") is True
        info = manager.get_task_info(task_id)
        assert info is not None
        return [(one.progress, one.progress_message) for one in (info, *manager.list_tasks())]

    with locked(journal):
        assert report(20) == [(20, "at 20")] * 2
        assert await asyncio.to_thread(report, 40.5) == [(40.5, "at 40.5")] * 2
        assert query(journal, "SELECT progress FROM tasks") == [(0,)]
        assert [one.progress for one in await manager.alist_tasks()] == [40.5]
    await until(lambda: query(journal, "SELECT progress FROM tasks") == [(40.5,)])
    assert [event.progress for event in manager.get_task_events(task_id)][2:] == [20, 40.5]


async def test_promise_4_a_dead_owner_leaves_no_task_unfinished(journal: Path) -> None:
    """The tasks of an owner whose lock is free are failed at the next start; a living one's are let be."""
    async with TaskManager(journal) as living:
        theirs = await living.submit(asyncio.Event().wait())
        dead = TaskManager(journal)
        await dead.start()
        kept = await dead.submit(asyncio.sleep(0, "kept"))
        assert await dead.result(kept) == "kept"
        lost = await dead.submit(asyncio.Event().wait())
        # What the kernel does when a process dies.
        session_of(dead).journal._lock.release(remove=False)
        async with TaskManager(journal) as third:
            info = third.get_task_info(lost)
            assert info is not None
            assert (info.status, info.reason) == (TaskStatus.FAILED, "process_died")
            assert "ended before the task did" in (info.error or "")
            assert third.list_tasks("running") == living.list_tasks("running")
            assert [one.id for one in third.list_tasks("running")] == [theirs]
            assert await third.result(kept) == "kept"
        await dead.stop()
