"""The schema: what the migrations make is what the code says, it refuses bad rows, and it explains itself."""

import os
import sqlite3
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from ailf.async_tasks.journal.form import schema, views
from ailf.async_tasks.states import ENDED, TRANSITIONS, EventKind, Reason, TaskStatus
from tests.async_tasks.journal.support import (
    CANCELLED,
    COMPLETED,
    EARLY,
    FAILED,
    LATE,
    LATER,
    PENDING,
    RUNNING,
    insert,
    opened,
    run,
    schema_of,
    update,
)

ENDS = {TaskStatus.COMPLETED: COMPLETED, TaskStatus.FAILED: FAILED, TaskStatus.CANCELLED: CANCELLED}
MOVES: dict[TaskStatus, dict[str, Any]] = {
    TaskStatus.PENDING: {"status": "pending"},
    TaskStatus.RUNNING: {"status": "running", "started_at": LATER},
    **ENDS,
}
ESCAPES = "one\ntwo\r\nthree\x1b[31mred\x9b0m\t\b\a\x90\x9d"


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """A journal with one owner, as plain SQLite opens it."""
    connection = opened(journal)
    yield connection
    connection.close()


def test_the_migrations_make_what_the_code_says(connection: sqlite3.Connection, tmp_path: Path) -> None:
    """Tables, columns, CHECKs, foreign keys, indexes, views and triggers are equal, word for word."""
    engine = create_engine(f"sqlite:///{tmp_path / 'metadata.db'}")
    with engine.begin() as made:
        schema.metadata.create_all(made)
        for statement in [*views.VIEWS.values(), *schema.TRIGGERS.values()]:
            made.exec_driver_sql(statement)
    engine.dispose()
    plain = sqlite3.connect(tmp_path / "metadata.db")
    wanted, found = schema_of(plain), schema_of(connection)
    plain.close()
    assert found == wanted
    assert len(found) == 5 + 9 + 7 + 5


def test_the_mark_spells_the_name() -> None:
    """The application_id is four letters that a hex dump of the file shows."""
    assert schema.APPLICATION_ID.to_bytes(4, "big") == b"ailf"


BAD_TASKS: list[tuple[str, dict[str, Any]]] = [
    ("reason_is_known", FAILED | {"reason": "bored"}),
    ("reason_goes_with_status", FAILED | {"reason": None}),
    ("reason_goes_with_status", COMPLETED | {"reason": "error"}),
    ("reason_goes_with_status", {"reason": "error"}),
    ("progress_is_a_percentage", {"progress": -1}),
    ("progress_is_a_percentage", {"progress": 100.5}),
    ("progress_is_a_percentage", {"progress": float("inf")}),
    ("progress_is_a_percentage", {"progress": "50"}),
    ("progress_is_a_percentage", {"progress": b"50"}),
    ("ended_has_completed_at", {"completed_at": LATE}),
    ("ended_has_completed_at", FAILED | {"completed_at": None}),
    ("run_has_started_at", {"started_at": None}),
    ("run_has_started_at", COMPLETED | {"started_at": None}),
    ("started_after_created", {"started_at": "2026-11-24T02:59:59.000000Z"}),
    ("completed_after_started", FAILED | {"completed_at": EARLY}),
    ("timeout_is_positive", {"timeout": 0}),
    ("timeout_is_positive", {"timeout": -1}),
    ("metadata_is_an_object", {"metadata": "[]"}),
    ("metadata_is_an_object", {"metadata": "{'a': 1}"}),
    ("metadata_is_an_object|malformed JSON", {"metadata": ""}),
    ("completed_has_result", COMPLETED | {"result": None}),
    ("completed_has_result", COMPLETED | {"result_format": None}),
    ("completed_has_result", FAILED | {"result": "1", "result_format": "json"}),
    ("completed_has_result", {"result": "1"}),
    ("result_format_is_known", COMPLETED | {"result_format": "pickle"}),
    ("result_is_json", COMPLETED | {"result": "NaN"}),
    ("NOT NULL", {"metadata": None}),
    ("NOT NULL", {"name": None}),
    ("NOT NULL", {"progress": None}),
    ("cannot store TEXT value in REAL", {"timeout": "soon"}),
    ("cannot store BLOB value in TEXT", {"name": b"x"}),
    ("FOREIGN KEY", {"owner_id": "nobody"}),
]


