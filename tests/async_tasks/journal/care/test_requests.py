"""Asking another owner to cancel a task: a guarded UPDATE, and the owner's look at what is asked."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care.requests import request_cancel, requests_query
from tests.async_tasks.journal.support import COMPLETED, PENDING, RUNNING, insert, opened, update


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """A journal with a task that waits, one that runs and one that has ended."""
    connection = opened(journal)
    insert(connection, "tasks", PENDING | {"id": "waits"})
    insert(connection, "tasks", RUNNING | {"id": "runs"})
    insert(connection, "tasks", RUNNING | {"id": "ended"})
    update(connection, "ended", COMPLETED)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("task_id", "me", "wanted"),
    [("waits", "o2", True), ("runs", "o2", True), ("runs", "", True), ("ended", "o2", False), ("runs", "o1", False)],
)
def test_only_unfinished_tasks_of_others_are_asked_for(
    connection: sqlite3.Connection, task_id: str, me: str, *, wanted: bool
) -> None:
    """Of those the row says when; nothing is written for the others, unknown ones among them."""
    assert request_cancel(connection, task_id, me) is wanted
    assert request_cancel(connection, "unknown", me) is False
    asked = connection.execute("SELECT id FROM tasks WHERE cancel_requested_at IS NOT NULL").fetchall()
    assert asked == ([(task_id,)] if wanted else [])


def test_an_owner_sees_what_is_asked_of_it_until_that_has_ended(connection: sqlite3.Connection) -> None:
    """Its own unfinished tasks, by an index that holds nothing else."""
    for task_id in ("waits", "runs"):
        request_cancel(connection, task_id)
    asked = requests_query("o1")
    assert {task_id for task_id, _ in connection.execute(*asked)} == {"waits", "runs"}
    update(connection, "runs", COMPLETED)
    assert [task_id for task_id, _ in connection.execute(*asked)] == ["waits"]
    assert connection.execute(*requests_query("o2")).fetchall() == []
    plan = [line for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {asked.sql}", asked.values)]
    assert plan == ["SEARCH tasks USING INDEX tasks_to_cancel (owner_id=?)"]


def test_asking_again_is_another_request(connection: sqlite3.Connection) -> None:
    """It has another time, by which the owner tells the two apart."""
    times = []
    for _ in range(2):
        request_cancel(connection, "runs")
        times += connection.execute(*requests_query("o1")).fetchall()
    assert times[0] < times[1]
