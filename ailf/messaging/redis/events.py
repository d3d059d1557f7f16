"""The events of a journal as messages, so that another process can follow along: pure functions."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ailf.async_tasks import EventKind, TaskEvent
from ailf.errors import InvalidArgumentError
from ailf.messaging.redis.message import to_text

DEFAULT_CHANNEL = "ailf:events"
LONGEST_TEXT = 64 * 1024
"""Characters that an event's text is cut down to, where the server does not take it whole."""


@dataclass(frozen=True, slots=True)
class EventGap:
    """Events were missed: those after ``after`` and before ``before``."""

    after: int
    """The ``seq`` of the last event received."""
    before: int
    """The ``seq`` of the event that came next."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event, and the ``seq`` of the one that the publisher sent before it."""

    event: TaskEvent
    previous: int | None


def to_json(envelope: Envelope) -> str:
    """Give the message that an event is sent as."""
    event = envelope.event
    at = event.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    data = {
        "seq": event.seq,
        "previous": envelope.previous,
        "task_id": event.task_id,
        "at": at,
        "kind": event.kind.value,
        "progress": event.progress,
        "message": event.message,
    }
    return to_text(data)


def from_json(text: str) -> Envelope:
    """Read the message that an event was sent as.

    Args:
        text: the message.

    Returns:
        The event and the ``seq`` before it. Keys that this release does not know are ignored.

    Raises:
        InvalidArgumentError: the message is no event.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        event = TaskEvent(
            seq=int(data["seq"]),
            task_id=str(data["task_id"]),
            at=datetime.fromisoformat(data["at"]),
            kind=EventKind(data["kind"]),
            progress=data["progress"],
            message=data["message"],
        )
        previous = data.get("previous")
        return Envelope(event, None if previous is None else int(previous))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InvalidArgumentError(f"The message {text[:200]!r} is no event of a task: {error!r}.") from error


def gap_between(last: int | None, envelope: Envelope) -> EventGap | None:
    """Say whether events are missing before this one.

    Args:
        last: the ``seq`` of the last event received, or None before the first.
        envelope: the event that came now.

    Returns:
        The gap, or None where nothing is missing.
    """
    if last is None or envelope.event.seq <= last:
        return None
    # A publisher that has just started cannot say what came before: then only the next number is no gap.
    known = envelope.event.seq - 1 if envelope.previous is None else envelope.previous
    return None if known <= last else EventGap(last, envelope.event.seq)


def shortened(event: TaskEvent) -> TaskEvent:
    """Give an event with a text that any server takes."""
    if event.message is None or len(event.message) <= LONGEST_TEXT:
        return event
    left_out = len(event.message) - LONGEST_TEXT
    return replace(event, message=f"{event.message[:LONGEST_TEXT]}... ({left_out} characters more in the journal)")