@pytest.mark.parametrize(("refusal", "values"), BAD_TASKS)
def test_a_bad_task_is_refused(connection: sqlite3.Connection, refusal: str, values: dict[str, Any]) -> None:
    """Each CHECK refuses the row that it is there for, and the row is as it was."""
    insert(connection, "tasks", RUNNING)
    before = connection.execute("SELECT * FROM tasks").fetchall()
    with pytest.raises((sqlite3.IntegrityError, sqlite3.OperationalError), match=refusal):
        update(connection, "t1", values)
    assert connection.execute("SELECT * FROM tasks").fetchall() == before


def test_an_unknown_status_is_refused_even_without_the_triggers(connection: sqlite3.Connection) -> None:
    """The triggers, which know no way into an unknown state, are not all that stands in its way."""
    insert(connection, "tasks", RUNNING)
    connection.execute("DROP TRIGGER tasks_follow_transitions")
    with pytest.raises(sqlite3.IntegrityError, match="status_is_known"):
        update(connection, "t1", {"status": "sleeping"})


def test_a_task_cancelled_before_its_start_ends_after_its_submission(connection: sqlite3.Connection) -> None:
    """Where there is no start, the end is measured by the submission."""
    insert(connection, "tasks", PENDING)
    with pytest.raises(sqlite3.IntegrityError, match="completed_after_started"):
        update(connection, "t1", CANCELLED | {"completed_at": "2026-11-24T02:59:59.000000Z"})
    update(connection, "t1", CANCELLED | {"completed_at": EARLY})


BAD_EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("kind_is_known", {"kind": "paused"}),
    ("progress_is_a_percentage", {"kind": "progress", "progress": 101}),
    ("progress_is_a_percentage", {"kind": "progress", "progress": "5"}),
    ("progress_goes_with_kind", {"kind": "progress"}),
    ("progress_goes_with_kind", {"kind": "started", "progress": 5}),
    ("FOREIGN KEY", {"task_id": "nobody"}),
    ("NOT NULL", {"at": None}),
]


@pytest.mark.parametrize(("refusal", "values"), BAD_EVENTS)
def test_a_bad_event_is_refused(connection: sqlite3.Connection, refusal: str, values: dict[str, Any]) -> None:
    """Each CHECK of the events refuses what it is there for."""
    insert(connection, "tasks", PENDING)
    with pytest.raises(sqlite3.IntegrityError, match=refusal):
        insert(connection, "task_events", {"task_id": "t1", "at": EARLY, "kind": "started"} | values)
    assert connection.execute("SELECT count(*) FROM task_events").fetchone() == (0,)


@pytest.mark.parametrize("kind", EventKind)
def test_every_kind_of_event_is_taken_and_final(connection: sqlite3.Connection, kind: EventKind) -> None:
    """The database knows each kind, and lets nobody rewrite an event."""
    insert(connection, "tasks", PENDING)
    progress = 5 if kind is EventKind.PROGRESS else None
    insert(connection, "task_events", {"task_id": "t1", "at": EARLY, "kind": kind, "progress": progress})
    with pytest.raises(sqlite3.IntegrityError, match="an event is never changed"):
        connection.execute("UPDATE task_events SET message = 'x'")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_taken(connection: sqlite3.Connection, reason: Reason) -> None:
    """The database knows each reason."""
    insert(connection, "tasks", RUNNING)
    update(connection, "t1", FAILED | {"reason": reason})


