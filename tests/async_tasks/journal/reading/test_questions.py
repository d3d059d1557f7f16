"""The questions that the page asks: what is in their answers, and that these are bounded."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks.journal.reading import Reader, reports
from ailf.async_tasks.journal.reading.reports import one, present, timeline
from ailf.async_tasks.states import TaskStatus
from tests.async_tasks.journal.support import COMPLETED, insert, opened, update

BEGIN = datetime(2026, 11, 24, 3, tzinfo=UTC)


def at(seconds: float) -> str:
    """A time as the journal spells it."""
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="microseconds")[:26] + "Z"


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """A journal without tasks."""
    connection = opened(journal)
    yield connection
    connection.close()


@pytest.fixture
def reader(connection: sqlite3.Connection, journal: Path) -> Iterator[Reader]:
    """Reads it."""
    with Reader(journal) as reader:
        yield reader


def begin(connection: sqlite3.Connection, task_id: str, second: float, **values: Any) -> None:
    """A task that runs from then on."""
    row = {"id": task_id, "name": "work", "status": "running", "owner_id": "o1"}
    insert(connection, "tasks", row | {"created_at": at(second), "started_at": at(second)} | values)


def fail(connection: sqlite3.Connection, task_id: str, second: float, error: str, error_type: str | None) -> None:
    """It fails."""
    end = {"status": "failed", "completed_at": at(second), "reason": "error", "error": error, "error_type": error_type}
    update(connection, task_id, end)


def complete(connection: sqlite3.Connection, task_id: str, second: float) -> None:
    """It ends well."""
    update(connection, task_id, COMPLETED | {"completed_at": at(second)})


def test_two_thousand_failures_are_three_errors(connection: sqlite3.Connection, reader: Reader) -> None:
    """By name, type and kind of message; each with its first and last time, and an example that is there."""
    kinds = [("no user {}", "KeyError"), ("host 10.0.0.{} is down", "OSError"), ("host 10.0.0.{} is down", None)]
    connection.execute("BEGIN")
    for number in range(2_000):
        message, error_type = kinds[number % 3]
        begin(connection, f"t{number}", number)
        fail(connection, f"t{number}", number + 0.5, message.format(number), error_type)
    connection.execute("COMMIT")
    found = reports.failures(reader)
    assert [(group.kind, group.error_type, group.count) for group in found.groups] == [
        ("host <n> is down", "OSError", 667),
        ("no user <n>", "KeyError", 667),
        ("host <n> is down", None, 666),
    ]
    assert not found.has_more
    users = found.groups[1]
    assert (users.first, users.last) == (BEGIN + timedelta(seconds=0.5), BEGIN + timedelta(seconds=1998.5))
    assert (users.example_id, users.example) == ("t1998", "no user 1998")


def test_failures_are_bounded_and_say_so(connection: sqlite3.Connection, reader: Reader) -> None:
    """The newest are grouped; all are, where all are asked for."""
    for number in range(5):
        begin(connection, f"t{number}", number)
        fail(connection, f"t{number}", number, "no", None)
    assert (reports.failures(reader, most=3).looked_at, reports.failures(reader, most=3).has_more) == (3, True)
    assert reports.failures(reader, most=reports.EVERY).looked_at == 5
    assert reports.failures(reader, BEGIN + timedelta(seconds=3)).looked_at == 2


def test_the_names_of_the_newest_alone(connection: sqlite3.Connection, reader: Reader) -> None:
    """With a bound the statistics are those of so many tasks, the newest."""
    for number in range(6):
        begin(connection, f"t{number}", number, name="old" if number < 3 else "new")
        complete(connection, f"t{number}", number + 2)
    [new] = reports.stats(reader, most=3)
    assert (new.name, new.tasks, new.completed, new.median_s) == ("new", 3, 3, 2)
    assert [(one.name, one.tasks) for one in reports.stats(reader)] == [("new", 3), ("old", 3)]


def test_the_board(connection: sqlite3.Connection, reader: Reader) -> None:
    """What runs and when it last said something, what waits, what ended, by the minute."""
    begin(connection, "runs", 0, progress=40, progress_message="half")
    insert(connection, "task_events", {"task_id": "runs", "at": at(5), "kind": "progress", "progress": 40})
    log = {"task_id": "runs", "at": at(9), "level": 20, "level_name": "INFO", "logger": "x", "message": "hello"}
    insert(connection, "task_logs", log)
    waits = {"id": "waits", "name": "w", "status": "pending", "owner_id": "o1", "created_at": at(1)}
    insert(connection, "tasks", waits)
    for number in range(3):
        begin(connection, f"t{number}", number)
        complete(connection, f"t{number}", 10 + 60 * number)
    begin(connection, "bad", 0)
    fail(connection, "bad", 30, "no", "KeyError")
    board = reports.board(reader, BEGIN + timedelta(minutes=2, seconds=30), running=5, queue=5, latest=2)
    assert [(one.line.id, one.line.message, one.last_said) for one in board.running] == [
        ("runs", "half", BEGIN + timedelta(seconds=9))
    ]
    assert [line.id for line in board.queue] == ["waits"]
    assert [line.id for line in board.latest] == ["t2", "t1"]
    assert board.last_failure is not None
    assert board.last_failure.id == "bad"
    assert board.counts == {"pending": 1, "running": 1, "completed": 3, "failed": 1, "cancelled": 0}
    assert len(board.minutes) == present.MINUTES
    assert board.minutes[-1].begin == BEGIN + timedelta(minutes=2)
    assert [minute.ended[TaskStatus.COMPLETED] for minute in board.minutes[-4:]] == [0, 1, 1, 1]
    assert board.minutes[-3].ended[TaskStatus.FAILED] == 1


def test_a_busy_hour_is_counted_bit_by_bit(
    connection: sqlite3.Connection, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last minutes first; what was counted is known the next time, when the earlier ones are."""
    monkeypatch.setattr(present, "MOST_ENDS", 10)
    for number in range(60):
        begin(connection, f"t{number}", 20 * number)
        complete(connection, f"t{number}", 20 * number)
    known: dict[str, reports.Minute] = {}
    looks = [reports.minutes(reader, BEGIN + timedelta(minutes=30), known) for _ in range(9)]
    assert [len(look) for look in looks[:2]] == [15, 19]
    assert len(looks[-1]) == present.MINUTES
    assert sum(minute.ended[TaskStatus.COMPLETED] for minute in looks[-1]) == 60
    assert len(known) <= present.MINUTES


