"""Whether a task that gives no news can still end: decided from signs, without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


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

    workers: int
    """How many workers answered."""
    held: bool
    """Whether one of them has the task: running, reserved or scheduled."""
    queued: int | None
    """How many tasks wait in its queue; None where that cannot be known."""
    process_alive: bool | None
    """Whether the process that ran it last is alive; None where it is on another machine, or never started."""


def judge(signs: Signs) -> Verdict:
    """Decide whether the task can still end.

    Args:
        signs: what can be seen.

    Returns:
        The verdict. A worker that answers and does not have the task is a sign against it; a worker that
        does not answer is none: the pool "solo" answers nothing while it works.
    """
    if signs.held or signs.process_alive:
        return Verdict.ALIVE
    if signs.workers:
        # Something waits in the queue, which may be this task, and there is who takes it.
        return Verdict.MISSING if signs.queued == 0 else Verdict.ALIVE
    return Verdict.MISSING if signs.process_alive is False else Verdict.UNCERTAIN


def is_held(replies: Mapping[str, Any] | None, celery_id: str) -> bool:
    """Say whether one of the workers that answered has the task."""
    return any(isinstance(tasks, Mapping) and celery_id in tasks for tasks in (replies or {}).values())