@pytest.mark.parametrize(("before", "after"), list(product(TaskStatus, TaskStatus)))
def test_only_the_state_machine_s_transitions_are_taken(
    connection: sqlite3.Connection, before: TaskStatus, after: TaskStatus
) -> None:
    """State by state, the triggers allow what the table of transitions allows, and nothing else."""
    insert(connection, "tasks", PENDING if before is TaskStatus.PENDING else RUNNING)
    if before in ENDS:
        update(connection, "t1", ENDS[before])
    stays = before is after and before not in ENDED
    if stays or after in TRANSITIONS[before]:
        update(connection, "t1", MOVES[after])
    else:
        with pytest.raises(sqlite3.IntegrityError, match=r"its row is final|no such transition"):
            update(connection, "t1", MOVES[after])


@pytest.mark.parametrize("status", sorted(ENDED))
def test_an_ended_row_is_final_in_every_column(connection: sqlite3.Connection, status: TaskStatus) -> None:
    """Not only the status: nothing about an ended task changes any more."""
    insert(connection, "tasks", RUNNING)
    update(connection, "t1", ENDS[status])
    for (column,) in connection.execute("SELECT name FROM pragma_table_info('tasks')").fetchall():
        with pytest.raises(sqlite3.IntegrityError, match="its row is final"):
            connection.execute(f"UPDATE tasks SET {column} = {column}")


@pytest.mark.parametrize("status", sorted(ENDED))
def test_a_task_comes_in_unfinished(connection: sqlite3.Connection, status: TaskStatus) -> None:
    """No row begins with its end."""
    with pytest.raises(sqlite3.IntegrityError, match="comes into the journal unfinished"):
        insert(connection, "tasks", RUNNING | ENDS[status])


def test_events_go_with_their_task_and_numbers_are_never_used_twice(connection: sqlite3.Connection) -> None:
    """A reader who goes on from the last number seen misses nothing, whatever was deleted."""
    insert(connection, "tasks", PENDING)
    insert(connection, "task_events", {"task_id": "t1", "at": EARLY, "kind": "submitted"})
    connection.execute("DELETE FROM tasks")
    assert connection.execute("SELECT count(*) FROM task_events").fetchone() == (0,)
    insert(connection, "tasks", PENDING)
    insert(connection, "task_events", {"task_id": "t1", "at": EARLY, "kind": "submitted"})
    assert connection.execute("SELECT seq FROM task_events").fetchone() == (2,)


def test_a_number_comes_back_as_it_went_in(connection: sqlite3.Connection) -> None:
    """20 is 20 and 20.0 is 20.0: the column takes both kinds of number and changes neither."""
    insert(connection, "tasks", RUNNING)
    for value in (20, 20.0, 0.1):
        update(connection, "t1", {"progress": value})
        [(found,)] = connection.execute("SELECT progress FROM tasks").fetchall()
        assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("table", ["owners", "tasks", "task_events", "task_logs", "journal"])
def test_the_shell_s_schema_explains_each_table(journal: Path, table: str) -> None:
    """The CREATE that ``.schema`` shows begins with a comment, and times are explained where they are."""
    opened(journal).close()
    text = run("sqlite3", journal, f".schema {table}").stdout
    assert text.startswith(f"CREATE TABLE {table} (\n  -- ")
    assert text.count("--") >= 3


@pytest.mark.parametrize("view", sorted(views.VIEWS))
def test_a_view_is_one_legible_line_a_row(connection: sqlite3.Connection, view: str) -> None:
    """Line breaks and the beginnings of terminal escapes in names, messages and errors are made visible."""
    for number, end in enumerate([{}, FAILED | {"error": ESCAPES, "error_type": ESCAPES}]):
        task_id = f"t{number}"
        insert(connection, "tasks", RUNNING | {"id": task_id, "name": ESCAPES, "progress_message": ESCAPES})
        insert(connection, "task_events", {"task_id": task_id, "at": LATE, "kind": "failed", "message": ESCAPES})
        insert(
            connection,
            "task_logs",
            {"task_id": task_id, "at": LATE, "level": 20, "level_name": "INFO", "logger": ESCAPES, "message": ESCAPES},
        )
        update(connection, task_id, {"progress": 5} | end)
    rows = connection.execute(f"SELECT * FROM {view}").fetchall()
    assert len(rows) == (1 if view in ("active_tasks", "failed_tasks", "task_stats") else 2)
    for row in rows:
        assert "one two" in row[0 if view in ("task_stats", "task_tree") else 1]
        text = "|".join(map(str, row))
        assert text.isprintable()


