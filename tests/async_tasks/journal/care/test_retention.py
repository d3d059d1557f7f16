"""The scheduled delete: exactly what was kept long enough, in steps, events included, and space given back."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import retention
from ailf.async_tasks.journal.care.retention import (
    ROWS_A_STEP,
    Rule,
    Step,
    delete_step,
    forget_owners,
    last_deletion,
    policy_of,
    policy_text,
    prune_step,
    rules,
    shrink_step,
)
from ailf.async_tasks.journal.form.engine import Access, connect
from ailf.async_tasks.states import ENDED, TaskStatus
from tests.async_tasks.journal.support import (
    CANCELLED,
    COMPLETED,
    EARLY,
    FAILED,
    LATE,
    OWNER,
    RUNNING,
    insert,
    opened,
    update,
)
from tests.conftest import first_round

ENDS = {TaskStatus.COMPLETED: COMPLETED, TaskStatus.FAILED: FAILED, TaskStatus.CANCELLED: CANCELLED}
END = datetime.fromisoformat(LATE)
AFTER = END + timedelta(microseconds=1)


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """The writing connection of a journal with one owner."""
    opened(journal).close()
    connection = connect(journal, Access.WRITE)
    yield connection
    connection.close()


def add_ended(connection: sqlite3.Connection, task_id: str, status: TaskStatus, completed_at: str = LATE) -> None:
    """A task that ended, with an event."""
    insert(connection, "tasks", RUNNING | {"id": task_id})
    insert(connection, "task_events", {"task_id": task_id, "at": EARLY, "kind": "submitted"})
    update(connection, task_id, ENDS[status] | {"completed_at": completed_at})


def left(connection: sqlite3.Connection) -> list[str]:
    """The tasks that are still there."""
    return [task_id for (task_id,) in connection.execute("SELECT id FROM tasks ORDER BY id")]


def rule(status: TaskStatus = TaskStatus.COMPLETED, policy: str | None = None) -> Rule:
    """A rule about the tasks of the owners with a policy."""
    return Rule(policy, status, timedelta(0))


@pytest.mark.parametrize("status", sorted(ENDED))
def test_exactly_one_end_state_goes(connection: sqlite3.Connection, status: TaskStatus) -> None:
    """A step deletes tasks of its state alone, with their events; unfinished ones never."""
    insert(connection, "tasks", RUNNING | {"id": "running"})
    for one in ENDED:
        add_ended(connection, one, one)
    assert delete_step(connection, rule(status), AFTER) == Step(1, is_last=False)
    assert left(connection) == sorted({"running", *ENDED} - {status})
    assert connection.execute("SELECT count(*) FROM task_events").fetchone() == (2,)
    assert delete_step(connection, rule(status), AFTER) == Step(0, is_last=True)
    for one in TaskStatus:
        prune_step(connection, one, AFTER)
    assert left(connection) == ["running"]


def test_the_limit_is_to_the_microsecond(connection: sqlite3.Connection) -> None:
    """What ended at the very moment stays; a microsecond later it goes."""
    add_ended(connection, "t1", TaskStatus.COMPLETED)
    assert delete_step(connection, rule(), END).deleted == 0
    assert prune_step(connection, TaskStatus.COMPLETED, END).deleted == 0
    assert delete_step(connection, rule(), AFTER).deleted == 1


def test_the_tasks_of_others_are_theirs(connection: sqlite3.Connection) -> None:
    """A rule is about the owners that have its policy, and about nobody else's tasks."""
    week, hour = '{"completed": 604800.0}', '{"completed": 3600.0}'
    for owner, policy in (("week", week), ("hour", hour), ("hour too", hour), ("ever", "{}")):
        insert(connection, "owners", OWNER | {"id": owner, "retention": policy})
        insert(connection, "tasks", RUNNING | {"id": f"of {owner}", "owner_id": owner})
        update(connection, f"of {owner}", COMPLETED)
    add_ended(connection, "of nobody known", TaskStatus.COMPLETED)
    assert delete_step(connection, rule(policy=hour), AFTER).deleted == 2
    assert left(connection) == ["of ever", "of nobody known", "of week"]
    assert delete_step(connection, rule(policy=None), AFTER).deleted == 1
    assert left(connection) == ["of ever", "of week"]


