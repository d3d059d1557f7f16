"""What the API gives to a reader, and what it hands to the journal: frozen values, no behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from ailf.async_tasks.encoding import as_json, time_text
from ailf.async_tasks.states import EventKind, Reason, ResultFormat, TaskStatus


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """A task as the journal has it: the columns of the table ``tasks`` as Python values."""

    id: str
    """The id that ``submit`` returned."""
    name: str
    """The name given, or the qualified name of the coroutine."""
    status: TaskStatus
    """Where the task stands."""
    reason: Reason | None
    """Why it failed or was cancelled; None while unfinished and on success."""
    progress: float
    """The last progress reported, 0 to 100; until then 0, or 100 once completed. An int comes back as an int."""
    progress_message: str | None
    """The last message reported with a progress."""
    created_at: datetime
    """When it was submitted (UTC)."""
    started_at: datetime | None
    """When its coroutine started (UTC)."""
    completed_at: datetime | None
    """When it ended, in whichever end state (UTC)."""
    timeout: float | None
    """Its time limit in seconds, counted from its start."""
    metadata: Mapping[str, Any]
    """What the submitter attached; an empty dict where nothing was."""
    result: Any
    """What it returned: see ``result_format``. None while unfinished, failed or cancelled."""
    result_format: ResultFormat | None
    """How the journal holds the result: see ``ResultFormat``; None where there is none."""
    error: str | None
    """The text of its exception."""
    error_type: str | None
    """The qualified name of its exception's type."""
    traceback: str | None
    """The traceback of its exception, bounded."""
    owner_id: str
    """The id of the manager that ran it: a row of the table ``owners``."""
    cancel_requested_at: datetime | None = None
    """When another process last asked for its cancellation, while it was unfinished (UTC)."""
    parent_id: str | None = None
    """The id of the task in which it was submitted, which may be deleted by now; None where there was none."""

    @property
    def duration(self) -> float | None:
        """The seconds from its start to its end; None where it never started or has not ended."""
        if self.started_at is None or self.completed_at is None:
            return None
        return (self.completed_at - self.started_at).total_seconds()

    @property
    def is_ended(self) -> bool:
        """Whether it has ended, in whichever end state."""
        return self.status.is_ended

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it: the columns of ``tasks``, and ``duration``.

        Times are UTC text as in the journal; a result that JSON does not hold is as a restart would give it.
        """
        values = {column.name: getattr(self, column.name) for column in fields(self)}
        shown = {name: time_text(value) if isinstance(value, datetime) else value for name, value in values.items()}
        enums = ("status", "reason", "result_format")
        words = {name: None if shown[name] is None else str(shown[name]) for name in enums}
        result = self.result if self.result_format is ResultFormat.JSON else as_json(self.result)
        return shown | words | {"metadata": dict(self.metadata), "result": result, "duration": self.duration}


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """One line of a task's timeline: a row of the table ``task_events``."""

    seq: int
    """The position in the journal; later events have higher ones, and none is used twice."""
    task_id: str
    """The id of the task."""
    at: datetime
    """When it happened (UTC)."""
    kind: EventKind
    """What happened."""
    progress: float | None
    """The progress reported, for an event of that kind."""
    message: str | None
    """The progress message, the error, or why the task was cancelled."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a task's log: a row of the table ``task_logs``."""

    seq: int
    """The position in the journal; later lines have higher ones, and none is used twice."""
    task_id: str
    """The id of the task."""
    at: datetime
    """When it was logged (UTC)."""
    level: int
    """How grave it is, as ``logging`` numbers it: 20 is INFO."""
    level_name: str
    """What that level is called."""
    logger: str
    """The name of the logger; ``task`` where the task itself wrote it with ``current_task().log``."""
    message: str
    """The message, its arguments in it."""
    fields: Mapping[str, Any]
    """What came with it: keyword values, or what ``extra`` had. A line that stands for others has ``left_out``."""
    exception: str | None
    """The traceback of the exception that came with it, bounded."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """What the scheduled clean-up deleted in one round."""

    at: datetime
    """When (UTC)."""
    tasks: Mapping[str, int]
    """How many tasks, by end state."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the journal takes writes, what waits to be written, and what is deleted from it when."""

    is_writable: bool
    """Whether the last write succeeded."""
    unwritten: int
    """How many changes are in memory alone."""
    oldest_seconds: float | None
    """For how many seconds the oldest of them has been; None where there is none."""
    last_error: str | None
    """Why the last write failed; None where it succeeded."""
    left_out: int = 0
    """How many reports of progress were left out since the start, since more came than can wait to be written."""
    retention: Mapping[str, float] = field(default_factory=dict)
    """For how many seconds the tasks of this manager are kept, by end state; one that is missing is kept for ever."""
    last_deletion: Deletion | None = None
    """What the scheduled clean-up of any manager last deleted, as of this one's last round."""