def test_the_views_show_local_times_and_seconds(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader sees the clock on the wall, and durations without having to subtract."""
    monkeypatch.setitem(os.environ, "TZ", "Etc/GMT-5")
    time.tzset()
    try:
        insert(connection, "tasks", RUNNING)
        insert(connection, "task_events", {"task_id": "t1", "at": LATER, "kind": "started"})
        update(connection, "t1", FAILED | {"error": "no", "error_type": "ValueError"})
        history = connection.execute("SELECT * FROM task_history").fetchall()
        timeline = connection.execute("SELECT at, after_s FROM task_timeline").fetchall()
        failures = connection.execute("SELECT failed, ran_s FROM failed_tasks").fetchall()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert history == [("2026-11-24 08:00:00", "work", "failed", 1.0, 1.0, 0, "error: ValueError: no", "t1")]
    assert timeline == [("2026-11-24 08:00:01.000", 1.0)]
    assert failures == [("2026-11-24 08:00:02", 1.0)]


def test_active_tasks_say_in_which_process_they_run(connection: sqlite3.Connection) -> None:
    """An unfinished task is shown with its limit and its process; an ended one is not."""
    insert(connection, "tasks", RUNNING | {"timeout": 5.0})
    found = connection.execute("SELECT name, status, limit_s, pid, host, id FROM active_tasks").fetchall()
    assert found == [("work", "running", 5.0, 1, "h", "t1")]
    update(connection, "t1", CANCELLED)
    assert connection.execute("SELECT * FROM active_tasks").fetchall() == []


def test_an_active_task_says_how_long_it_still_needs(connection: sqlite3.Connection) -> None:
    """At half of the way that is as long as it ran; without progress nobody knows."""
    insert(connection, "tasks", RUNNING | {"progress": 50, "cancel_requested_at": LATE})
    insert(connection, "tasks", RUNNING | {"id": "t2"})
    first, second = connection.execute("SELECT running_s, to_go_s, cancel_asked FROM active_tasks").fetchall()
    assert first[1] == pytest.approx(first[0], abs=0.01)
    assert first[2] is not None
    assert second[1:] == (None, None)


def test_the_statistics_of_a_name(connection: sqlite3.Connection) -> None:
    """How many there are in each state, the middle and the worst of the durations, and the last failure."""
    for number, seconds in enumerate((5, 1, 3, 2, 4)):
        start = f"2026-11-24T03:0{number}:00.000000Z"
        end = f"2026-11-24T03:0{number}:0{seconds}.500000Z"
        insert(connection, "tasks", RUNNING | {"id": f"t{number}", "created_at": start, "started_at": start})
        values = COMPLETED if number < 3 else FAILED | {"error": f"no {number}", "error_type": "ValueError"}
        update(connection, f"t{number}", values | {"completed_at": end})
    insert(connection, "tasks", RUNNING | {"id": "t8"})
    insert(connection, "tasks", PENDING | {"id": "t9", "name": "waits"})
    [work, waits] = connection.execute("SELECT * FROM task_stats").fetchall()
    assert work[:9] == ("work", 6, 1, 3, 2, 0, 3.5, 5.5, 5.5)
    assert work[10] == "ValueError: no 4"
    assert waits == ("waits", 1, 1, 0, 0, 0, None, None, None, None, None)
