"""The promises of the design from the fifth on, each with the tests that fail where it is broken."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.errors import JournalError, TaskConflictError, UnwrittenChangesError
from tests.async_tasks.test_promises import locked, query, session_of
from tests.conftest import until


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
        other.execute(
            "INSERT INTO owners (id, pid, host, boot_id, started_at) "
            "VALUES ('other', 1, 'host', 'boot', '2026-01-01T00:00:00.000000Z')"
        )
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

    with locked(journal, gives_up_soon=True):
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
    monkeypatch.setattr("ailf.async_tasks.journal.writing.writer.CLOSING_PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr("ailf.async_tasks.journal.writing.writer.Writer.close.__defaults__", (0.1,))
    manager = TaskManager(journal)
    await manager.start()
    await manager.submit(asyncio.Event().wait(), task_id="x")
    with locked(journal, gives_up_soon=True):
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


async def test_a_submission_that_is_cancelled_and_refused_leaves_no_trace(
    manager: TaskManager, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is told that the end of a task is missing which the journal never had."""
    taken = await manager.submit(asyncio.sleep(0), task_id="taken")
    await manager.wait_for_task(taken)
    second = asyncio.create_task(manager.submit(asyncio.sleep(0), task_id="taken"))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await manager.result(await manager.submit(asyncio.sleep(0)))
    assert "not in the journal" not in caplog.text
