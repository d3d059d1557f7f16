"""Pages of tasks by key: every task once, in every order, whatever is asked for; and never more than so many read."""

import itertools
import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks.journal.form import indexes
from ailf.async_tasks.journal.reading import Query, Reader, reports
from ailf.async_tasks.journal.reading.kinds import kind_of
from ailf.async_tasks.journal.reading.reports import Line, Order, Page, Wanted, keyset
from ailf.async_tasks.model import AnyOf
from ailf.async_tasks.states import ENDED, Reason, TaskStatus
from tests.async_tasks.journal.support import insert, opened, update

BEGIN = datetime(2026, 11, 24, 3, tzinfo=UTC)
NOW = BEGIN + timedelta(days=1)
TASKS = 240


def at(seconds: float) -> str:
    """A time as the journal spells it."""
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="microseconds")[:26] + "Z"


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """A journal of tasks of every kind, with many equal keys among them."""
    connection = opened(journal)
    indexes.make(connection, ["account"])
    dice = random.Random(7)
    connection.execute("BEGIN")
    for number in range(TASKS):
        status = dice.choice(sorted(TaskStatus))
        task_id = f"t{number:04d}"
        row: dict[str, Any] = {"id": task_id, "name": f"work {dice.randrange(5)}", "created_at": at(number)}
        row |= {"owner_id": "o1", "status": "pending", "progress": dice.choice([0, 50, 50.5])}
        row |= {
            "metadata": f'{{"account":"a{number % 60}","user":"u{number % 7}","at":{{"place":"p{number % 3}"}}}}',
            "progress_message": "50%_done",
        }
        if number > 20:
            row["parent_id"] = f"t{number % 20:04d}"
        if status is not TaskStatus.PENDING:
            row |= {"status": "running", "started_at": at(number + 1)}
        insert(connection, "tasks", row)
        end = {"completed_at": at(number + 1 + dice.randrange(4) * 10), "status": status}
        if status is TaskStatus.COMPLETED:
            update(connection, task_id, end | {"result": "1", "result_format": "json"})
        if status is TaskStatus.FAILED:
            error = {"error": f"no user {number} in {dice.choice(['x', 'y'])}", "error_type": "KeyError"}
            update(connection, task_id, end | {"reason": "error"} | error)
        if status is TaskStatus.CANCELLED:
            update(connection, task_id, end | {"reason": "cancelled"})
    connection.execute("COMMIT")
    yield connection
    connection.close()


@pytest.fixture
def reader(connection: sqlite3.Connection, journal: Path) -> Iterator[Reader]:
    """Reads it."""
    with Reader(journal) as reader:
        yield reader


def walked(reader: Reader, wanted: Wanted, order: Order, *, descending: bool, limit: int) -> list[Page]:
    """All pages, from the first to the last."""
    found, after = [], None
    while True:
        page = reports.page(reader, wanted, order, descending=descending, limit=limit, after=after, at=NOW)
        found.append(page)
        if page.following is None:
            return found
        after = page.following


