"""The reads for people: each finds its rows by an index, so that a long history costs no more than a short one."""

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.filters import Query, Shape, bound
from ailf.async_tasks.journal.reading.reports import lists, present, timeline
from ailf.async_tasks.model import TaskFilter
from ailf.async_tasks.states import TaskStatus
from tests.async_tasks.journal.support import LATE, opened

NOW = datetime.now(UTC)


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """A journal with no tasks: SQLite plans without statistics."""
    connection = opened(journal)
    yield connection
    connection.close()


def plan(connection: sqlite3.Connection, query: Query) -> list[str]:
    """How SQLite goes about a query."""
    return [line for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.values)]


QUICK = {
    "list": reports.sorted_query(TaskFilter(), reports.Sort.CREATED, descending=True, limit=51),
    "list --failed": reports.sorted_query(
        TaskFilter(statuses=(TaskStatus.FAILED,)), reports.Sort.CREATED, descending=True, limit=51
    ),
    "list --name": reports.sorted_query(TaskFilter(names=("x",)), reports.Sort.CREATED, descending=True, limit=51),
    "running": bound(present._RUNNING, {"limit": 5}),
    "latest": bound(present._LATEST[TaskStatus.FAILED], {"limit": 5}),
    "submitted": bound(present._SUBMITTED, {"since": LATE}),
    "ended": bound(present._ENDED, {"since": LATE}),
    "period": Query(timeline._INFOS, {"begin": LATE, "end": LATE, "limit": 5, "looked_at": 5}),
    "a page": bound(lists._page(Shape()), {"after": 5, "limit": 5}),
}


@pytest.mark.parametrize("verb", QUICK)
def test_what_is_asked_often_reads_no_more_than_it_shows(connection: sqlite3.Connection, verb: str) -> None:
    """Each step goes by an index or by the order of submission; where that is a walk, the limit ends it."""
    steps = plan(connection, QUICK[verb])
    walks = [step for step in steps if re.match(r"SCAN tasks(?! USING)", step)]
    assert walks == (["SCAN tasks"] if verb == "list" else []), steps
    if verb.startswith("list"):
        assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_the_same_query_is_built_once() -> None:
    """What differs in its values alone is the same text."""
    first, second = (
        reports.sorted_query(TaskFilter(names=(name,)), reports.Sort.NAME, descending=True, limit=5) for name in "ab"
    )
    assert first.sql is second.sql
    assert first.values != second.values
