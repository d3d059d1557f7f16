"""What one process asks of another through the journal: that a task be cancelled.

The one who asks writes when it did, into the task's row; the owner looks whenever something was
written by anybody, and acts. The task's end is written by its owner alone, as ever.
"""

import sqlite3
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, bindparam, literal_column, select, update

from ailf.async_tasks.journal.form import named, positional, tasks, time_text
from ailf.async_tasks.journal.reading import Query
from ailf.async_tasks.states import UNFINISHED

_UNFINISHED: list[ColumnElement[str]] = [literal_column(f"'{status}'") for status in sorted(UNFINISHED)]

_REQUEST = named(
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"), tasks.c.status.in_(_UNFINISHED), tasks.c.owner_id != bindparam("me"))
    .values(cancel_requested_at=bindparam("at"))
)
# The plus signs leave SQLite the one index that is nearly always empty.
_REQUESTED = positional(
    select(tasks.c.id, tasks.c.cancel_requested_at).where(
        tasks.c.owner_id == bindparam("owner"),
        tasks.c.cancel_requested_at.is_not(None),
        literal_column("+tasks.status").in_(_UNFINISHED),
    )
)


def request_cancel(connection: sqlite3.Connection, task_id: str, me: str = "") -> bool:
    """Ask the owner of an unfinished task to cancel it.

    Args:
        connection: one that writes, outside of a transaction.
        task_id: the task.
        me: the owner who asks, whose own tasks are not asked for this way; empty where it is none.

    Returns:
        Whether there is such a task.
    """
    values = {"task_id": task_id, "me": me, "at": time_text(datetime.now(UTC))}
    return connection.execute(_REQUEST, values).rowcount == 1


def requests_query(owner_id: str) -> Query:
    """The unfinished tasks of an owner that somebody wants cancelled, and when that was asked."""
    return Query(_REQUESTED.sql, (owner_id,))
