"""Whether a task that gives no news can still end: decided from signs, without I/O."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What the signs say."""

    ALIVE = "alive"
    """Somebody has the task, or will have it."""
    UNCERTAIN = "uncertain"
    """Nobody says so; time will tell."""
    MISSING = "missing"
    """Nobody has it, and nobody will: when that is so twice in a row, it is lost."""


@dataclass(frozen=True, slots=True)
class Signs:
    """What can be seen of a task at one moment."""

    answered: bool
    """Whether any worker answered."""
    silent: bool
    """Whether a worker that is known, and not known to be dead, did not answer."""
    held: bool
    """Whether a worker has the task: running, reserved, scheduled or held back by a rate limit."""
    waiting: bool
    """Whether something waits in a queue that the task may be in."""
    taken: bool
    """Whether a worker that answered takes from such a queue."""
    process_alive: bool | None
    """Whether the process that ran it last is alive; None where it is on another machine, or never started."""
    owner_answered: bool
    """Whether the worker of that process answered."""


def judge(signs: Signs) -> Verdict:
    """Decide whether the task can still end.

    Args:
        signs: what can be seen.

    Returns:
        The verdict. A worker that answers and does not have the task is a sign against it; a worker that
        does not answer is none: the pool "solo" answers nothing while it works.
    """
    if signs.held or (signs.process_alive and not signs.owner_answered):
        return Verdict.ALIVE
    if not signs.answered:
        return Verdict.MISSING if signs.process_alive is False and not signs.waiting else Verdict.UNCERTAIN
    if signs.waiting:
        # It may be this task, and there may be who takes it.
        return Verdict.ALIVE if signs.taken else Verdict.UNCERTAIN
    return Verdict.UNCERTAIN if signs.silent else Verdict.MISSING
