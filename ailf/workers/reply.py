"""What a result back-end says about a task, read into values: pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeGuard

from ailf.workers.raised import read_raised, unwrapped


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
    node: str = ""
    """The name of its worker, ``name@machine``."""


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
    raised: BaseException | None = None
    """The exception itself, where the back-end keeps it (with pickle)."""


NOTHING = Reply(Stage.UNKNOWN)


def read_reply(meta: Mapping[str, Any] | None) -> Reply:
    """Read what Celery stored about a task.

    Args:
        meta: what is stored, with an exception still as ``exc_type``, ``exc_module`` and ``exc_message`` (with
            pickle: as the exception); None where nothing is stored.

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
    traceback = traceback if isinstance(traceback, str) and traceback else None
    error_type, error = read_raised(result, traceback)
    return Reply(
        stage,
        error=error,
        error_type=error_type,
        traceback=traceback and unwrapped(traceback, error_type, error),
        raised=result if isinstance(result, BaseException) else None,
    )


def _progress(details: Mapping[str, Any]) -> tuple[float | None, str | None]:
    """Read a progress: ``progress`` as ailf's own tasks have it, or ``current`` of ``total`` as Celery's manual has."""
    progress = details.get("progress")
    current, total = details.get("current"), details.get("total")
    if progress is None and _is_number(current) and _is_number(total) and total:
        progress = 100.0 * min(1.0, max(0.0, current / total))
    message = details.get("message", details.get("status"))
    if not _is_number(progress):
        return None, None
    return float(min(100.0, max(0.0, progress))), None if message is None else str(message)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124  NaN is none


def _place(details: Mapping[str, Any]) -> Place | None:
    pid, hostname = details.get("pid"), details.get("hostname")
    if not isinstance(pid, int) or not isinstance(hostname, str):
        return None
    # A worker is called name@machine.
    host = details.get("host")
    return Place(host if isinstance(host, str) else hostname.rpartition("@")[2], pid, hostname)