KEYS: dict[Order, Callable[[Line, int], Any]] = {
    Order.CREATED: lambda line, place: place,
    Order.NAME: lambda line, place: (line.name, place),
    Order.STATUS: lambda line, place: (line.status, place),
    Order.ENDED: lambda line, place: (line.completed_at, place),
    Order.DURATION: lambda line, place: (line.ran(NOW), place),
    Order.PROGRESS: lambda line, place: (line.progress, place),
}
FAILED = (TaskStatus.FAILED,)
WANTED: dict[str, tuple[Wanted, Callable[[Line], bool]]] = {
    "all": (Wanted(), lambda line: True),
    "failed": (Wanted(statuses=FAILED), lambda line: line.status is TaskStatus.FAILED),
    "two states": (
        Wanted(statuses=(TaskStatus.RUNNING, TaskStatus.CANCELLED)),
        lambda line: line.status in {"running", "cancelled"},
    ),
    "no state": (Wanted(statuses=()), lambda line: False),
    "name": (Wanted(name="work 3"), lambda line: line.name == "work 3"),
    "name with stars": (Wanted(name="*rk 3*"), lambda line: line.name == "work 3"),
    "several names": (Wanted(name=("work 3", "work 4")), lambda line: line.name in {"work 3", "work 4"}),
    "several names with stars": (Wanted(name=("*3", "*4", "x")), lambda line: line.name in {"work 3", "work 4"}),
    "no name": (Wanted(name=()), lambda line: False),
    "reason": (Wanted(reasons=(Reason.ERROR,)), lambda line: line.reason == "error"),
    "reasons, of a name": (
        Wanted(reasons=(Reason.ERROR, Reason.CANCELLED), name="work 3"),
        lambda line: line.reason is not None and line.name == "work 3",
    ),
    "any of several values": (
        Wanted(metadata={"user": AnyOf(("u3", "u4", 5))}),
        lambda line: int(line.id[1:]) % 7 in {3, 4},
    ),
    "any of several values with an index": (
        Wanted(metadata={"account": AnyOf(("a5", 7, "a6"))}, reasons=(Reason.ERROR,)),
        lambda line: int(line.id[1:]) % 60 in {5, 6} and line.reason == "error",
    ),
    "no value": (Wanted(metadata={"user": AnyOf(())}), lambda line: False),
    "a key in another": (
        Wanted(metadata={AnyOf((("at.place",), ("at", "place"))): "p1"}),
        lambda line: int(line.id[1:]) % 3 == 1,
    ),
    "name and state": (
        Wanted(name="work 3", statuses=FAILED),
        lambda line: line.name == "work 3" and line.status == "failed",
    ),
    "parent": (Wanted(parent_id="t0003"), lambda line: line.parent_id == "t0003"),
    "text": (Wanted(text="USER 1"), lambda line: "user 1" in (line.error or "")),
    "text with wildcards": (Wanted(text="%_d"), lambda line: True),
    "no such text": (Wanted(text="%%d"), lambda line: False),
    "key": (Wanted(metadata={"user": "u3"}), lambda line: int(line.id[1:]) % 7 == 3),
    "key with an index": (Wanted(metadata={"account": "a5"}), lambda line: int(line.id[1:]) % 60 == 5),
    "submitted": (
        Wanted(created_after=BEGIN + timedelta(seconds=30), created_before=BEGIN + timedelta(seconds=90)),
        lambda line: 30 <= int(line.id[1:]) < 90,
    ),
    "ended": (
        Wanted(ended_after=BEGIN + timedelta(seconds=30), ended_before=BEGIN + timedelta(seconds=90), statuses=FAILED),
        lambda line: (
            line.status == "failed"
            and line.completed_at is not None
            and 30 <= (line.completed_at - BEGIN).total_seconds() < 90
        ),
    ),
    "kind of error": (
        Wanted(kind="no user <n> in x", error_type="KeyError", statuses=FAILED),
        lambda line: kind_of(line.error) == "no user <n> in x",
    ),
}


@pytest.mark.parametrize("wanted", WANTED)
def test_the_pages_together_are_what_is_wanted_in_its_order(reader: Reader, wanted: str) -> None:
    """Each task once, none missing, as sorting all of them in Python has it."""
    conditions, fits = WANTED[wanted]
    [every] = walked(reader, Wanted(), Order.CREATED, descending=False, limit=1000)
    places = {line.id: place for place, line in enumerate(every.lines)}
    for order, descending in itertools.product(Order, (True, False)):
        chosen = [line for line in every.lines if fits(line) and (order is not Order.ENDED or line.status in ENDED)]
        has_key = [line for line in chosen if order is not Order.DURATION or line.started_at is not None]
        without = [line.id for line in chosen if line not in has_key]
        has_key.sort(key=lambda line, key=KEYS[order]: key(line, places[line.id]), reverse=descending)  # type: ignore[misc]
        expected = [*[line.id for line in has_key], *(without[::-1] if descending else without)]
        found = walked(reader, conditions, order, descending=descending, limit=7)
        ids = [line.id for page in found for line in page.lines if order is not Order.ENDED or line.completed_at]
        assert ids == expected, (order, descending)


