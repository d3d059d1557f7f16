"""What a running task can ask about itself."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from ailf.errors import ManagerError


@dataclass(frozen=True, slots=True)
class Desk:
    """What a manager does for whoever runs in one of its tasks."""

    journal: Path
    """Whose tasks they are: those of one journal are one family, whichever manager runs them."""
    report: Callable[[str, float, str | None], bool]
    """Takes a report of progress."""


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


def parent_at(desk: Desk) -> str | None:
    """The id of the task in which the caller runs, if it is one of this desk's journal."""
    task = _current.get(None)
    # The desk of that task's own manager, or of another one on the same journal.
    if task is None or (task._desk is not desk and task._desk.journal != desk.journal):  # noqa: SLF001 - of this room
        return None
    return task.id


def enter(task: CurrentTask) -> None:
    """Make this the current task of the calling context."""
    _current.set(task)
