"""Whatever is asked gets an answer: at a stop that cannot write, under a stranger's lock, from a signal handler."""

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager
from ailf.errors import AilfError, JournalError, UnwrittenChangesError
from tests.async_tasks.test_promises import locked
from tests.conftest import PATIENCE_SECONDS, patience, until


@pytest.mark.usefixtures("soon")
async def test_promise_6_whoever_waits_is_answered_by_a_stop_that_cannot_write(journal: Path) -> None:
    """With the file away, each wait ends with the error of the stop; once it is back, the next start has the task."""
    manager = TaskManager(journal, retention=None)
    await manager.start()
    await manager.submit(asyncio.Event().wait(), task_id="x")
    away = journal.with_name("away.db")
    journal.rename(away)
    waits = [
        asyncio.ensure_future(wait)
        for wait in (manager.result("x"), manager.wait_for_task("x"), manager.cancel_task("x"), manager.result("x", 60))
    ]
    await asyncio.sleep(0)
    with pytest.raises(UnwrittenChangesError):
        await asyncio.wait_for(manager.stop(), PATIENCE_SECONDS)
    done, _ = await asyncio.wait(waits, timeout=PATIENCE_SECONDS)
    assert [type(wait.exception()) for wait in waits if wait in done] == [UnwrittenChangesError] * 4
    away.rename(journal)
    async with manager:
        assert manager.get_task_info("x") is not None


@pytest.mark.usefixtures("soon")
async def test_promise_6_whoever_submits_is_answered_by_a_stop_that_cannot_write(journal: Path) -> None:
    """Under a stranger's lock, submissions before the stop and behind it are refused, and not a line of theirs runs."""
    ran: list[int] = []
    manager = TaskManager(journal, retention=None)
    await manager.start()
    with locked(journal):
        submissions = [asyncio.ensure_future(manager.submit(lambda: ran.append(1))) for _ in range(3)]
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(manager.stop())
        await asyncio.sleep(0)
        submissions.append(asyncio.ensure_future(manager.submit(lambda: ran.append(2))))
        done, _ = await asyncio.wait([stopping, *submissions], timeout=PATIENCE_SECONDS)
        assert len(done) == 5
    assert all(isinstance(submission.exception(), AilfError) for submission in submissions)
    # Nothing that has happened is missing: a stop has nothing to tell then, or names what it is.
    assert stopping.exception() is None or isinstance(stopping.exception(), UnwrittenChangesError)
    assert ran == []


async def test_a_start_under_a_strangers_lock_is_told_so_once_the_wait_is_over(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the lock once, and not again on its way out; with the lock gone, the same manager starts."""
    async with TaskManager(journal):
        pass
    manager = TaskManager(journal)
    monkeypatch.setattr("ailf.async_tasks.journal.form.engine.BUSY_TIMEOUT_SECONDS", 1)
    with patience(0.1), closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked"):
            await asyncio.wait_for(manager.start(), 2 * PATIENCE_SECONDS)
        other.execute("ROLLBACK")
    async with manager:
        assert await manager.result(await manager.submit(asyncio.sleep(0, "on"))) == "on"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
async def test_a_signal_handler_may_report_at_any_moment(manager: TaskManager) -> None:
    """A handler that reports and asks for the health, hundreds of times a second, waits for nobody."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    beats = 0

    def beat(*_: object) -> None:
        nonlocal beats
        beats += 1
        manager.update_progress(task_id, 50, f"beat {beats}")
        manager.health()

    before = signal.signal(signal.SIGUSR1, beat)
    try:
        for number in range(300):
            manager.update_progress(task_id, number % 90)
            os.kill(os.getpid(), signal.SIGUSR1)
            await asyncio.sleep(0)
        await until(lambda: beats > 0)
    finally:
        signal.signal(signal.SIGUSR1, before)
    gate.set()
    assert await manager.result(task_id, PATIENCE_SECONDS) is True
    assert f"beat {beats}" in {event.message for event in manager.get_task_events(task_id)}


async def test_an_end_after_an_outage_is_written_at_once(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the journal has taken a write again, nothing waits for the next try that was planned in trouble."""
    monkeypatch.setattr("ailf.async_tasks.journal.writing.writer.FIRST_RETRY_SECONDS", 3_600)
    monkeypatch.setattr("ailf.async_tasks.journal.writing.writer.LAST_RETRY_SECONDS", 3_600)
    async with TaskManager(journal) as manager:
        gate = asyncio.Event()
        task_id = await manager.submit(gate.wait())
        with locked(journal, gives_up_soon=True), pytest.raises(JournalError, match="locked"):
            await manager.submit(asyncio.sleep(0))
        # Whoever waits for an answer has it tried at once.
        await manager.submit(asyncio.sleep(0))
        gate.set()
        assert await manager.result(task_id, PATIENCE_SECONDS) is True
