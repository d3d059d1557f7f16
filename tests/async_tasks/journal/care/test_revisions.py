"""Journals that earlier releases made: brought to the newest revision and back, with every row."""

import gzip
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care import migrate
from ailf.async_tasks.journal.care.inspection import assert_is_sound
from ailf.async_tasks.journal.care.migrate import ensure_current
from tests.async_tasks.journal.support import run, schema_of

JOURNALS = Path(__file__).with_name("journals")
"""One journal of each earlier revision, made by the code of that revision, tasks in every state in it."""

FIRST, SECOND = (f"revision-000{number}.db.gz" for number in (1, 2))

NEW_COLUMNS = {
    "owners": {"process_started", "pid_namespace", "retention", "found_dead_at", "lock_inode"},
    "tasks": {"parent_id"},
    "task_events": set(),
}
"""What the newest revision has and the second has not; empty in the rows that were there."""


@pytest.fixture
def first(journal: Path) -> Path:
    """The journal of the first revision."""
    journal.write_bytes(gzip.decompress((JOURNALS / FIRST).read_bytes()))
    return journal


@pytest.fixture(params=[FIRST, SECOND])
def earlier(journal: Path, request: pytest.FixtureRequest) -> Path:
    """The journal of each earlier revision."""
    journal.write_bytes(gzip.decompress((JOURNALS / request.param).read_bytes()))
    return journal


def content(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table of ours, by the names of its columns."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    tables = ("owners", "tasks", "task_events")
    found = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name} ORDER BY rowid")] for name in tables}
    connection.close()
    return found


def schema_text(path: Path) -> dict[str, str]:
    """The text of each CREATE, word for word, comments included."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return dict(rows)


def last_number(path: Path) -> int:
    """The last number that an event of this journal had, deleted or not."""
    connection = sqlite3.connect(path)
    [(number,)] = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'task_events'").fetchall()
    connection.close()
    return int(number)


def test_an_upgraded_journal_equals_a_fresh_one(earlier: Path) -> None:
    """Table by table, view by view, and every row is there as it was, the new columns empty; what is done says so."""
    before, keys = content(earlier), {name: sql for name, sql in schema_text(earlier).items() if "by_metadata" in name}
    number = last_number(earlier)
    ensure_current(earlier)
    fresh = earlier.with_name("fresh.db")
    ensure_current(fresh)
    assert schema_text(earlier) == schema_text(fresh) | keys
    after = content(earlier)
    had_requests = "cancel_requested_at" in before["tasks"][0]
    for table, rows in after.items():
        for row in rows:
            assert [row.pop(column) for column in NEW_COLUMNS[table]] == [None] * len(NEW_COLUMNS[table])
            if table == "tasks" and not had_requests:
                assert row.pop("cancel_requested_at") is None
    reported = {row["task_id"] for row in before["task_events"] if row["kind"] == "progress"}
    silent = [row for row in before["tasks"] if row["status"] == "completed" and row["id"] not in reported]
    assert [row.pop("progress") for row in silent] == [0] * len(silent) != []
    ids = {row["id"] for row in silent}
    assert {row.pop("progress") for row in after["tasks"] if row["id"] in ids} == {100}
    assert after == before
    assert len(after["tasks"]) >= 8
    assert last_number(earlier) == number
    assert_is_sound(earlier)


def test_down_and_up_again(earlier: Path) -> None:
    """A downgrade gives back the earlier revision word for word, and no row is lost on either way."""
    from alembic import command

    schema, rows, revision = schema_text(earlier), content(earlier), migrate.revision_of(earlier)
    ensure_current(earlier)
    upgraded = content(earlier)
    command.downgrade(migrate.alembic_config(earlier), str(revision))
    assert (schema_text(earlier), content(earlier)) == (schema, rows)
    ensure_current(earlier)
    assert content(earlier) == upgraded


def test_a_number_is_not_used_again_after_the_migration(earlier: Path) -> None:
    """Though the events with the highest numbers were deleted: whoever goes on from the last seen misses nothing."""
    connection = sqlite3.connect(earlier)
    connection.execute("DELETE FROM task_events WHERE seq > 3")
    connection.commit()
    connection.close()
    number = last_number(earlier)
    ensure_current(earlier)
    assert last_number(earlier) == number > 3


def test_every_column_explains_itself(earlier: Path) -> None:
    """``.schema`` shows a comment on the line of the column that it is about."""
    ensure_current(earlier)
    lines = run("sqlite3", earlier, ".schema tasks").stdout.splitlines()
    assert any(
        line.startswith("  cancel_requested_at TEXT,  ") and "asked the owner to cancel" in line for line in lines
    )
    assert any(line.startswith("  parent_id TEXT,  ") and "in which it was submitted" in line for line in lines)


def test_what_an_earlier_release_has_no_word_for_is_json_to_it(earlier: Path) -> None:
    """A downgrade keeps each result as JSON, drops events of a kind that it does not know, has one word for an end."""
    from alembic import command

    revision = migrate.revision_of(earlier)
    ensure_current(earlier)
    connection = sqlite3.connect(earlier)
    connection.execute("DROP TRIGGER tasks_end_once")
    connection.execute("UPDATE tasks SET result_format = 'lossy', result = '[1]' WHERE id = 'odd'")
    connection.execute("INSERT INTO task_events (task_id, at, kind) VALUES ('odd', '2026', 'left_out')")
    connection.execute("UPDATE owners SET stopped_at = NULL, found_dead_at = '2026'")
    connection.commit()
    connection.close()
    command.downgrade(migrate.alembic_config(earlier), str(revision))
    after = content(earlier)
    assert [row["result_format"] for row in after["tasks"] if row["id"] == "odd"] == ["json"]
    assert "left_out" not in {row["kind"] for row in after["task_events"]}
    assert {row["stopped_at"] for row in after["owners"]} == {"2026"}


async def test_a_manager_goes_on_with_the_first_revision_s_journal(first: Path) -> None:
    """Its start upgrades, and the history reads as it did; whoever left tasks is dead: nobody else has it open."""
    async with TaskManager(first, retention=None) as manager:
        tasks = {info.id: info for info in manager.list_tasks()}
        assert tasks["report-1"].result == {"steps": 4, "title": "naïve ✓"}
        assert tasks["odd"].result == "{1, 2}"
        assert (tasks["running"].reason, tasks["pending"].reason) == ("process_died", "process_died")
        assert all(info.cancel_requested_at is None for info in tasks.values())
        assert len(manager.get_task_events("report-2")) == 7


def test_the_views_read_the_first_revision_s_rows(first: Path) -> None:
    """The improved views show what was written before they were there."""
    ensure_current(first)
    connection = sqlite3.connect(first)
    stats = {row[0]: row for row in connection.execute("SELECT * FROM task_stats")}
    assert stats["report"][1:4] == (3, 0, 3)
    assert stats["broken"][-1] == "ValueError: no such line"
    assert schema_of(connection).keys() >= {"view task_stats", "index tasks_to_cancel"}
    connection.close()
