"""The reads: each hot query goes by an index, the readers agree, and errors are ours."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks.journal.care import owners, retention, upkeep
from ailf.async_tasks.journal.form import indexes
from ailf.async_tasks.journal.form.engine import Access, connect
from ailf.async_tasks.journal.reading import queries, reports
from ailf.async_tasks.journal.reading.areader import AsyncReader
from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.writing import statements
from ailf.async_tasks.model import AnyOf, TaskFilter
from ailf.async_tasks.states import ENDED, UNFINISHED, TaskStatus
from ailf.errors import JournalError
from tests.async_tasks.journal.support import OWNER, RUNNING, insert, opened
from tests.conftest import until

NOW = datetime.now(UTC)
FAILED = (TaskStatus.FAILED,)
RECENT = NOW - timedelta(hours=1)
NOTHING = dict.fromkeys(("owner", "at", "error", "message", "status", "before", "most", "me", "policy"))


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """A journal with one owner, as plain SQLite opens it."""
    connection = opened(journal)
    yield connection
    connection.close()


def plan(connection: sqlite3.Connection, sql: str, values: Any) -> list[str]:
    """How SQLite would run a statement, step by step."""
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


def read(status: tuple[TaskStatus, ...] | None = None, **options: Any) -> Query:
    """The newest ten tasks that fit."""
    return queries.tasks_query(TaskFilter(statuses=status, **options), newest_first=True, limit=10)


HOT: dict[str, tuple[Query, str]] = {
    "by id": (queries.task_query("t1"), "sqlite_autoindex_tasks_1 (id=?)"),
    "which of these ids": (queries.existing_query(["t1"]), "sqlite_autoindex_tasks_1 (id=?)"),
    "newest of a status": (read(FAILED), "tasks_by_status (status=?)"),
    "unfinished": (read(tuple(UNFINISHED)), "tasks_by_status (status=?)"),
    "ended": (read(tuple(ENDED)), "tasks_by_status (status=?)"),
    "by name": (read(names=("work",)), "tasks_by_name (name=?)"),
    "by parent": (read(parent_id="t1"), "tasks_by_parent (parent_id=?)"),
    "by parent and status": (read(FAILED, parent_id="t1"), "tasks_by_parent (parent_id=?)"),
    "quiet": (read(quiet_since=RECENT), "tasks_by_status (status=?)"),
    "descendants": (queries.descendants_query("t1"), "tasks_by_parent (parent_id=?)"),
    "by name and status": (read(FAILED, names=("work",)), "tasks_by_name (name=?)"),
    "created after": (read(created_after=RECENT), "tasks_by_created_at (created_at>?)"),
    "created before": (read(created_before=RECENT), "tasks_by_created_at (created_at<?)"),
    "created between": (
        read(created_after=RECENT, created_before=NOW),
        "tasks_by_created_at (created_at>? AND created_at<?)",
    ),
    "created after, with a status": (read(FAILED, created_after=RECENT), "tasks_by_created_at (created_at>?)"),
    "in order, created after": (
        queries.tasks_query(TaskFilter(created_after=RECENT)),
        "tasks_by_created_at (created_at>?)",
    ),
    "count of a status": (queries.count_query(TaskFilter(statuses=FAILED)), "tasks_by_status (status=?)"),
    "count since": (queries.count_query(TaskFilter(created_after=RECENT)), "tasks_by_created_at (created_at>?)"),
    "events of a task": (queries.events_query("t1"), "task_events_by_task (task_id=?)"),
    "events after one": (queries.events_after_query(1, None, 10), "INTEGER PRIMARY KEY (rowid>?)"),
    "a task's events after one": (
        queries.events_after_query(1, "t1", 10),
        "task_events_by_task (task_id=? AND rowid>?)",
    ),
}


USERS = frozenset({'$."user"'})
BY_USER = "SEARCH tasks USING INDEX tasks_by_metadata_user (<expr>=?)"


@pytest.mark.parametrize("value", ["u1", True, None, [1], {"a": 1}, "nul\0inside", "\ud800", 2**64, 1, 0, 1.5, 1e300])
@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"statuses": FAILED},
        {"statuses": tuple(ENDED)},
        {"created_after": RECENT, "created_before": NOW},
    ],
    ids=" and ".join,
)
def test_a_look_for_a_key_with_an_index_goes_by_it(
    connection: sqlite3.Connection, conditions: dict[str, Any], value: Any
) -> None:
    """Whatever the value and the other conditions; all but a number is found in the order of the table."""
    assert indexes.make(connection, ["user"]) == USERS
    wanted = TaskFilter(metadata={"shop": "north", "user": value}, **conditions)
    for query in (
        queries.tasks_query(wanted, USERS, newest_first=True, limit=10),
        queries.count_query(wanted, USERS),
        reports.sorted_query(wanted, reports.Sort.CREATED, USERS, descending=True),
    ):
        steps = plan(connection, *query)
        assert steps[0] == BY_USER
        assert len(steps) == 1 or type(value) in (int, float)


@pytest.mark.parametrize("values", [(123, "123"), ("u1", "u2", None), (1, 2)])
def test_so_does_a_look_for_any_of_several_values(connection: sqlite3.Connection, values: tuple[Any, ...]) -> None:
    """Of which the command and the page ask, where a value may be a number as well as text."""
    indexes.make(connection, ["user"])
    wanted = TaskFilter(metadata={"user": AnyOf(values)})
    steps = plan(connection, *queries.tasks_query(wanted, USERS))
    assert "MULTI-INDEX OR" in steps[0]
    assert steps.count(BY_USER) == len(values)
    assert not [step for step in steps if step.startswith("SCAN tasks")]


@pytest.mark.parametrize("key", ["\ud83d\ude00", "\ud800", "", "it's", '"', "\\", "\0", "x')) WHERE ", "ä", "%s"])
def test_an_index_is_made_once(connection: sqlite3.Connection, key: str) -> None:
    """It is found again, whatever characters the key has."""
    made = indexes.make(connection, [key])
    assert made == indexes.make(connection, [key]) == indexes.paths_of(connection.execute(indexes.ALL))
    assert len(made) == 1


def test_what_is_unfinished_goes_by_its_status(connection: sqlite3.Connection) -> None:
    """Few tasks are, and many may have one value of a key."""
    indexes.make(connection, ["user"])
    wanted = TaskFilter(metadata={"user": "u1"}, statuses=(TaskStatus.RUNNING,))
    steps = plan(connection, *queries.tasks_query(wanted, USERS))
    assert steps == ["SEARCH tasks USING INDEX tasks_by_status (status=?)"]


@pytest.mark.parametrize(
    "definition",
    [
        """tasks_by_metadata_user ON tasks (json_extract(metadata, '$.user'))""",
        """tasks_by_metadata_user ON tasks (json_extract(metadata, '$."user"', '$."user"')) WHERE status = 'failed'""",
        """"Tasks_By_Metadata_User" ON tasks (name)""",
        """tasks_by_metadata_user ON task_events (kind)""",
    ],
)
def test_somebody_elses_index_is_not_taken_for_ours(connection: sqlite3.Connection, definition: str) -> None:
    """Neither when looking for it nor when making ours, which gets another name beside it."""
    connection.execute(f"CREATE INDEX {definition}")
    assert indexes.paths_of(connection.execute(indexes.ALL)) == frozenset()
    assert indexes.make(connection, ["user"]) == USERS
    assert indexes.make(connection, ["user"]) == USERS
    names = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'tasks_by_metadata%'").fetchall()
    assert ("tasks_by_metadata_user_2",) in names
    assert len(names) == 2


@pytest.mark.parametrize("name", HOT)
def test_a_hot_read_goes_by_its_index(connection: sqlite3.Connection, name: str) -> None:
    """It costs by what it finds and not by the length of the history: nothing scans a table."""
    query, index = HOT[name]
    steps = plan(connection, *query)
    assert any(step.endswith(index) for step in steps), steps
    assert not [step for step in steps if step.startswith(("SCAN tasks", "SCAN task_events", "SCAN in_time"))]


def test_the_newest_come_in_the_order_of_the_table(connection: sqlite3.Connection) -> None:
    """A page of the newest, of one status or of one name, reads as many rows as it has, and sorts none."""
    for query in (read(), read(FAILED), read(names=("work",)), read(created_after=RECENT)):
        assert not [step for step in plan(connection, *query) if "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        (owners._FAIL_TASKS, "tasks_by_owner (owner_id=? AND status=?)"),
        (owners._FAIL_EVENTS, "tasks_by_owner (owner_id=? AND status=?)"),
        (owners._TO_JUDGE, "tasks_by_owner (owner_id=? AND status=?)"),
        (upkeep._UNFINISHED_OF, "COVERING INDEX tasks_by_owner (owner_id=? AND status=?)"),
        (retention._DUE, "tasks_by_owner (owner_id=? AND status=? AND completed_at<?)"),
        (retention._OLDEST, "tasks_by_completed_at (status=? AND completed_at>? AND completed_at<?)"),
        (retention._DELETE_OWNERS, "tasks_by_owner (owner_id=?)"),
        ("SELECT * FROM failed_tasks", "tasks_by_completed_at (status=? AND completed_at>?)"),
        ("SELECT * FROM active_tasks", "tasks_by_status (status=?)"),
    ],
)
def test_recovery_retention_and_views_go_by_an_index(connection: sqlite3.Connection, sql: str, index: str) -> None:
    """What runs with every clean-up, or is typed into a shell, does not read the whole history either."""
    steps = plan(connection, sql, NOTHING)
    assert any(step.endswith(index) for step in steps), steps
    assert not [step for step in steps if step.startswith("SCAN task")]


@pytest.mark.parametrize(
    "write", [statements.START_TASK, statements.PROGRESS_TASK, statements.COMPLETE_TASK, statements.END_TASK]
)
def test_a_write_finds_its_tasks_by_their_ids(connection: sqlite3.Connection, write: statements.Write) -> None:
    """One row or a whole batch as JSON: each task is looked up, and never looked for."""
    assert_by_id(connection, write)
    for number in range(300):
        insert(connection, "owners", OWNER | {"id": f"short-lived {number}"})
        insert(connection, "tasks", RUNNING | {"id": f"its task {number}", "owner_id": f"short-lived {number}"})
    connection.execute("ANALYZE")
    # By now SQLite takes an owner's tasks for few, and so may a user's database that was analyzed long ago.
    assert_by_id(connection, write)


def assert_by_id(connection: sqlite3.Connection, write: statements.Write) -> None:
    """Both forms of a write go by the primary key."""
    for sql in (write._each, write._rows):
        steps = plan(connection, sql, ["[]"] if sql is write._rows else [None] * sql.count("?"))
        assert any("SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (id=?)" in step for step in steps), steps


def test_the_stretch_of_time_is_half_open_and_in_order_of_submission(connection: sqlite3.Connection) -> None:
    """From the first moment on, up to and without the last; a clock that stepped back changes no order."""
    for task_id, second in (("a", 3), ("b", 1), ("c", 2), ("d", 4)):
        at = f"2026-11-24T03:00:0{second}.000000Z"
        insert(connection, "tasks", RUNNING | {"id": task_id, "created_at": at, "started_at": at})
    begin, end = (datetime(2026, 11, 24, 3, 0, second, tzinfo=UTC) for second in (1, 4))

    def found(**options: Any) -> list[str]:
        chosen = TaskFilter(created_after=begin, created_before=end)
        return [row[0] for row in connection.execute(*queries.tasks_query(chosen, **options))]

    assert found() == ["a", "b", "c"]
    assert found(newest_first=True) == ["c", "b", "a"]
    assert found(newest_first=True, limit=1, offset=1) == ["b"]
    [(count,)] = connection.execute(*queries.count_query(TaskFilter(created_after=begin, created_before=end)))
    assert count == 3


async def test_both_readers_read_the_same(connection: sqlite3.Connection, journal: Path) -> None:
    """The blocking and the awaitable one run the same text and give the same rows."""
    insert(connection, "tasks", RUNNING)
    reader, areader = Reader(journal), AsyncReader(journal)
    rows = reader.rows(queries.task_query("t1"))
    assert rows[0][0] == "t1"
    assert await areader.rows(queries.task_query("t1")) == rows
    reader.close()
    await areader.close()


async def test_a_read_that_fails_is_an_error_of_ours(connection: sqlite3.Connection, journal: Path) -> None:
    """Whichever reader: the file is named, and what is wrong with it."""
    connection.execute("DROP VIEW task_timeline")
    query = Query("SELECT * FROM task_timeline", ())
    with Reader(journal) as reader, pytest.raises(JournalError) as caught:
        reader.rows(query)
    assert f"The journal {journal} cannot be read: no such table: task_timeline" in str(caught.value)
    areader = AsyncReader(journal)
    with pytest.raises(JournalError, match="cannot be read"):
        await areader.rows(query)
    await areader.close()


async def test_a_cancelled_read_leaves_no_thread(connection: sqlite3.Connection, journal: Path) -> None:
    """Its connection, which has a thread of its own, is closed when the reader is."""
    before = threading.active_count()
    areader = AsyncReader(journal)
    reads = [asyncio.ensure_future(areader.rows(queries.task_query("t1"))) for _ in range(5)]
    await asyncio.sleep(0)
    for one in reads:
        one.cancel()
    assert all(isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*reads, return_exceptions=True))
    await areader.close()
    await until(lambda: threading.active_count() == before)


def test_a_reader_sees_one_moment_while_others_write(connection: sqlite3.Connection, journal: Path) -> None:
    """A reader never waits for a writer: what is not committed is not there."""
    writer = connect(journal, Access.WRITE)
    writer.execute("BEGIN IMMEDIATE")
    insert(writer, "tasks", RUNNING)
    with Reader(journal) as reader:
        assert reader.rows(queries.task_query("t1")) == []
        writer.execute("COMMIT")
        assert len(reader.rows(queries.task_query("t1"))) == 1
    writer.close()
