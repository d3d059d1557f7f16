"""The promises of the design, each with the tests that fail where it is broken."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.async_tasks.session import Session
from ailf.errors import JournalError, TaskConflictError, UnwrittenChangesError
from tests.conftest import until


def query(journal: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What a connection that knows nothing of ailf reads."""
    with closing(sqlite3.connect(journal)) as connection:
        return connection.execute(sql, values).fetchall()


def session_of(manager: TaskManager) -> Session:
    """The inside of a started manager."""
    assert manager._session is not None
    return manager._session


@contextmanager
def locked(journal: Path, manager: TaskManager | None = None) -> Iterator[None]:
    """Hold the journal's write lock; the manager, if one is named, gives up waiting for it soon."""
    if manager is not None:
        session_of(manager).journal._connection.execute("PRAGMA busy_timeout=50")
    with closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


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


async def test_promise_5_one_ending(manager: TaskManager, journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A task that another program has ended keeps that end, whatever this process makes of it."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    with closing(sqlite3.connect(journal)) as other:
        other.execute("UPDATE tasks SET status = 'cancelled', reason = 'cancelled', completed_at = started_at")
        other.commit()
    gate.set()
    assert await manager.wait_for_task(task_id) is None
    assert query(journal, "SELECT status, result FROM tasks") == [("cancelled", None)]
    assert [event.kind for event in manager.get_task_events(task_id)] == ["submitted", "started"]
    assert "is not in the journal" in caplog.text
    with (
        closing(sqlite3.connect(journal)) as other,
        pytest.raises(sqlite3.IntegrityError, match="no such transition"),
    ):
        other.execute("UPDATE tasks SET status = 'failed', reason = 'error'")


async def test_promise_5_a_task_that_somebody_ended_never_starts(journal: Path) -> None:
    """A task that waits for a slot and is ended in the journal is not run."""
    ran: list[str] = []

    async def work() -> None:
        ran.append("ran")

    async with TaskManager(journal, max_concurrency=1) as manager:
        gate = asyncio.Event()
        await manager.submit(gate.wait())
        task_id = await manager.submit(work())
        with closing(sqlite3.connect(journal)) as other:
            other.execute(
                "UPDATE tasks SET status = 'cancelled', reason = 'cancelled', completed_at = created_at WHERE id = ?",
                (task_id,),
            )
            other.commit()
        gate.set()
        assert await manager.wait_for_task(task_id) is None
        assert await manager.result(await manager.submit(asyncio.sleep(0, "next"))) == "next"
    assert ran == []


async def test_promise_5_every_update_is_guarded_by_state_and_owner(manager: TaskManager, journal: Path) -> None:
    """A row that belongs to another owner is not ended by this process."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    with closing(sqlite3.connect(journal)) as other:
        other.execute("INSERT INTO owners VALUES ('other', 1, 'host', 'boot', '2026-01-01T00:00:00.000000Z', NULL)")
        other.execute("UPDATE tasks SET owner_id = 'other'")
        other.commit()
    gate.set()
    live = session_of(manager).live
    await until(lambda: live.find(task_id) is None)
    assert query(journal, "SELECT status FROM tasks") == [("running",)]


async def test_promise_6_trouble_with_the_disk_loses_no_outcome(
    manager: TaskManager, journal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While the journal takes no writes, tasks run on and their outcomes wait; new ones are refused unstarted."""
    caplog.set_level(logging.WARNING)
    gates = [asyncio.Event() for _ in range(3)]
    ids = [await manager.submit(gate.wait(), task_id=str(index)) for index, gate in enumerate(gates)]
    started: list[str] = []

    async def refused() -> None:
        started.append("started")

    with locked(journal, manager):
        assert manager.update_progress(ids[0], 50)
        for gate in gates[:2]:
            gate.set()
        live = session_of(manager).live
        await until(lambda: all(live._tasks[one].outcome is not None for one in ids[:2]))
        for _ in range(2):
            with pytest.raises(JournalError, match="locked"):
                await manager.submit(refused())
        await until(lambda: "takes no writes" in caplog.text or "cannot be written" in caplog.text)
        assert query(journal, "SELECT count(*), sum(status = 'running') FROM tasks") == [(3, 3)]
    assert await asyncio.gather(*(manager.wait_for_task(one) for one in ids[:2])) == [True, True]
    gates[2].set()
    assert await manager.result(ids[2]) is True
    kinds = [event.kind for event in manager.get_task_events(ids[0])]
    assert kinds == ["submitted", "started", "progress", "completed"]
    assert started == []
    assert manager.count_tasks() == 3
    assert "takes writes again" in caplog.text


async def test_promise_6_stop_reports_what_it_could_not_write(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``stop`` on a journal that takes no writes says which outcomes are missing; the next start makes up for them."""
    monkeypatch.setattr("ailf.async_tasks.journal.writer.CLOSING_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("ailf.async_tasks.journal.writer.Writer.close.__defaults__", (0.1,))
    manager = TaskManager(journal)
    await manager.start()
    await manager.submit(asyncio.Event().wait(), task_id="x")
    with locked(journal, manager):
        with pytest.raises(UnwrittenChangesError, match="x: cancelled") as caught:
            await manager.stop()
        assert caught.value.unwritten == ("task x: cancelled",)
    async with TaskManager(journal) as again:
        info = again.get_task_info("x")
        assert info is not None
        assert (info.status, info.reason) == (TaskStatus.FAILED, "process_died")


async def test_promise_6_a_bad_record_does_not_fail_its_neighbours(manager: TaskManager, journal: Path) -> None:
    """In one batch, a refused submission leaves those before and behind it written."""
    await manager.submit(asyncio.sleep(0), task_id="taken")
    await manager.wait_for_task("taken")
    calls = [manager.submit(asyncio.sleep(0), task_id=one) for one in ("a", "taken", "b", "c")]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answer for answer in answers if isinstance(answer, str)] == ["a", "b", "c"]
    assert isinstance(answers[1], ValueError)
    assert [one for (one,) in query(journal, "SELECT id FROM tasks ORDER BY rowid")] == ["taken", "a", "b", "c"]


async def test_promise_7_the_event_loop_never_waits_for_a_write(manager: TaskManager, journal: Path) -> None:
    """While another program holds the write lock, the loop turns as before, for every call that writes."""
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    gate = asyncio.Event()
    running = await manager.submit(gate.wait())
    ticker = asyncio.create_task(tick())
    with locked(journal):
        held_up = [
            asyncio.create_task(manager.submit(asyncio.sleep(0, "late"))),
            asyncio.create_task(manager.cleanup()),
            asyncio.create_task(manager.wait_for_task(running)),
        ]
        for progress in range(1, 51):
            assert manager.update_progress(running, progress)
            before = turns
            await until(lambda before=before: turns > before)  # type: ignore[misc]
        gate.set()
        before = turns
        await until(lambda: turns > before + 500)
        assert not any(one.done() for one in held_up)
    late, _, ended = await asyncio.gather(*held_up)
    assert ended is True
    assert await manager.result(late) == "late"
    ticker.cancel()


async def test_promise_8_the_journal_is_legible(manager: TaskManager, journal: Path) -> None:
    """With nothing but SQL one sees what happened: tables, views, times as text, comments in the DDL."""

    async def fail() -> None:
        raise ValueError("no such page")

    await manager.wait_for_task(await manager.submit(asyncio.sleep(0, {"pages": 3}), name="read"))
    await manager.wait_for_task(await manager.submit(fail(), name="parse"))
    await manager.submit(asyncio.Event().wait(), name="wait")
    assert query(journal, "SELECT name, status, outcome FROM task_history") == [
        ("wait", "running", None),
        ("parse", "failed", "error: ValueError: no such page"),
        ("read", "completed", '{"pages":3}'),
    ]
    assert query(journal, "SELECT name, status FROM active_tasks") == [("wait", "running")]
    assert query(journal, "SELECT name, reason, error FROM failed_tasks") == [
        ("parse", "error", "ValueError: no such page")
    ]
    assert query(journal, "SELECT kind FROM task_timeline WHERE name = 'read'") == [
        ("submitted",),
        ("started",),
        ("completed",),
    ]
    [(text,)] = query(journal, "SELECT created_at FROM tasks WHERE name = 'read'")
    assert text == manager.list_tasks(name="read")[0].created_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for (ddl,) in query(journal, "SELECT sql FROM sqlite_master WHERE type = 'table' AND name LIKE 'task%'"):
        assert "--" in ddl


def test_a_conflict_is_an_error_of_the_journal() -> None:
    """A refused guard is told apart from a journal that cannot be written, and caught with it."""
    assert issubclass(TaskConflictError, JournalError)
