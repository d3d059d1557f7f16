"""The state machine of a task, and everything about it: states, transitions, kinds of event, reasons.

A task is submitted as PENDING, runs as RUNNING and ends in one of three states, once. Every other
module derives what it needs from the table ``TRANSITIONS``: the guards of the UPDATEs, the triggers
and CHECKs of the database, the set of end states.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class TaskStatus(StrEnum):
    """Where a task stands; the values are what the journal holds."""

    PENDING = "pending"
    """Created, and in the journal; not yet started."""
    RUNNING = "running"
    """Its coroutine is executing."""
    COMPLETED = "completed"
    """Ended with a result."""
    FAILED = "failed"
    """Ended with an error, past its time limit, or because its process died."""
    CANCELLED = "cancelled"
    """Ended because somebody cancelled it, or its manager stopped."""

    @property
    def is_ended(self) -> bool:
        """Whether this is an end state, which nothing changes any more."""
        return not TRANSITIONS[self]


TRANSITIONS: Mapping[TaskStatus | None, frozenset[TaskStatus]] = MappingProxyType(
    {
        # None stands for a task that is not in the journal yet.
        None: frozenset({TaskStatus.PENDING}),
        # A task that waits for a slot can be cancelled, and its process can die.
        TaskStatus.PENDING: frozenset({TaskStatus.RUNNING, TaskStatus.FAILED, TaskStatus.CANCELLED}),
        TaskStatus.RUNNING: frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}),
        TaskStatus.COMPLETED: frozenset(),
        TaskStatus.FAILED: frozenset(),
        TaskStatus.CANCELLED: frozenset(),
    }
)

ENDED = frozenset(status for status in TaskStatus if status.is_ended)
UNFINISHED = frozenset(TaskStatus) - ENDED


class EventKind(StrEnum):
    """What an event in the journal's timeline of a task says."""

    SUBMITTED = "submitted"
    STARTED = "started"
    PROGRESS = "progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LEFT_OUT = "left_out"
    """Reports of progress are missing here: there were more than could be kept while the journal took no writes."""


EVENT_OF_STATUS: Mapping[TaskStatus, EventKind] = MappingProxyType(
    {
        TaskStatus.PENDING: EventKind.SUBMITTED,
        TaskStatus.RUNNING: EventKind.STARTED,
        TaskStatus.COMPLETED: EventKind.COMPLETED,
        TaskStatus.FAILED: EventKind.FAILED,
        TaskStatus.CANCELLED: EventKind.CANCELLED,
    }
)
"""The event that a transition into a state writes."""


class Reason(StrEnum):
    """Why a task failed or was cancelled; an unfinished or completed task has none."""

    ERROR = "error"
    """Its coroutine raised."""
    TIMEOUT = "timeout"
    """It was past its time limit."""
    CANCELLED = "cancelled"
    """Somebody cancelled it."""
    SHUTDOWN = "shutdown"
    """Its manager stopped."""
    PROCESS_DIED = "process_died"
    """Its process ended without ending it."""


class IfExists(StrEnum):
    """What a submission does whose id is in the journal already."""

    RAISE = "raise"
    RETURN = "return"


class ResultFormat(StrEnum):
    """How the journal holds a result."""

    JSON = "json"
    """As JSON text (RFC 8259)."""
    LOSSY = "lossy"
    """As JSON text that says the same with other types: a date as ISO text, a dataclass as its fields."""
    CUSTOM = "custom"
    """As the JSON text that the manager's own ``encoder`` made of it."""
    REPR = "repr"
    """As the bounded ``repr`` of a value that JSON cannot hold."""
