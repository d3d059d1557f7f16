"""What a running task can ask about itself."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ailf.async_tasks import arguments
from ailf.async_tasks.model import Logged
from ailf.async_tasks.running.log_lines import line_of_task
from ailf.errors import ManagerError


@dataclass(frozen=True, slots=True)
class Desk:
    """What a manager does for whoever runs in one of its tasks."""

    journal: Path
    """Whose tasks they are: those of one journal are one family, whichever manager runs them."""
    report: Callable[[str, float, str | None], bool]
    """Takes a report of progress."""
    log: Callable[[Logged], None]
    """Takes a line of a task's log, from anywhere, and never raises."""
    assert_usable: Callable[[], None]
    """Refuses in a forked child, with a ManagerError."""
    log_level: int | None
    """From which level on what is logged is captured; None is nothing."""


Above = tuple[str, "Above"] | None
"""The id of a task's parent and what is above that; None is nothing. The clean-up may have deleted any of them."""


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The task in which the caller runs.

    Attributes:
        id: its id.
        parent_id: the id of the task in which it was submitted; None where there was none.
    """

    id: str
    parent_id: str | None
    _desk: Desk = field(repr=False)
    _above: Above = field(default=None, repr=False, compare=False)

    def update_progress(self, progress: float, message: str | None = None) -> bool:
        """Report the progress of this task: see ``TaskManager.update_progress``.

        Args:
            progress: 0 to 100.
            message: what it is doing now; None leaves the earlier message.

        Returns:
            Whether the task is still unfinished, so that the report counted.

        Raises:
            InvalidTypeError: ``progress`` is no number, or ``message`` no text.
            InvalidArgumentError: ``progress`` is outside of 0 to 100, or NaN.
            ManagerError: called in a child that was forked while the manager was at work.
        """
        return self._desk.report(self.id, progress, message)

    def log(self, message: str, /, level: str | int = "INFO", **fields: Any) -> None:
        """Write a line into the log of this task, whatever the manager captures; returns at once, from any thread.

        It is in the journal some milliseconds later, and at the latest with the end of the task.

        Args:
            message: what happened; 8 KB of it are kept.
            level: a level of ``logging``, by name or by number.
            fields: values that come with it, kept as JSON; what JSON cannot hold is kept as its ``repr``.

        Raises:
            InvalidTypeError: ``message`` is no text, or ``level`` no level.
            InvalidArgumentError: there is no such level.
            ManagerError: called in a child that was forked while the manager was at work.
        """
        number = arguments.log_level(level, "level")
        text = arguments.text(message, "message")
        self._desk.assert_usable()
        self._desk.log(line_of_task(self.id, number, text, fields))


_current: ContextVar[CurrentTask] = ContextVar("ailf_current_task")


def current_task() -> CurrentTask:
    """The task in which the caller runs, in its coroutine, in what that started, or in its thread.

    Returns:
        The task's id, and ``update_progress`` without the id.

    Raises:
        ManagerError: the caller runs in no task.
    """
    try:
        return _current.get()
    except LookupError:
        raise ManagerError("current_task() was called outside of a task; call it in what was submitted.") from None


def running_in() -> CurrentTask | None:
    """The same, None outside of a task."""
    return _current.get(None)


def parent_at(desk: Desk) -> str | None:
    """The id of the task in which the caller runs, if it is one of this desk's journal."""
    task = _current.get(None)
    # The desk of that task's own manager, or of another one on the same journal.
    if task is None or (task._desk is not desk and task._desk.journal != desk.journal):  # noqa: SLF001 - of this room
        return None
    return task.id


def current_id(desk: Desk) -> str | None:
    """The id of the task in which the caller runs, if it is one of this desk's own manager."""
    task = _current.get(None)
    return task.id if task is not None and task._desk is desk else None  # noqa: SLF001 - of this room


def enter(task: CurrentTask) -> None:
    """Make this the current task of the calling context."""
    _current.set(task)
