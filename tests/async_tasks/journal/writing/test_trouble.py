"""The writer in trouble: a locked journal, a full disk, a loop that is gone; no outcome is lost."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care import owners
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.writing import backlog, commit
from ailf.async_tasks.journal.writing.door import Door
from ailf.async_tasks.journal.writing.log_queue import LogQueue
from ailf.async_tasks.journal.writing.refusals import in_words
from ailf.async_tasks.journal.writing.writer import Writer
from ailf.async_tasks.model import Change, Logged, Progressed
from ailf.errors import JournalError
from tests.async_tasks.journal.desk import NOW, Desk, completed, started, submitted
from tests.conftest import until


async def test_a_lock_refuses_submissions_and_keeps_outcomes(
    desk: Desk,
    lock: Callable[[], sqlite3.Connection],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While another program holds the journal, what has happened waits in order, and is written afterwards."""
    desk.record("a", submitted("a", starts=True))
    desk.record("b", submitted("b"))
    await until(lambda: len(desk.answers) == 2)
    monkeypatch.setattr(commit, "BUSY_PATIENCE_SECONDS", 0.005)
    holder = lock()
    desk.record("a 10", Progressed("a", NOW, 10, None))
    desk.record("b starts", started("b"))
    desk.record("new", submitted("new"))
    await until(lambda: "new" in desk.answers)
    desk.record("a ends", completed("a"))
    desk.record("newer", submitted("newer"))
    await until(lambda: "newer" in desk.answers)
    assert isinstance(desk.answers["new"], JournalError)
    assert "SQLITE_BUSY" in str(desk.answers["newer"])
    assert set(desk.answers) == {"a", "b", "new", "newer"}
    holder.execute("ROLLBACK")
    await until(lambda: len(desk.answers) == 7)
    assert desk.order[4:] == ["a 10", "b starts", "a ends"]
    assert desk.rows("SELECT task_id, kind FROM task_events WHERE seq > 3 ORDER BY seq") == [
        ("a", "progress"),
        ("b", "started"),
        ("a", "completed"),
    ]
    assert desk.rows("SELECT count(*) FROM tasks") == [(2,)]
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 2
    assert "Running tasks run on" in warnings[0]
    assert "takes writes again" in warnings[1]


async def test_each_episode_of_trouble_is_told_once(
    desk: Desk,
    lock: Callable[[], sqlite3.Connection],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One warning when it begins and one when it is over, however often the writer tries in between."""
    desk.record("a", submitted("a", starts=True))
    await until(lambda: desk.answers)
    monkeypatch.setattr(commit, "BUSY_PATIENCE_SECONDS", 0.001)
    for episode in (1, 2):
        holder = lock()
        for attempt in range(3):
            label = f"{episode} {attempt}"
            desk.record(label, submitted(label))
            await until(lambda label=label: label in desk.answers)  # type: ignore[misc]
        desk.record(f"{episode}", Progressed("a", NOW, episode, None))
        holder.execute("ROLLBACK")
        await until(lambda episode=episode: f"{episode}" in desk.answers)  # type: ignore[misc]
        assert len(caplog.records) == 2 * episode


async def test_a_full_disk_is_outlasted(desk: Desk) -> None:
    """SQLite rolls back by itself when the disk is full; the outcome is written when there is room."""
    desk.record("a", submitted("a", starts=True))
    await until(lambda: desk.answers)
    [(pages,)] = desk.connection.execute("PRAGMA page_count").fetchall()
    desk.connection.execute(f"PRAGMA max_page_count={pages}")
    desk.record("a says", Progressed("a", NOW, 10, "x" * 100_000))
    desk.record("a ends", completed("a"))
    desk.record("new", submitted("new", "y" * 100_000))
    await until(lambda: "new" in desk.answers)
    assert "SQLITE_FULL" in str(desk.answers["new"])
    assert "make room" in str(desk.answers["new"])
    assert desk.rows("SELECT status FROM tasks") == [("running",)]
    await desk.writer.call(lambda connection: connection.execute("PRAGMA max_page_count=1000000"))
    await until(lambda: "a ends" in desk.answers)
    assert desk.rows("SELECT status, length(progress_message) FROM tasks") == [("completed", 100_000)]


async def test_what_has_no_memory_after_a_commit_is_not_taken_for_committed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised between two batches, the second is told of when it is written, and not with the first."""
    desk.record("first", submitted("first"))
    await until(lambda: "first" in desk.answers)
    take = LogQueue.take

    def no_memory(_: LogQueue) -> list[Logged]:
        monkeypatch.setattr(LogQueue, "take", take)
        raise MemoryError

    monkeypatch.setattr(LogQueue, "take", no_memory)
    desk.record("second", submitted("second"))
    await until(lambda: "second" in desk.answers)
    assert desk.answers["second"] is None
    assert desk.rows("SELECT id FROM tasks ORDER BY id") == [("first",), ("second",)]


async def test_close_writes_what_is_left(desk: Desk) -> None:
    """Whatever was recorded before it is in the journal after it."""
    for number in range(100):
        desk.record(f"t{number}", submitted(f"t{number}"))
    assert desk.close() == []
    assert desk.rows("SELECT count(*) FROM tasks") == [(100,)]


async def test_a_close_writes_all_while_the_journal_takes_writes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its patience is for a journal that takes none: a flood that takes longer than that is written to the last."""
    monkeypatch.setattr(backlog, "RECORDS_A_BATCH", 10)
    desk.record("a", submitted("a", starts=True))
    for number in range(12_000):
        desk.record(str(number), Progressed("a", NOW, number % 100, None))
    desk.record("end", completed("a"))
    assert desk.close(patience=0.1) == []
    assert desk.rows("SELECT status FROM tasks") == [("completed",)]
    assert desk.rows("SELECT count(*) FROM task_events WHERE kind = 'progress'") == [(12_000,)]


async def test_close_reports_what_it_could_not_write(
    desk: Desk, lock: Callable[[], sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up after a while, and hands back the changes in their order."""
    desk.record("a", submitted("a", starts=True))
    await until(lambda: desk.answers)
    monkeypatch.setattr(commit, "BUSY_PATIENCE_SECONDS", 0.001)
    lock()
    changes: list[Change] = [Progressed("a", NOW, 10, None), completed("a")]
    for change in changes:
        desk.record(str(change), change)
    assert [change for change, _, _ in desk.close(patience=0.05)] == changes


def test_a_closed_loop_does_no_harm(journal: Path) -> None:
    """A program whose loop ended without a stop still has its records written."""
    ensure_current(journal)
    door = Door(journal)
    me = owners.this_process()
    owners.register(door.connection, me)
    loop = asyncio.new_event_loop()
    writer = Writer(door, me.id, loop, lambda: None)
    loop.close()
    writer.start()
    writer.record((submitted("a"), None, None))
    assert writer.close() == []
    assert door.connection.execute("SELECT id FROM tasks").fetchall() == [("a",)]
    door.close()


async def test_a_close_tells_of_lines_that_could_not_be_written(
    desk: Desk, lock: Callable[[], sqlite3.Connection]
) -> None:
    """Task by task, how many of its log are missing."""
    desk.record("in", submitted("t1"))
    await until(lambda: "in" in desk.answers)
    holder = lock()
    for number in range(3):
        desk.writer.log(Logged("t1", NOW, 20, "INFO", "app", str(number), None, None))
    left = await asyncio.to_thread(desk.close, 0.2)
    assert [in_words(change) for change, _, _ in left] == ["task t1: 3 lines of its log"]
    holder.execute("ROLLBACK")
