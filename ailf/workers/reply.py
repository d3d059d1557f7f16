"""What a result back-end says about a task, read into values: pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

from ailf.errors import RemoteTaskError, RemoteTaskRevokedError, failure_type


class Stage(StrEnum):
    """Where a Celery task stands, as far as waiting for it goes."""

    UNKNOWN = "unknown"
    """The back-end holds nothing: not started yet, or expired."""
    UNDER_WAY = "under way"
    """Started, or waiting to be tried again."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REVOKED = "revoked"


_STAGE_OF_STATE = {
    "PENDING": Stage.UNKNOWN,
    "RECEIVED": Stage.UNDER_WAY,
    "SUCCESS": Stage.SUCCEEDED,
    "FAILURE": Stage.FAILED,
    "REVOKED": Stage.REVOKED,
    "REJECTED": Stage.FAILED,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task runs."""

    host: str
    """The machine's name."""
    pid: int
    """The process."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A result back-end's answer."""

    stage: Stage
    value: Any = None
    """What the task returned."""
    progress: float | None = None
    """0 to 100, where the task reported it."""
    message: str | None = None
    place: Place | None = None
    error: str = ""
    error_type: str = "Exception"
    """The qualified name of the type that it raised."""
    traceback: str | None = None


NOTHING = Reply(Stage.UNKNOWN)


def read_reply(meta: Mapping[str, Any] | None) -> Reply:
    """Read what Celery stored about a task.

    Args:
        meta: the stored JSON, with an exception still as ``exc_type``, ``exc_module`` and ``exc_message``; None
            where nothing is stored.

    Returns:
        The same as a value.
    """
    if meta is None:
        return NOTHING
    # Any state of a task's own, such as PROGRESS, is one between its start and its end.
    stage = _STAGE_OF_STATE.get(str(meta.get("status")), Stage.UNDER_WAY)
    if stage is Stage.UNKNOWN:
        return NOTHING
    result = meta.get("result")
    if stage is Stage.SUCCEEDED:
        return Reply(stage, value=result)
    details: Mapping[str, Any] = result if isinstance(result, Mapping) else {}
    if stage is Stage.UNDER_WAY:
        progress, message = _progress(details)
        return Reply(stage, progress=progress, message=message, place=_place(details))
    traceback = meta.get("traceback")
    return Reply(
        stage,
        error=_error_text(details),
        error_type=_error_type(details),
        traceback=traceback if isinstance(traceback, str) and traceback else None,
    )


def _progress(details: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Read a progress: ``progress`` as ailf's own tasks have it, or ``current`` of ``total`` as Celery's manual has."""
    progress = details.get("progress")
    current, total = details.get("current"), details.get("total")
    if progress is None and _is_number(current) and _is_number(total) and total:
        progress = 100.0 * current / total
    message = details.get("message", details.get("status"))
    if not _is_number(progress):
        return None, None
    return min(100.0, max(0.0, float(progress))), None if message is None else str(message)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124  NaN is none


def _place(details: Mapping[str, Any]) -> Place | None:
    pid, hostname = details.get("pid"), details.get("hostname")
    if not isinstance(pid, int) or not isinstance(hostname, str):
        return None
    # A worker is called name@machine.
    host = details.get("host")
    return Place(host if isinstance(host, str) else hostname.rpartition("@")[2], pid)


def _error_type(details: Mapping[str, Any]) -> str:
    name = str(details.get("exc_type") or "Exception")
    module = details.get("exc_module")
    return f"{module}.{name}" if module and module != "builtins" else name


def _error_text(details: Mapping[str, Any]) -> str:
    arguments = details.get("exc_message", "")
    if isinstance(arguments, list | tuple):
        text = str(arguments[0]) if len(arguments) == 1 else ", ".join(str(argument) for argument in arguments)
    else:
        text = str(arguments)
    # As a task's error reads everywhere: the type's name where there is no text.
    return text or str(details.get("exc_type") or "Exception")


class RemoteTracebackError(Exception):
    """Stands in the traceback of a failure for the part that happened in the worker."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Show the worker's traceback as such."""
        return f'\n"""\n{self.text.rstrip()}\n"""'


def failure(reply: Reply, celery_id: str) -> RemoteTaskError:
    """Make the exception of a task that failed or was revoked.

    A failure is a :class:`RemoteTaskFailedError`, and also of the type that the task raised, where that type
    is known in this process; it is called like that type either way, so that a journal shows it.

    Args:
        reply: the answer that says so.
        celery_id: the task's id.

    Returns:
        The exception, with the worker's traceback as its cause.
    """
    if reply.stage is Stage.REVOKED:
        return RemoteTaskRevokedError(f"The Celery task {celery_id} was revoked: {reply.error}.", celery_id=celery_id)
    error = failure_type(reply.error_type)(
        reply.error, celery_id=celery_id, error_type=reply.error_type, remote_traceback=reply.traceback
    )
    if reply.traceback is not None:
        error.__cause__ = RemoteTracebackError(reply.traceback)
    return error
