"""The scheduled DELETE, in steps small enough for others to write in between, and giving file space back."""

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, bindparam, delete, exists, literal_column, select

from ailf.async_tasks.journal.form import named, owners, tasks, time_text
from ailf.async_tasks.states import TaskStatus

TASKS_A_STEP = 15
"""How many tasks one transaction deletes; their events go with them, a few for each."""

PAGES_A_STEP = 100
"""How many pages one transaction gives back to the file system, of 4 KiB each."""

Retention = Mapping[TaskStatus, timedelta]
"""How long a task is kept after its end, by end state; a state that is missing is kept for ever."""


_ROWID: ColumnElement[int] = literal_column("tasks.rowid")
_OLDEST = (
    select(_ROWID)
    .where(
        tasks.c.status == bindparam("status"),
        tasks.c.completed_at.is_not(None),
        tasks.c.completed_at < bindparam("before"),
    )
    .order_by(tasks.c.completed_at)
    .limit(bindparam("most"))
    .offset(literal_column("0"))
)
_DELETE_TASKS = named(delete(tasks).where(_ROWID.in_(_OLDEST)))
_DELETE_OWNERS = named(
    delete(owners).where(
        owners.c.stopped_at.is_not(None), ~exists(select(tasks.c.id).where(tasks.c.owner_id == owners.c.id))
    )
)


def delete_step(connection: sqlite3.Connection, status: TaskStatus, before: datetime) -> int:
    """Delete some of the tasks that ended in a state before a time, oldest first, events included.

    Args:
        connection: the writer's, outside of a transaction.
        status: the end state.
        before: the time (UTC).

    Returns:
        How many tasks were deleted; fewer than ``TASKS_A_STEP`` when none is left.
    """
    values = {"status": status, "before": time_text(before), "most": TASKS_A_STEP}
    return connection.execute(_DELETE_TASKS, values).rowcount


def forget_owners(connection: sqlite3.Connection) -> None:
    """Delete the stopped owners that have no task left."""
    connection.execute(_DELETE_OWNERS)


def shrink_step(connection: sqlite3.Connection) -> bool:
    """Give some free pages of the file back to the file system.

    Returns:
        Whether there is more to give.
    """
    [(free,)] = connection.execute("PRAGMA freelist_count").fetchall()
    if free:
        # The statement does a page a row, of no columns, of which Python reads the first alone; what it
        # runs as a script it runs to the end.
        connection.executescript(f"PRAGMA incremental_vacuum({PAGES_A_STEP})").close()
    return free > PAGES_A_STEP  # type: ignore[no-any-return]
