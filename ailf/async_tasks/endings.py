"""How the end of a task reads to whoever waited for it: what it returned, or an error that says what happened."""

from typing import Any

from ailf.async_tasks.model import Ending
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.errors import TaskCancelledError, TaskFailedError


def value_of(task_id: str, ending: Ending) -> Any:
    """What a task returned.

    Args:
        task_id: the task.
        ending: how it ended.

    Raises:
        TaskCancelledError: it was cancelled.
        TaskFailedError: it failed; what it raised is the cause where this process still has it, and the recorded
            traceback is a note.
    """
    name, outcome = ending
    if outcome.status is TaskStatus.CANCELLED:
        by_whom = " when its manager stopped (shutdown)" if outcome.reason is Reason.SHUTDOWN else ""
        raise TaskCancelledError(
            f"Task {name!r} ({task_id}) was cancelled{by_whom}.", task_id=task_id, reason=outcome.reason
        )
    if outcome.status is TaskStatus.FAILED:
        error = TaskFailedError(
            f"Task {name!r} ({task_id}) failed: {outcome.failure}",
            task_id=task_id,
            reason=outcome.reason,
            error=outcome.error,
            error_type=outcome.error_type,
        )
        if outcome.traceback is not None:
            error.add_note(outcome.traceback)
        raise error from outcome.exception
    return outcome.value