@pytest.mark.parametrize("order", [Order.CREATED, Order.NAME, Order.ENDED])
def test_a_search_that_finds_little_stops_and_goes_on(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, order: Order
) -> None:
    """No page looks at more than so many tasks; the pages together find everything."""
    monkeypatch.setattr(keyset, "REACH", 25)
    monkeypatch.setattr(keyset, "FIRST_REACH", 5)
    found = walked(reader, Wanted(text="user 11"), order, descending=True, limit=7)
    assert any(page.is_cut_short for page in found[:-1])
    assert not found[-1].is_cut_short
    [whole] = walked(reader, Wanted(text="user 11"), Order.CREATED, descending=True, limit=1000)[-1:]
    assert {line.id for page in found for line in page.lines} >= {line.id for line in whole.lines}


def test_what_no_index_sorts_is_sorted_among_the_newest(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the page says so."""
    monkeypatch.setattr(keyset, "REACH", 25)
    found = walked(reader, Wanted(), Order.DURATION, descending=True, limit=7)
    assert {line.id for page in found for line in page.lines} == {f"t{number:04d}" for number in range(215, 240)}
    assert all(page.is_among_newest for page in found)


def test_what_comes_meanwhile_moves_nothing_to_another_page(reader: Reader, connection: sqlite3.Connection) -> None:
    """Neither twice nor never is a task shown, because a new one has come."""
    first = reports.page(reader, Wanted(), Order.PROGRESS, descending=True, limit=7, after=None, at=NOW)
    new = {"id": "new", "name": "x", "status": "pending", "created_at": at(900), "owner_id": "o1"}
    insert(connection, "tasks", new)
    connection.execute("UPDATE tasks SET progress = 100 WHERE id = 'new'")
    after = first.following
    assert after is not None
    second = reports.page(reader, Wanted(), Order.PROGRESS, descending=True, limit=7, after=after, at=NOW)
    assert not {line.id for line in first.lines} & {line.id for line in second.lines}
    assert "new" not in {line.id for line in second.lines}


def plan(connection: sqlite3.Connection, query: Query) -> list[str]:
    """How SQLite goes about a query."""
    return [line for *_, line in connection.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.values)]


@pytest.mark.parametrize("resumes", [False, True])
@pytest.mark.parametrize("order", [Order.CREATED, Order.NAME, Order.STATUS, Order.ENDED])
def test_a_page_is_a_walk_along_an_index(
    connection: sqlite3.Connection, reader: Reader, order: Order, *, resumes: bool
) -> None:
    """Nothing is sorted but what is on the page, and the table is read by the row."""
    seen: list[Query] = []

    class Watched(Reader):
        def rows(self, query: Query) -> list[tuple[Any, ...]]:
            seen.append(query)
            return super().rows(query)

    connection.create_function("ailf_kind", 1, kind_of)
    with Watched(Path(connection.execute("PRAGMA database_list").fetchone()[2])) as watched:
        page = reports.page(watched, Wanted(), order, descending=True, limit=7, after=None, at=NOW)
        if resumes:
            seen.clear()
            after = page.following and replace(page.following)
            reports.page(watched, Wanted(), order, descending=True, limit=7, after=after, at=NOW)
    steps = plan(connection, seen[-1])
    assert [step for step in steps if re.match(r"SEARCH tasks USING INTEGER PRIMARY KEY", step)], steps
    walks = [step for step in steps if re.match(r"(SCAN|SEARCH) tasks", step)]
    assert all("INDEX" in step or "PRIMARY KEY" in step for step in walks), steps
