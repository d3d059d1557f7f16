"""The group-commit writer: one transaction for all that waits, order kept, no record failed for another."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.model import Progressed, Submitted
from ailf.errors import DuplicateTaskError, JournalError, TaskConflictError
from tests.async_tasks.journal.desk import NOW, Desk, completed, started, submitted
from tests.conftest import until


async def test_what_waits_is_written_in_one_transaction(desk: Desk) -> None:
    """A thousand records that gather while the writer is busy cost a handful of commits, not a thousand."""
    statements: list[str] = []
    desk.connection.set_trace_callback(statements.append)
    for number in range(1000):
        desk.record(f"t{number}", submitted(f"t{number}", starts=True))
    await until(lambda: len(desk.answers) == 1000)
    desk.connection.set_trace_callback(None)
    assert set(desk.answers.values()) == {None}
    assert desk.order == [f"t{number}" for number in range(1000)]
    assert 1 <= statements.count("COMMIT") <= 50
    assert statements.count("BEGIN IMMEDIATE") == statements.count("COMMIT")
    assert desk.rows("SELECT count(*) FROM tasks") == [(1000,)]


async def test_an_idle_journal_commits_at_once(desk: Desk) -> None:
    """Each record that comes alone is a transaction of its own: nothing waits for company."""
    for number in range(5):
        desk.record(f"t{number}", submitted(f"t{number}"))
        await until(lambda number=number: len(desk.answers) > number)  # type: ignore[misc]
    assert desk.commits == 5


async def test_an_answer_comes_after_the_commit(desk: Desk) -> None:
    """Whoever hears that a record is written can read it, from any connection."""
    seen: list[list[Any]] = []

    def look(_about: object, _refusal: object) -> None:
        seen.append(desk.rows("SELECT id, status FROM tasks"))

    desk.writer.record((submitted("t1"), look, None))
    await until(lambda: seen)
    assert seen == [[("t1", "pending")]]


async def test_a_bad_record_does_not_fail_its_neighbours(desk: Desk) -> None:
    """A batch that breaks is written row by row; those before and after the bad one are in."""
    desk.record("before", submitted("t1"))
    desk.record("bad", Submitted("t2", NOW, "work", -1.0, "{}"))
    desk.record("worse", Submitted("t3", NOW, "work", None, "not JSON"))
    desk.record("unstorable", Submitted("\ud800", NOW, "work", None, "{}"))
    desk.record("after", submitted("t4", starts=True))
    await until(lambda: len(desk.answers) == 5)
    assert desk.answers["before"] is None
    assert desk.answers["after"] is None
    for label in ("bad", "worse", "unstorable"):
        assert isinstance(desk.answers[label], TaskConflictError)
    assert "timeout_is_positive" in str(desk.answers["bad"])
    assert desk.rows("SELECT id, status FROM tasks ORDER BY id") == [("t1", "pending"), ("t4", "running")]
    assert desk.rows("SELECT task_id, kind FROM task_events ORDER BY seq") == [
        ("t1", "submitted"),
        ("t4", "submitted"),
        ("t4", "started"),
    ]


async def test_a_duplicate_is_refused_by_name(desk: Desk) -> None:
    """Whether the other one is in the same batch or in the journal already, the first one stays."""
    desk.record("first", submitted("t1", "first"))
    desk.record("same batch", submitted("t1", "second"))
    await until(lambda: len(desk.answers) == 2)
    desk.record("later", submitted("t1", "third"))
    await until(lambda: len(desk.answers) == 3)
    assert desk.answers["first"] is None
    assert isinstance(desk.answers["same batch"], DuplicateTaskError)
    assert isinstance(desk.answers["later"], DuplicateTaskError)
    assert desk.rows("SELECT name FROM tasks") == [("first",)]
    assert desk.rows("SELECT count(*) FROM task_events") == [(1,)]


async def test_a_lost_guard_is_an_error_of_that_row_alone(desk: Desk) -> None:
    """A task that somebody else ended, deleted or owns is left as it is; its neighbours are written."""
    for task_id in ("ended", "deleted", "taken", "mine"):
        desk.record(f"submit {task_id}", submitted(task_id, starts=True))
    await until(lambda: len(desk.answers) == 4)
    other = sqlite3.connect(desk.path, isolation_level=None)
    other.execute("UPDATE tasks SET status = 'failed', reason = 'error', completed_at = started_at WHERE id = 'ended'")
    other.execute("DELETE FROM tasks WHERE id = 'deleted'")
    other.execute("INSERT INTO owners (id, pid, host, boot_id, started_at) VALUES ('other', 1, 'h', 'b', 'x')")
    other.execute("UPDATE tasks SET owner_id = 'other' WHERE id = 'taken'")
    other.close()
    events = desk.rows("SELECT count(*) FROM task_events")
    desk.record("progress", Progressed("ended", NOW, 50, None))
    for task_id in ("ended", "deleted", "taken", "mine"):
        desk.record(task_id, completed(task_id))
    await until(lambda: len(desk.answers) == 9)
    assert desk.answers["mine"] is None
    for label in ("ended", "deleted", "taken", "progress"):
        assert isinstance(desk.answers[label], TaskConflictError)
    assert desk.rows("SELECT id, status FROM tasks ORDER BY id") == [
        ("ended", "failed"),
        ("mine", "completed"),
        ("taken", "running"),
    ]
    # Two events went with the deleted task, one came: no event tells of a change that was not made.
    assert desk.rows("SELECT count(*) + 0 FROM task_events") == [(events[0][0] + 1,)]


async def test_events_are_in_the_order_in_which_everything_happened(desk: Desk) -> None:
    """Statements are grouped, the timeline is not: tasks that take turns do so in the journal."""
    desk.record("a", submitted("a", starts=True))
    desk.record("b", submitted("b"))
    desk.record("a 10", Progressed("a", NOW, 10, "ten"))
    desk.record("b starts", started("b"))
    desk.record("a 20", Progressed("a", NOW, 20.5, "ten"))
    desk.record("b ends", completed("b"))
    desk.record("a ends", completed("a"))
    await until(lambda: len(desk.answers) == 7)
    assert set(desk.answers.values()) == {None}
    assert desk.rows("SELECT task_id, kind, progress, message FROM task_events ORDER BY seq") == [
        ("a", "submitted", None, None),
        ("a", "started", None, None),
        ("b", "submitted", None, None),
        ("a", "progress", 10, "ten"),
        ("b", "started", None, None),
        ("a", "progress", 20.5, "ten"),
        ("b", "completed", None, None),
        ("a", "completed", None, None),
    ]
    assert desk.rows("SELECT id, status, progress FROM tasks ORDER BY id") == [
        ("a", "completed", 20.5),
        ("b", "completed", 0),
    ]


async def test_a_cancelled_caller_never_cancels_a_commit(
    manager: TaskManager, lock: Callable[[], sqlite3.Connection]
) -> None:
    """A submit that is cancelled while its row waits leaves a row that says so, and no line of the task runs."""
    ran = []

    async def work() -> None:
        ran.append(1)

    holder = lock()
    submission = asyncio.ensure_future(manager.submit(work(), task_id="t1"))
    await asyncio.sleep(0)
    submission.cancel()
    with pytest.raises(asyncio.CancelledError):
        await submission
    holder.execute("ROLLBACK")
    await until(lambda: manager.count_tasks(status="cancelled") == 1)
    assert [event.kind for event in manager.get_task_events("t1")][-1] == "cancelled"
    assert ran == []


async def test_work_between_two_batches_answers_and_fails_alone(desk: Desk) -> None:
    """What is called on the writer's connection returns, raises its own error, and leaves no transaction open."""

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        raise KeyError("broken")

    def no_disk(_connection: sqlite3.Connection) -> None:
        raise OSError(28, "No space left on device")

    assert await desk.writer.call(lambda connection: connection.execute("SELECT 5").fetchone()) == (5,)
    with pytest.raises(JournalError, match="no such table"):
        await desk.writer.call(lambda connection: connection.execute("SELECT * FROM missing"))
    with pytest.raises(JournalError, match="No space left"):
        await desk.writer.call(no_disk)
    with pytest.raises(KeyError):
        await desk.writer.call(broken)
    desk.record("t1", submitted("t1"))
    await until(lambda: desk.answers)
    assert desk.answers == {"t1": None}
