"""One task: everything about it, each part bounded, since a task may hold a megabyte of anything."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from ailf.async_tasks.journal.form import format_of, moment_of, owners, percentage_of, positional, task_event
from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import LINE, Line, Text, line_of
from ailf.async_tasks.model import TaskEvent
from ailf.async_tasks.states import EventKind, ResultFormat

TEXT_CHARACTERS = 50_000
"""How much of a result, the metadata, an error or a traceback is read; the whole is asked for by ``part``."""

REPORTS_LOOKED_AT = 2_000
"""How many reports of progress are read, the last."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A task with its texts as the journal has them."""

    line: Line
    metadata: Text
    result: Text | None
    result_format: ResultFormat | None
    error: Text | None
    traceback: Text | None
    message: Text | None
    owner_id: str


_TEXTS = ("metadata", "result", "error", "traceback", "progress_message")
PARTS = frozenset(_TEXTS)
"""The texts of a task that can be asked for as a whole."""

_CUT = ", ".join(f"substr({name}, 1, {TEXT_CHARACTERS}), length({name})" for name in _TEXTS)
_SHEET = f"""\
SELECT {LINE}, result_format, owner_id, {_CUT}
FROM tasks WHERE id = ?"""


def sheet(reader: Reader, task_id: str) -> Sheet | None:
    """A task; None where it is not in the journal."""
    rows = reader.rows(Query(_SHEET, (task_id,)))
    if not rows:
        return None
    width = len(fields(Line))
    row, rest = rows[0][:width], rows[0][width:]
    texts = [None if text is None else Text(text, length) for text, length in zip(rest[2::2], rest[3::2], strict=True)]
    metadata, result, error, traceback, message = texts
    return Sheet(
        line=line_of(row),
        metadata=metadata or Text("{}", 2),
        result=result,
        result_format=format_of(rest[0]),
        error=error,
        traceback=traceback,
        message=message,
        owner_id=rest[1],
    )


def part(reader: Reader, task_id: str, name: str) -> str | None:
    """One of ``PARTS`` of a task as a whole; None where there is none.

    Args:
        reader: reads the journal.
        task_id: the task.
        name: which of ``PARTS``.
    """
    if name not in PARTS:
        return None
    rows = reader.rows(Query(f"SELECT {name} FROM tasks WHERE id = ?", (task_id,)))
    return rows[0][0] if rows else None


_LAST_OF_ALL = "SELECT * FROM task_events WHERE task_id = ? ORDER BY seq DESC LIMIT ?"
_REPORTS = f"""\
SELECT at, progress FROM (
  SELECT seq, at, progress, kind FROM task_events WHERE task_id = ? ORDER BY seq DESC LIMIT {REPORTS_LOOKED_AT}
) WHERE kind = '{EventKind.PROGRESS}' ORDER BY seq"""


def last_events(reader: Reader, task_id: str, most: int) -> list[TaskEvent]:
    """The last so many events of a task, the oldest first."""
    return [task_event(row) for row in reader.rows(Query(_LAST_OF_ALL, (task_id, most)))][::-1]


def reports_of(reader: Reader, task_id: str) -> list[tuple[datetime, float]]:
    """The last reports of progress of a task, the oldest first: when, and how far."""
    return [(moment_of(at), percentage_of(progress)) for at, progress in reader.rows(Query(_REPORTS, (task_id,)))]


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
