"""A task as a line of a list: a task may hold megabytes, of which a list shows the beginning."""

from dataclasses import dataclass
from datetime import datetime

from ailf.async_tasks.journal.form import moment_of, percentage_of, reason_of, status_of, time_of, unknown_status
from ailf.async_tasks.journal.reading.filters import Row
from ailf.async_tasks.states import Reason, TaskStatus

LINE_CHARACTERS = 300
"""How much of a message or of an error a line holds."""

EVERY = -1
"""As a LIMIT: all of them (https://sqlite.org/lang_select.html#limitoffset)."""

LINE = f"""\
tasks.id, tasks.name, tasks.status, tasks.reason, tasks.progress, substr(tasks.progress_message, 1, {LINE_CHARACTERS}),
tasks.created_at, tasks.started_at, tasks.completed_at, substr(tasks.error, 1, {LINE_CHARACTERS}), tasks.error_type,
tasks.parent_id, tasks.timeout, tasks.cancel_requested_at"""
"""The columns of a line."""


@dataclass(frozen=True, slots=True)
class Line:
    """A task in a list: its texts cut, its result left where it is."""

    id: str
    name: str
    status: TaskStatus
    reason: Reason | None
    progress: float
    message: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    error: str | None
    error_type: str | None
    parent_id: str | None
    timeout: float | None
    cancel_requested_at: datetime | None

    def ran(self, at: datetime) -> float | None:
        """For how many seconds it ran, or has run up to a time; None where it never started."""
        if self.started_at is None:
            return None
        return max(0.0, ((self.completed_at or at) - self.started_at).total_seconds())


def line_of(row: Row) -> Line:
    """The line that a row of these columns stands for; never raises, since whoever broke one row hides no other."""
    task_id, name, text, reason, progress, message, created, started, completed, error, kind, parent, limit, asked = row
    status = status_of(text, has_ended=completed is not None)
    return Line(
        id=task_id,
        name=name,
        status=status,
        reason=reason_of(reason),
        progress=percentage_of(progress),
        message=message,
        created_at=moment_of(created),
        started_at=time_of(started),
        completed_at=time_of(completed),
        error=error if status == text else unknown_status(text)[:LINE_CHARACTERS],
        error_type=kind,
        parent_id=parent,
        timeout=limit,
        cancel_requested_at=time_of(asked),
    )


@dataclass(frozen=True, slots=True)
class Text:
    """The beginning of a text, and how long all of it is."""

    begin: str
    characters: int

    @property
    def is_whole(self) -> bool:
        """Whether it is all there."""
        return len(self.begin) == self.characters
