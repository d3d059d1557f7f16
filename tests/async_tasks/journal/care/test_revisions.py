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

FIRST = "revision-0001.db.gz"


@pytest.fixture
def first(journal: Path) -> Path:
    """The journal of the first revision."""
    journal.write_bytes(gzip.decompress((JOURNALS / FIRST).read_bytes()))
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


def test_an_upgraded_journal_equals_a_fresh_one(first: Path) -> None:
    """Table by table, view by view, and every row is there as it was, the new column empty."""
    before = content(first)
    ensure_current(first)
    fresh = first.with_name("fresh.db")
    ensure_current(fresh)
    assert schema_text(first) == schema_text(fresh)
    after = content(first)
    for row in after["tasks"]:
        assert row.pop("cancel_requested_at") is None
    assert after == before
    assert len(after["tasks"]) == 10
    assert_is_sound(first)


def test_down_and_up_again(first: Path) -> None:
    """A downgrade gives back the first revision word for word, and no row is lost on either way."""
    from alembic import command

    schema, rows = schema_text(first), content(first)
    ensure_current(first)
    upgraded = content(first)
    command.downgrade(migrate.alembic_config(first), "0001")
    assert (schema_text(first), content(first)) == (schema, rows)
    ensure_current(first)
    assert content(first) == upgraded


def test_the_new_column_explains_itself(first: Path) -> None:
    """``.schema`` shows the comment that the migration wrote, and those of the first revision."""
    ensure_current(first)
    text = run("sqlite3", first, ".schema tasks").stdout
    assert "cancel_requested_at TEXT /* another process asked the owner to cancel it" in text
    assert "-- the manager that runs it" in text


async def test_a_manager_goes_on_with_the_first_revision_s_journal(first: Path) -> None:
    """Its start upgrades, and the history reads as it did; nobody's unfinished tasks are judged from here."""
    async with TaskManager(first, retention=None) as manager:
        tasks = {info.id: info for info in manager.list_tasks()}
        assert tasks["report-1"].result == {"steps": 4, "title": "naïve ✓"}
        assert tasks["odd"].result == "{1, 2}"
        assert (tasks["running"].status, tasks["pending"].status) == ("running", "pending")
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
