"""The shapes of ``--json``, which are part of the public API: keys are added, and never renamed.

Times are UTC text as in the journal, lengths of time are seconds. Everything is ASCII, other characters
being escaped, so that nothing in a name or message can reach a terminal as more than text.
"""

import json
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from ailf.async_tasks.journal.form import time_text
from ailf.async_tasks.journal.reading.reports import Branch, NameStats, Now
from ailf.async_tasks.model import LogLine, TaskEvent, TaskInfo

_FIELDS = tuple(field.name for field in fields(TaskInfo))


def task_shape(info: TaskInfo) -> dict[str, Any]:
    """A task: the columns of ``tasks``, and ``duration``."""
    return {name: getattr(info, name) for name in _FIELDS} | {"duration": info.duration}


def event_shape(event: TaskEvent) -> dict[str, Any]:
    """An event: the columns of ``task_events``."""
    return asdict(event)


def line_shape(line: LogLine) -> dict[str, Any]:
    """A line of a log: the columns of ``task_logs``."""
    return asdict(line)


def branch_shape(branch: Branch) -> dict[str, Any]:
    """A task in a tree: how far below the top, and what a line of a list has."""
    return {"depth": branch.depth} | asdict(branch.line)


def stats_shape(stats: NameStats) -> dict[str, Any]:
    """The statistics of a name: the columns of the view ``task_stats``, the name whole and the time in UTC."""
    return asdict(stats)


def now_shape(now: Now, at: datetime, seconds: float) -> dict[str, Any]:
    """What the tasks are doing: ``running`` and ``latest`` are tasks, ``rates`` count what happened lately."""
    return {
        "at": at,
        "counts": {str(status): number for status, number in now.counts.items()},
        "rates": {"seconds": seconds, "submitted": now.submitted, "ended": now.ended},
        "running": [task_shape(info) for info in now.running],
        "latest": [task_shape(info) for info in now.latest],
    }


def text_of(shape: Any, *, indent: int | None = None) -> str:
    """A shape as JSON text."""
    return json.dumps(shape, indent=indent, default=_plain)


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no shape has a {type(value).__qualname__}")
