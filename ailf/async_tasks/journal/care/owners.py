"""The owners of a journal as rows: they come, stop, are found dead, and never leave a task unfinished behind."""

import os
import platform
import sqlite3
import uuid
from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, insert, literal_column, or_, select, update

from ailf.async_tasks.journal.care import machine
from ailf.async_tasks.journal.care.life import Owner
from ailf.async_tasks.journal.form import named, owners, task_events, tasks, time_text
from ailf.async_tasks.states import UNFINISHED, EventKind, Reason, TaskStatus


def this_process() -> Owner:
    """A new owner for a manager of this process."""
    return Owner(
        id=str(uuid.uuid4()),
        pid=os.getpid(),
        host=platform.node(),
        boot_id=machine.boot_id(),
        process_started=machine.process_started(),
        pid_namespace=machine.pid_namespace(),
    )


_UNFINISHED: list[ColumnElement[str]] = [literal_column(f"'{status}'") for status in sorted(UNFINISHED)]
_THEIRS = (tasks.c.owner_id == bindparam("owner"), tasks.c.status.in_(_UNFINISHED))
# A clock that steps back must not let a task end before it started.
_LAST_TIME = func.coalesce(tasks.c.started_at, tasks.c.created_at)
_ENDED_AT = case((bindparam("at") < _LAST_TIME, _LAST_TIME), else_=bindparam("at"))

_IDENTITY = (
    owners.c.id,
    owners.c.pid,
    owners.c.host,
    owners.c.boot_id,
    owners.c.process_started,
    owners.c.pid_namespace,
    owners.c.lock_inode,
)
_IS_OPEN = and_(owners.c.stopped_at.is_(None), owners.c.found_dead_at.is_(None))
_INSERT_OWNER = named(
    insert(owners).values(
        {column: bindparam(column) for column in (*(one.name for one in _IDENTITY), "started_at", "retention")}
    )
)
_TO_JUDGE = named(
    select(*_IDENTITY, _IS_OPEN)
    .where(
        owners.c.id != bindparam("me"),
        or_(_IS_OPEN, exists().where(tasks.c.owner_id == owners.c.id, tasks.c.status.in_(_UNFINISHED))),
    )
    .order_by(owners.c.started_at)
)
_OPEN_OWNERS = named(
    select(*_IDENTITY, owners.c.started_at, owners.c.retention).where(_IS_OPEN).order_by(owners.c.started_at)
)
_OPEN_OWNERS_BEFORE = """\
SELECT id, pid, host, boot_id, NULL, NULL, NULL, started_at, NULL
FROM owners WHERE stopped_at IS NULL ORDER BY started_at"""
_FAIL_EVENTS = named(
    insert(task_events).from_select(
        ["task_id", "at", "kind", "message"],
        select(tasks.c.id, _ENDED_AT, literal_column(f"'{EventKind.FAILED}'"), bindparam("error")).where(*_THEIRS),
    )
)
_FAIL_TASKS = named(
    update(tasks)
    .where(*_THEIRS)
    .values(
        status=literal_column(f"'{TaskStatus.FAILED}'"),
        reason=literal_column(f"'{Reason.PROCESS_DIED}'"),
        completed_at=_ENDED_AT,
        error=bindparam("message"),
    )
)
_BEGINS_WITH = named(
    select(*_IDENTITY, _IS_OPEN).where(
        func.substr(owners.c.id, literal_column("1"), func.length(bindparam("owner"))) == bindparam("owner")
    )
)
_OWNER = owners.c.id == bindparam("owner")
_STOP_OWNER = named(update(owners).where(_OWNER).values(stopped_at=bindparam("at")))
_FIND_OWNER_DEAD = named(update(owners).where(_OWNER, _IS_OPEN).values(found_dead_at=bindparam("at")))
_FIND_OWNER_ALIVE = named(
    update(owners).where(_OWNER).values(found_dead_at=literal_column("NULL"), lock_inode=bindparam("inode"))
)


def register(connection: sqlite3.Connection, owner: Owner, retention: str | None = None) -> None:
    """Write the owner's row; its lock is held already.

    Args:
        connection: one that writes.
        owner: the owner.
        retention: for how long its tasks are kept, as ``retention.policy_text`` says it.
    """
    connection.execute(
        _INSERT_OWNER,
        {
            "id": owner.id,
            "pid": owner.pid,
            "host": owner.host,
            "boot_id": owner.boot_id,
            "process_started": owner.process_started,
            "pid_namespace": owner.pid_namespace,
            "lock_inode": owner.lock_inode,
            "started_at": time_text(datetime.now(UTC)),
            "retention": retention,
        },
    )


def unregister(connection: sqlite3.Connection, owner: Owner) -> int:
    """Write that the owner has stopped, all its tasks ended.

    Returns:
        How many tasks were unfinished all the same, since their ends were lost, and are FAILED now.
    """
    lost = f"The manager that ran this task (pid {owner.pid} on {owner.host}) stopped, and how the task ended was lost"
    return _close(connection, owner, _STOP_OWNER, lost)


def return_to_life(connection: sqlite3.Connection, owner: Owner) -> None:
    """Write which lock file is the owner's now; if it was found dead while that was gone, take that back."""
    connection.execute(_FIND_OWNER_ALIVE, {"owner": owner.id, "inode": owner.lock_inode})


def open_owners(connection: sqlite3.Connection) -> list[tuple[Owner, str, str | None]]:
    """Every owner that has neither stopped nor been found dead, also of a journal of an earlier revision.

    Returns:
        Each with when it started, and for how long its tasks are kept, as text.
    """
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(owners)")}
    statement = _OPEN_OWNERS if "found_dead_at" in columns else _OPEN_OWNERS_BEFORE
    return [(Owner(*row[:-2]), row[-2], row[-1]) for row in connection.execute(statement).fetchall()]


def to_judge(connection: sqlite3.Connection, me: Owner) -> list[tuple[Owner, bool]]:
    """Whom a recovery has to judge: each with whether its row is open."""
    return [(Owner(*row[:-1]), bool(row[-1])) for row in connection.execute(_TO_JUDGE, {"me": me.id}).fetchall()]


def with_id(connection: sqlite3.Connection, beginning: str) -> list[tuple[Owner, bool]]:
    """The owners whose ids begin with a text: each with whether its row is open."""
    found = connection.execute(_BEGINS_WITH, {"owner": beginning}).fetchall()
    return [(Owner(*row[:-1]), bool(row[-1])) for row in found]


def give_up_all(connection: sqlite3.Connection) -> int:
    """End whatever is unfinished in a copy of a journal, in which nobody can be at work; returns how many tasks."""
    found = connection.execute(_TO_JUDGE, {"me": ""}).fetchall()
    return sum(give_up(connection, Owner(*identity)) for *identity, _ in found)


def give_up(connection: sqlite3.Connection, owner: Owner) -> int:
    """Write that an owner was found dead, and end what it left unfinished as FAILED; returns how many tasks."""
    died = f"The process that ran this task (pid {owner.pid} on {owner.host}) ended before the task did"
    return _close(connection, owner, _FIND_OWNER_DEAD, died)


def _close(connection: sqlite3.Connection, owner: Owner, mark: str, message: str) -> int:
    """End what an owner left unfinished, and mark its row, in one transaction; returns how many tasks that were."""
    values = {"owner": owner.id, "at": time_text(datetime.now(UTC)), "error": message, "message": message}
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_FAIL_EVENTS, values)
        failed = connection.execute(_FAIL_TASKS, values).rowcount
        connection.execute(mark, values)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return failed
