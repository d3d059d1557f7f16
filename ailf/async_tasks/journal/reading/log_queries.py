"""The lines of a task's log, as the library itself reads them."""

from sqlalchemy import bindparam, literal_column, select

from ailf.async_tasks.journal.form import positional, task_logs, tasks
from ailf.async_tasks.journal.reading.filters import Query, bound

LOWEST_LEVEL = -(2**31)
"""What no line is below."""

_LOGS = positional(
    select(task_logs)
    .where(
        task_logs.c.task_id == bindparam("task_id"),
        task_logs.c.seq > bindparam("after"),
        task_logs.c.level >= bindparam("level"),
    )
    .order_by(task_logs.c.seq)
    .limit(bindparam("limit"))
    .offset(literal_column("0"))
)


_LAST_LOGS = positional(
    select(task_logs)
    .where(task_logs.c.task_id == bindparam("task_id"), task_logs.c.level >= bindparam("level"))
    .order_by(task_logs.c.seq.desc())
    .limit(bindparam("limit"))
    .offset(literal_column("0"))
)


def last_logs_query(task_id: str, number: int, *, level: int | None = None) -> Query:
    """The last lines of a task's log, the last first.

    Args:
        task_id: the task.
        number: at most so many.
        level: of this level or above; None is any.
    """
    values = {"task_id": task_id, "level": LOWEST_LEVEL if level is None else level, "limit": number}
    return bound(_LAST_LOGS, values)


_STATUS = positional(select(tasks.c.status).where(tasks.c.id == bindparam("task_id")))


def status_query(task_id: str) -> Query:
    """Where a task stands; no row where there is no such task."""
    return Query(_STATUS.sql, (task_id,))


def logs_query(task_id: str, *, level: int | None = None, after: int | None = None, limit: int | None = None) -> Query:
    """The lines of a task's log, in their order.

    Args:
        task_id: the task.
        level: of this level or above; None is any.
        after: only such as come after this ``seq``; None is from the first on.
        limit: at most so many; None is all.
    """
    values = {
        "task_id": task_id,
        "level": LOWEST_LEVEL if level is None else level,
        "after": 0 if after is None else after,
        # A negative LIMIT is none (https://sqlite.org/lang_select.html#limitoffset).
        "limit": -1 if limit is None else limit,
    }
    return bound(_LOGS, values)
