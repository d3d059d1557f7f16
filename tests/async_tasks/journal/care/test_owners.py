"""Owners as rows: what they say of their process, and that none leaves a task unfinished behind."""

import os
import platform
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care import machine
from ailf.async_tasks.journal.care.life import Owner
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.care.owners import register, this_process, unregister
from ailf.async_tasks.journal.form.engine import Access, connect
from tests.async_tasks.journal.support import COMPLETED, RUNNING, insert, update


@pytest.fixture
def connection(journal: Path) -> Iterator[sqlite3.Connection]:
    """The writing connection of a current journal."""
    ensure_current(journal)
    connection = connect(journal, Access.WRITE)
    yield connection
    connection.close()


def add(connection: sqlite3.Connection, owner: Owner, *task_ids: str) -> None:
    """Register an owner with running tasks."""
    register(connection, owner)
    for task_id in task_ids:
        insert(connection, "tasks", RUNNING | {"id": task_id, "owner_id": owner.id})


def statuses(connection: sqlite3.Connection) -> dict[str, str]:
    """Each task's status."""
    return dict(connection.execute("SELECT id, status FROM tasks").fetchall())


def test_this_process_is_described_as_it_is() -> None:
    """Each owner is a new one, of this pid, host, boot, start and namespace."""
    one, other = this_process(), this_process()
    assert one.id != other.id
    assert (one.pid, one.host) == (os.getpid(), platform.node())
    assert one.boot_id == machine.boot_id() != ""
    assert one.pid_namespace == machine.pid_namespace() is not None
    assert one.process_started == machine.process_started() is not None


def test_a_row_says_all_of_that(connection: sqlite3.Connection) -> None:
    """And for how long its tasks are kept."""
    me = this_process()
    register(connection, me, '{"completed": 5.0}')
    [row] = connection.execute("SELECT pid, process_started, pid_namespace, retention FROM owners")
    assert row == (me.pid, me.process_started, me.pid_namespace, '{"completed": 5.0}')


def test_an_owner_that_stops_ends_what_it_left(connection: sqlite3.Connection) -> None:
    """In the transaction that says that it stopped: a task whose end was lost is never unfinished for ever."""
    me = this_process()
    add(connection, me, "lost", "ended")
    update(connection, "ended", COMPLETED)
    assert unregister(connection, me) == 1
    assert statuses(connection) == {"lost": "failed", "ended": "completed"}
    [(error,)] = connection.execute("SELECT error FROM tasks WHERE status = 'failed'")
    assert error.endswith("stopped, and how the task ended was lost")
    assert connection.execute("SELECT count(*) FROM task_events WHERE kind = 'failed'").fetchone() == (1,)
    assert connection.execute("SELECT count(*) FROM owners WHERE stopped_at IS NOT NULL").fetchone() == (1,)
