"""What there is to know about one task besides its row."""

from typing import Any

from sqlalchemy import bindparam, select

from ailf.async_tasks.journal.form import owners, positional
from ailf.async_tasks.journal.reading.queries import Query
from ailf.async_tasks.journal.reading.readers import Reader

_EVENT_BEFORE = "SELECT seq FROM task_events ORDER BY seq DESC LIMIT 1 OFFSET ?"
_TASK_EVENT_BEFORE = "SELECT seq FROM task_events WHERE task_id = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"


def event_before_the_last(reader: Reader, task_id: str | None, number: int) -> int:
    """The ``seq`` after which the last so many events come, of one task or of all."""
    if task_id is None:
        rows = reader.rows(Query(_EVENT_BEFORE, (number,)))
    else:
        rows = reader.rows(Query(_TASK_EVENT_BEFORE, (task_id, number)))
    return int(rows[0][0]) if rows else 0


_OWNER = positional(select(owners).where(owners.c.id == bindparam("owner_id")))


def owner_of(reader: Reader, owner_id: str) -> dict[str, Any] | None:
    """The row of a manager, by the names of its columns; None where it is gone."""
    rows = reader.rows(Query(_OWNER.sql, (owner_id,)))
    return dict(zip(owners.c.keys(), rows[0], strict=True)) if rows else None