def test_the_policies_of_a_journal_as_rules() -> None:
    """Each counts for its owners; that of the one who cleans up for those of whom none is known; nonsense for ever."""
    own = {TaskStatus.FAILED: timedelta(days=1)}
    texts = [
        None,
        "{}",
        '{"completed": 3600}',
        "nonsense",
        "[]",
        '{"failed": -1}',
        '{"failed": "x"}',
        '{"failed": NaN}',
    ]
    more = ['{"running": 5}', '{"failed": 1e300}', '{"failed": true}']
    assert rules([*texts, *more], own) == [
        Rule(None, TaskStatus.FAILED, timedelta(days=1)),
        Rule('{"completed": 3600}', TaskStatus.COMPLETED, timedelta(hours=1)),
    ]


@given(st.dictionaries(st.sampled_from(sorted(ENDED)), st.timedeltas(min_value=timedelta(0))))
def test_a_policy_comes_back_from_its_text(policy: dict[TaskStatus, timedelta]) -> None:
    """And the same policy is always the same text, in whichever order it was written."""
    text = policy_text(policy)
    assert text == policy_text(dict(reversed(policy.items())))
    assert policy_of(text) == {str(status): age.total_seconds() for status, age in policy.items()}


def test_a_long_delete_goes_in_steps_oldest_first(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two of them others can write; what goes first is what ended first, whenever it was submitted."""
    # Each of the tasks is two rows: its own, and an event.
    monkeypatch.setattr(retention, "ROWS_A_STEP", 4)
    for task_id, second in (("c", 3), ("a", 5), ("b", 4), ("d", 6), ("e", 7)):
        add_ended(connection, task_id, TaskStatus.COMPLETED, f"2026-11-24T03:00:0{second}.000000Z")
    after = END + timedelta(minutes=1)
    steps = []
    while not delete_step(connection, rule(), after).is_last:
        steps.append(left(connection))
    assert steps == [["a", "d", "e"], ["e"], []]


@pytest.mark.parametrize("table", ["task_events", "task_logs"])
def test_a_step_is_measured_in_rows(connection: sqlite3.Connection, table: str) -> None:
    """Events and log lines included: of a task that has too many, the first go first, and the task with the last."""
    row: dict[str, object] = {"task_id": "t1", "at": EARLY}
    row |= (
        {"kind": "progress", "progress": 1}
        if table == "task_events"
        else {"level": 20, "level_name": "INFO", "logger": "l", "message": "m"}
    )
    add_ended(connection, "t1", TaskStatus.COMPLETED)
    add_ended(connection, "t2", TaskStatus.COMPLETED)
    for _ in range(5 * ROWS_A_STEP):
        insert(connection, table, row)
    deletes: list[int] = []
    before = connection.total_changes
    while not delete_step(connection, rule(), AFTER).is_last:
        deletes.append(connection.total_changes - before)
        before = connection.total_changes
        [(rows, first, last)] = connection.execute(f"SELECT count(*), min(seq), max(seq) FROM {table} WHERE seq > 2")
        assert rows == 0 or rows == last - first + 1
    # A mark for those who follow the journal comes with each task, and with each piece of a timeline.
    assert max(deletes) <= ROWS_A_STEP + 3
    assert left(connection) == []
    assert connection.execute("SELECT count(*) FROM task_events").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM task_logs").fetchone() == (0,)
    [(last,)] = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'task_events'")
    assert connection.execute("SELECT deleted_seq FROM journal").fetchone() == (last,)


def test_what_was_deleted_last_is_in_the_journal(connection: sqlite3.Connection) -> None:
    """When, and how many tasks by end state in that round; where nothing was due, it is still the last that counts."""
    assert last_deletion(connection) is None
    for one in ENDED:
        add_ended(connection, one, one)
    delete_step(connection, rule(TaskStatus.FAILED), AFTER, {"completed": 7, "failed": 1})
    found = last_deletion(connection)
    assert found is not None
    assert found[1] == {"completed": 7, "failed": 2}
    delete_step(connection, rule(TaskStatus.FAILED), AFTER, {})
    prune_step(connection, TaskStatus.COMPLETED, AFTER)
    assert last_deletion(connection) == found


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(hours=1), "1 hour"),
        (timedelta(days=7), "7 days"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=2.5), "2.5 seconds"),
        (timedelta(0), "0 seconds"),
    ],
)
def test_ages_in_words(age: timedelta, words: str) -> None:
    """In the largest unit in which it is a whole number."""
    assert retention.in_words(age) == words


def test_stopped_owners_without_tasks_are_forgotten(connection: sqlite3.Connection) -> None:
    """One that runs stays, and so does one whose tasks are still told of."""
    stopped = {"stopped_at": LATE}
    insert(connection, "owners", OWNER | stopped | {"id": "gone"})
    insert(connection, "owners", OWNER | {"id": "dead", "found_dead_at": LATE})
    insert(connection, "owners", OWNER | stopped | {"id": "told of"})
    insert(connection, "tasks", RUNNING | {"owner_id": "told of"})
    forget_owners(connection)
    assert connection.execute("SELECT id FROM owners ORDER BY id").fetchall() == [("o1",), ("told of",)]


def test_free_pages_are_given_back_in_steps(
    connection: sqlite3.Connection, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file shrinks, a bounded piece at a time, until nothing is free."""
    monkeypatch.setattr(retention, "PAGES_A_STEP", 10)
    insert(connection, "tasks", RUNNING | {"name": "x" * 200_000})
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    size = journal.stat().st_size
    connection.execute("DELETE FROM tasks")
    [(free,)] = connection.execute("PRAGMA freelist_count").fetchall()
    steps = 1
    while shrink_step(connection):
        steps += 1
    assert steps == -(-free // 10)
    assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert journal.stat().st_size <= size - 200_000


def test_nothing_free_is_nothing_to_do(connection: sqlite3.Connection) -> None:
    """A shrinking step on a full file writes nothing."""
    before = connection.total_changes
    assert shrink_step(connection) is False
    assert connection.total_changes == before


async def test_each_end_state_is_kept_as_long_as_it_says(journal: Path) -> None:
    """A mapping names some; the others stay for ever, and so does everything with None."""

    async def fail() -> None:
        raise ValueError("no")

    async with TaskManager(journal, retention={"completed": 0, "failed": None}, cleanup_interval=3600) as manager:
        await first_round(manager)
        done = await manager.submit(asyncio.sleep(0))
        failed = await manager.submit(fail())
        await manager.wait_for_task(done)
        await manager.wait_for_task(failed)
        await manager.cleanup()
        assert [info.id for info in manager.list_tasks()] == [failed]
        assert manager.get_task_events(done) == []


async def test_more_than_one_step_goes_in_one_round(
    journal: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However many there are, a clean-up deletes all that is due, and says so in one line and to whoever asks."""
    monkeypatch.setattr(retention, "ROWS_A_STEP", 10)

    async def fail() -> None:
        raise ValueError("no")

    policy: dict[TaskStatus | str, float | timedelta | None] = {"completed": 0, "failed": timedelta(microseconds=1)}
    async with TaskManager(journal, retention=policy, cleanup_interval=3600) as manager:
        await first_round(manager)
        assert manager.health().last_deletion is None
        assert manager.health().retention == {"completed": 0, "failed": 1e-6}
        ids = [await manager.submit(work) for work in [lambda: None] * 7 + [fail]]
        for task_id in ids:
            await manager.wait_for_task(task_id)
        with caplog.at_level(logging.INFO, "ailf.async_tasks"):
            caplog.clear()
            assert await manager.cleanup() == 8
            assert await manager.cleanup() == 0
        [said] = [record.message for record in caplog.records if "clean-up" in record.message]
        assert said == (
            f"The clean-up deleted 8 tasks from the journal {journal}: "
            "7 completed (kept for 0 seconds), 1 failed (kept for 1e-06 seconds)."
        )
        assert manager.count_tasks() == 0
        deletion = manager.health().last_deletion
        assert deletion is not None
        assert deletion.tasks == {"completed": 7, "failed": 1}
        assert deletion.at.tzinfo is not None


async def test_another_program_s_history_is_kept(journal: Path) -> None:
    """A script with a short retention deletes its own tasks, and nothing of an application that keeps for ever."""
    async with TaskManager(journal, retention=None) as application:
        await application.result(await application.submit(asyncio.sleep(0), task_id="kept"))
    async with TaskManager(journal, retention=0, cleanup_interval=3600) as script:
        await first_round(script)
        await script.result(await script.submit(asyncio.sleep(0), task_id="gone"))
        assert await script.cleanup() == 1
        assert [info.id for info in script.list_tasks()] == ["kept"]
    async with TaskManager(journal, retention=None) as application:
        await application.cleanup()
        assert application.count_tasks() == 1


async def test_a_short_policy_is_applied_by_whoever_cleans_up(journal: Path) -> None:
    """The script is gone; the application that lives on deletes the script's tasks as the script would have."""
    async with TaskManager(journal, retention=None) as application:
        async with TaskManager(journal, retention={"completed": 0}, cleanup_interval=3600) as script:
            await first_round(script)
            await script.result(await script.submit(asyncio.sleep(0), task_id="gone"))
        await application.cleanup()
        assert application.count_tasks() == 0
