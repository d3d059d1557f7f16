"""A journaled task in the words of the protocol's tasks extension; pure.

https://github.com/modelcontextprotocol/ext-tasks/blob/main/specification/draft/tasks.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mcp_types import INTERNAL_ERROR

from ailf.async_tasks.encoding import time_text
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.async_tasks.texts import line

MESSAGE_CHARACTERS = 500

ANSWER = "answer"
"""Under this key a line of a failed task's log has what the caller is answered."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a task beside its row."""

    updated_at: datetime
    """When it last said anything."""
    answer: Mapping[str, Any] | None
    """What the tool's call came to where it failed: a ``result`` with ``isError``, or a JSON-RPC ``error``."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a server says of all its tasks."""

    retention: Mapping[str, float]
    """For how many seconds a task is kept after its end, by end state; one that is missing for ever."""
    poll_interval_ms: int


def created(info: TaskInfo, known: Known, terms: Terms, now: datetime) -> dict[str, Any]:
    """The handle that a call is answered with."""
    return {"resultType": "task"} | _task(info, known, terms, now)


def detailed(info: TaskInfo, known: Known, terms: Terms, now: datetime) -> dict[str, Any]:
    """The task as it stands, with its result or error where it has ended."""
    return {"resultType": "complete"} | _task(info, known, terms, now) | _outcome(info, known)


def _task(info: TaskInfo, known: Known, terms: Terms, now: datetime) -> dict[str, Any]:
    message = _message(info)
    return {
        "taskId": info.id,
        "status": _status(info, known),
        **({"statusMessage": message} if message else {}),
        "createdAt": time_text(info.created_at),
        "lastUpdatedAt": time_text(max(known.updated_at, info.completed_at or info.created_at)),
        "ttlMs": _ttl_ms(info, terms, now),
        "pollIntervalMs": terms.poll_interval_ms,
    }


def _status(info: TaskInfo, known: Known) -> str:
    match info.status:
        case TaskStatus.COMPLETED:
            return "completed"
        case TaskStatus.CANCELLED:
            return "cancelled"
        case TaskStatus.FAILED:
            # A tool that raised has answered; what has no answer, or a JSON-RPC error for one, failed.
            return "completed" if info.reason is Reason.ERROR and not _protocol_error(known) else "failed"
        case _:
            return "working"


def _message(info: TaskInfo) -> str:
    match info.status:
        case TaskStatus.PENDING:
            return "Waits for its turn."
        case TaskStatus.RUNNING:
            share = f"{info.progress:g} %" if info.progress else ""
            said = line(info.progress_message, MESSAGE_CHARACTERS)
            return ": ".join(filter(None, (share, said)))
        case TaskStatus.FAILED:
            # What a tool raised may not be for everybody: its answer says what is.
            return "" if info.reason is Reason.ERROR else line(info.error, MESSAGE_CHARACTERS)
        case TaskStatus.CANCELLED:
            return "The server stopped." if info.reason is Reason.SHUTDOWN else "It was cancelled."
        case _:
            return ""


def _ttl_ms(info: TaskInfo, terms: Terms, now: datetime) -> int | None:
    """From its submission on: up to when it is certainly kept; of an unfinished one, should it end right now."""
    if info.completed_at is not None:
        kept = terms.retention.get(str(info.status))
        lived = info.completed_at - info.created_at
    else:
        kept = min(terms.retention.values(), default=None)
        lived = now - info.created_at
    return None if kept is None else max(0, int((lived.total_seconds() + kept) * 1000))


def _outcome(info: TaskInfo, known: Known) -> dict[str, Any]:
    match _status(info, known):
        case "completed" if info.status is TaskStatus.COMPLETED:
            return {"result": info.result}
        case "completed":
            answer = known.answer or {}
            result = answer.get("result")
            return {"result": result if isinstance(result, dict) else error_result(_told(info))}
        case "failed":
            error = _protocol_error(known)
            return {"error": error or {"code": INTERNAL_ERROR, "message": info.error or "The task failed."}}
        case _:
            return {}


def _protocol_error(known: Known) -> dict[str, Any] | None:
    error = (known.answer or {}).get("error")
    return error if isinstance(error, dict) else None


def _told(info: TaskInfo) -> str:
    """What the caller is told where the answer itself was too long for the log."""
    is_answer = (info.error_type or "").endswith(".ToolCallError")
    return (info.error or "") if is_answer else f"Error executing tool {info.name}"


def error_result(text: str) -> dict[str, Any]:
    """What a tool that failed answers."""
    return {"resultType": "complete", "content": [{"type": "text", "text": text}], "isError": True}
