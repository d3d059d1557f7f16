"""What callers hear of changes that are not in the journal."""

from collections.abc import Sequence
from pathlib import Path

from ailf.async_tasks.model import Change, Ended, Logged
from ailf.errors import AilfError, DuplicateTaskError, TaskConflictError, UnwrittenChangesError

SHOWN_CHANGES = 5
"""How many unwritten changes a message names: what fits a line."""


def unwritten_error(path: Path, unwritten: Sequence[str], trouble: Exception | None = None) -> UnwrittenChangesError:
    """What a stop says, and all who wait hear, of changes that could not be written.

    Args:
        path: the journal.
        unwritten: the changes: see ``in_words``.
        trouble: why.
    """
    more = "; ..." if len(unwritten) > SHOWN_CHANGES else "."
    error = UnwrittenChangesError(
        f"The journal {path} took no writes; {len(unwritten)} changes are not in it: "
        + "; ".join(unwritten[:SHOWN_CHANGES])
        + more,
        unwritten=tuple(unwritten),
    )
    error.__cause__ = trouble
    return error


def in_words(change: Change) -> str:
    """A change in a few words, for a message."""
    match change:
        case Ended():
            word = str(change.outcome.status)
        case Logged():
            word = "a line of its log" if change.left_out <= 1 else f"{change.left_out} lines of its log"
        case _:
            word = type(change).__name__.lower()
    return f"task {change.task_id}: {word}"


def refusal_of(change: Change, error: Exception, path: Path) -> AilfError:
    """What a caller hears of a change that is wrong.

    Args:
        change: the change.
        error: what was raised when it was written.
        path: the journal.
    """
    task_id = change.task_id
    if getattr(error, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_PRIMARYKEY":
        return DuplicateTaskError(
            f"A task with the id {task_id!r} is in the journal already; choose another id, or let submit choose one."
        )
    refusal = TaskConflictError(f"The journal {path} refuses a change of the task {task_id!r}: {error}")
    refusal.__cause__ = error
    return refusal