def test_counting_stops(connection: sqlite3.Connection, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than is counted stands for "more"."""
    for number in range(5):
        begin(connection, f"t{number}", number)
    monkeypatch.setattr(present, "MOST_COUNTED", 3)
    assert reports.counted(reader)[TaskStatus.RUNNING] == 4


def test_a_period_has_what_waited_or_ran_in_it(connection: sqlite3.Connection, reader: Reader) -> None:
    """What ended in it, what ended after it, what has not ended; nothing that was over before or came after."""
    for task_id, start, end in [
        ("before", 0, 5),
        ("into", 1, 12),
        ("within", 11, 13),
        ("across", 2, 50),
        ("out", 15, 60),
    ]:
        begin(connection, task_id, start)
        complete(connection, task_id, end)
    begin(connection, "runs", 3)
    begin(connection, "after", 30)
    lines = reports.period_lines(reader, BEGIN + timedelta(seconds=10), BEGIN + timedelta(seconds=20), 10)
    assert {line.id for line in lines} == {"into", "within", "across", "out", "runs"}
    infos = reports.period(reader, BEGIN + timedelta(seconds=10), BEGIN + timedelta(seconds=20), 10)
    assert [info.id for info in infos] == [line.id for line in lines]
    last = reports.period(reader, datetime.min.replace(tzinfo=UTC), BEGIN + timedelta(days=1), 2)
    assert [info.id for info in last] == ["runs", "after"]


def test_a_period_looks_at_so_many(
    connection: sqlite3.Connection, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what ended after it, that is: the rest is found by when it ended."""
    monkeypatch.setattr(timeline, "LOOKED_AT", 2)
    for number in range(6):
        begin(connection, f"t{number}", number)
        complete(connection, f"t{number}", 100 + number)
    lines = reports.period_lines(reader, BEGIN, BEGIN + timedelta(seconds=50), 2)
    assert [line.id for line in lines] == ["t4", "t5"]


def test_a_sheet_holds_the_beginnings_of_what_is_long(connection: sqlite3.Connection, reader: Reader) -> None:
    """The whole is another question."""
    begin(connection, "big", 0, metadata='{"a":1}')
    long = f'"{"x" * 200_000}"'
    update(connection, "big", COMPLETED | {"completed_at": at(1), "result": long})
    sheet = reports.sheet(reader, "big")
    assert sheet is not None
    assert sheet.result is not None
    assert (len(sheet.result.begin), sheet.result.characters) == (one.TEXT_CHARACTERS, len(long))
    assert not sheet.result.is_whole
    assert (sheet.metadata.begin, sheet.metadata.is_whole, sheet.error) == ('{"a":1}', True, None)
    assert reports.part(reader, "big", "result") == long
    assert reports.part(reader, "big", "id") is None
    assert reports.part(reader, "nobody", "result") is None
    assert reports.sheet(reader, "nobody") is None


def test_events_reports_and_logs(connection: sqlite3.Connection, reader: Reader) -> None:
    """The last of each, the oldest first; of a level, and after one that was seen."""
    begin(connection, "t", 0)
    for number in range(5):
        insert(connection, "task_events", {"task_id": "t", "at": at(number), "kind": "progress", "progress": number})
        log = {"task_id": "t", "at": at(number), "logger": "x", "message": f"m{number}", "fields": '{"n":1}'}
        level = {"level": 10 + 10 * (number % 2), "level_name": "INFO" if number % 2 else "DEBUG"}
        insert(connection, "task_logs", log | level)
    assert [event.progress for event in reports.last_events(reader, "t", 2)] == [3, 4]
    assert [progress for _, progress in reports.reports_of(reader, "t")] == [0, 1, 2, 3, 4]
    assert [line.message.begin for line in reports.last_logs(reader, "t", most=2)] == ["m3", "m4"]
    loud = reports.last_logs(reader, "t", level=20, most=10)
    assert [line.message.begin for line in loud] == ["m1", "m3"]
    assert [line.seq for line in reports.last_logs(reader, "t", after=loud[-1].seq, most=10)] == [loud[-1].seq + 1]
    assert reports.whole_log(reader, "t").splitlines()[1].endswith("INFO x: m1")


def test_a_family(connection: sqlite3.Connection, reader: Reader) -> None:
    """Those above from the first on; those below, each under its parent; bounded."""
    for number, (task_id, parent) in enumerate(
        [("a", None), ("b", "a"), ("c", "b"), ("d", "c"), ("e", "b"), ("f", "d"), ("g", "c")]
    ):
        begin(connection, task_id, number, parent_id=parent)
    family = reports.family(reader, "b", 10)
    assert [(one.line.id, one.depth) for one in family.ancestors] == [("a", -1)]
    below = [(one.line.id, one.depth) for one in family.descendants]
    assert below == [("c", 1), ("d", 2), ("f", 3), ("g", 2), ("e", 1)]
    assert not family.has_more
    assert reports.family(reader, "a", 2).has_more
    assert [one.line.id for one in reports.family(reader, "f", 2).ancestors] == ["a", "b", "c", "d"]


def test_a_family_that_goes_round_ends(connection: sqlite3.Connection, reader: Reader) -> None:
    """No program makes such a one; a shell can."""
    begin(connection, "a", 0, parent_id="b")
    begin(connection, "b", 0, parent_id="a")
    family = reports.family(reader, "a", 10)
    assert len(family.ancestors) <= 60
    assert len(family.descendants) == 10