Microseconds = int
"""A time, counted from the beginning of 1970 (UTC); as a number, since taking a datetime costs several times that."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds_of(moment: datetime) -> Microseconds:
    """A time as it is counted."""
    return (moment - _EPOCH) // _MICROSECOND


# Outcomes and changes are made for every task, and tuples are made in a fraction of a dataclass's time.


class Outcome(NamedTuple):
    """How a coroutine ended, before it is written anywhere."""

    status: TaskStatus
    reason: Reason | None = None
    value: Any = None
    error: str | None = None
    error_type: str | None = None
    traceback: str | None = None
    fatal: BaseException | None = None
    """A KeyboardInterrupt or SystemExit, which is raised again once the outcome is written."""
    exception: BaseException | None = None
    """What it raised, in the process that ran it, for as long as that remembers it."""

    @property
    def failure(self) -> str:
        """Why it failed, in words: ``KeyError: 'user'``; what ailf says of a task it has ended is whole as it is."""
        return failure_text(self.error_type if self.reason is Reason.ERROR else None, self.error or "")


def failure_text(error_type: str | None, error: str) -> str:
    """An exception in words, by the name of its type and its text: ``KeyError: 'user'``."""
    if error_type is None or error == error_type.rpartition(".")[2]:
        # The text of an exception that has none is the name of its type.
        return error_type or error
    return f"{error_type}: {error}"


class Ending(NamedTuple):
    """How a task ended, and what it is called."""

    name: str
    outcome: Outcome


class Submitted(NamedTuple):
    """A task was accepted."""

    task_id: str
    at: Microseconds
    name: str
    timeout: float | None
    metadata: str
    """The metadata as JSON text."""
    starts: bool = False
    """Whether it runs at once; otherwise it waits for a slot."""
    parent_id: str | None = None
    """The task in which it was submitted."""


class Started(NamedTuple):
    """A task that waited for a slot is about to run."""

    task_id: str
    at: Microseconds


class Progressed(NamedTuple):
    """A task reported progress, with the message that is in force now."""

    task_id: str
    at: Microseconds
    progress: float
    message: str | None


class Logged(NamedTuple):
    """A task logged a line."""

    task_id: str
    at: Microseconds
    level: int
    level_name: str
    logger: str
    message: str
    fields: str | None
    """A JSON object as text."""
    exception: str | None
    left_out: int = 0
    """For how many others it stands; 0 is a line of the task's own."""


class LeftOut(NamedTuple):
    """Reports of progress of a task that were more than can wait; they are in no event but this one."""

    task_id: str
    at: Microseconds
    """When the first of them was made."""
    reports: int


class Ended(NamedTuple):
    """A task ended, coming from the state ``expected``."""

    task_id: str
    at: Microseconds
    expected: TaskStatus
    outcome: Outcome
    result: str | None = None
    """The value of the outcome as text."""
    result_format: ResultFormat | None = None
    progress: float | None = None
    """How far it has come by that; None leaves what it has reported."""


Change = Submitted | Started | Progressed | LeftOut | Logged | Ended


class AnyOf(tuple[Any, ...]):
    """Several of which one has to fit."""

    __slots__ = ()


MetadataKey = str | tuple[str, ...] | AnyOf
"""A key, keys that lie in one another, or any of several of these."""


@dataclass(frozen=True, slots=True)
class TaskFilter:
    """Which tasks a query is about; None, and no metadata, mean all."""

    statuses: tuple[TaskStatus, ...] | None = None
    names: tuple[str, ...] | None = None
    """Any of these names, in which a star stands for anything."""
    metadata: Mapping[Any, Any] = field(default_factory=dict)
    """Under each of these keys this value, or one of ``AnyOf`` several."""
    created_after: datetime | None = None
    created_before: datetime | None = None
    ended_after: datetime | None = None
    ended_before: datetime | None = None
    reasons: tuple[Reason, ...] | None = None
    parent_id: str | None = None
    quiet_since: datetime | None = None
    """Running, and without a word from then on."""
