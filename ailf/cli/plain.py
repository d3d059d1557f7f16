"""What a pipe or a file is given, and the texts that both it and a terminal are shown."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from ailf.async_tasks.journal.reading.reports import NameStats, Now
from ailf.async_tasks.model import TaskEvent, TaskInfo
from ailf.async_tasks.states import ResultFormat, TaskStatus
from ailf.cli import gantt
from ailf.cli.words import columns, harmless, length, local, shortened

RESULT_CHARACTERS = 4000
"""How much of a result ``show`` prints; ``--json`` has it whole."""

LINE_CHARACTERS = 200
"""How much of a text fits a line of a list."""


def outcome(info: TaskInfo) -> str:
    """What became of a task, or how far it is, in a few words."""
    match info.status:
        case TaskStatus.COMPLETED:
            return result_text(info, LINE_CHARACTERS)
        case TaskStatus.FAILED:
            what = f"{info.error_type}: {info.error}" if info.error_type else info.error or ""
            return what if info.reason == "error" else f"{info.reason}: {info.error}"
        case TaskStatus.CANCELLED:
            return str(info.reason)
        case _:
            asked = "cancelling; " if info.cancel_requested_at else ""
            return asked + (info.progress_message or "")


def result_text(info: TaskInfo, most: int, *, indent: int | None = None) -> str:
    """The result, as JSON where it is, and not longer than so many characters."""
    if info.result_format is ResultFormat.REPR:
        return shortened(str(info.result), most)
    return shortened(json.dumps(info.result, ensure_ascii=False, indent=indent), most)


def to_go(info: TaskInfo, now: datetime) -> float | None:
    """The seconds that a running task still needs if it goes on as it went; None where nobody knows."""
    if info.started_at is None or info.completed_at is not None or not 0 < info.progress < 100:  # noqa: PLR2004 - a percentage
        return None
    return (now - info.started_at).total_seconds() * (100 - info.progress) / info.progress


def details(info: TaskInfo, owner: str) -> Iterator[tuple[str, str]]:
    """Everything about a task but its traceback and timeline, as labels and harmless texts."""
    waited = ((info.started_at or info.completed_at) or info.created_at) - info.created_at
    told: list[tuple[str, str | None]] = [
        ("id", info.id),
        ("name", info.name),
        ("status", f"{info.status} ({info.reason})" if info.reason else str(info.status)),
        ("progress", f"{info.progress:g} % {info.progress_message or ''}"),
        ("submitted", local(info.created_at)),
        ("started", f"{local(info.started_at)} (waited {length(waited.total_seconds())})" if info.started_at else None),
        ("ended", local(info.completed_at)),
        ("ran", length(info.duration)),
        ("limit", length(info.timeout)),
        ("cancel asked", local(info.cancel_requested_at)),
        ("metadata", json.dumps(dict(info.metadata), ensure_ascii=False) if info.metadata else None),
        ("owner", owner),
        ("error", f"{info.error_type}: {info.error}" if info.error_type else info.error),
    ]
    for label, text in told:
        if text:
            yield label, harmless(text, lines=label == "error")
    if info.status is TaskStatus.COMPLETED:
        label = "result" if info.result_format is ResultFormat.JSON else "result (repr)"
        yield label, harmless(result_text(info, RESULT_CHARACTERS, indent=2), lines=True)


def traceback_lines(traceback: str) -> str:
    """A traceback, harmless, its lines as they were."""
    return harmless(traceback.rstrip(), lines=True)


def event_cells(event: TaskEvent) -> tuple[str, str, str, str]:
    """An event: when, what, how far, and the message."""
    at = event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    progress = "" if event.progress is None else f"{event.progress:g}"
    return at, str(event.kind), progress, harmless(event.message or "")


def stats_cells(stats: NameStats) -> list[str]:
    """The statistics of a name as texts."""
    return [
        shortened(harmless(stats.name), 40),
        *map(str, (stats.tasks, stats.active, stats.completed, stats.failed, stats.cancelled)),
        *map(length, (stats.median_s, stats.p90_s, stats.worst_s)),
        local(stats.last_failed),
        shortened(harmless(stats.last_error or ""), LINE_CHARACTERS),
    ]


STATS_HEAD = [
    "name",
    "tasks",
    "active",
    "completed",
    "failed",
    "cancelled",
    "median",
    "p90",
    "worst",
    "last_failed",
    "last_error",
]


def task_columns(infos: Sequence[TaskInfo]) -> str:
    """Tasks, a line each, with whole ids."""
    rows = [
        (
            harmless(info.id),
            local(info.created_at),
            harmless(info.name),
            str(info.status),
            f"{info.progress:.0f}",
            length(info.duration),
            shortened(harmless(outcome(info)), LINE_CHARACTERS),
        )
        for info in infos
    ]
    return columns(("id", "submitted", "name", "status", "%", "ran", "outcome"), rows)


def task_page(info: TaskInfo, owner: str, events: Sequence[TaskEvent], left_out: int) -> str:
    """One task: everything about it."""
    lines = [f"{label + ':':14}{text}" for label, text in details(info, owner)]
    if info.traceback:
        lines += ["", traceback_lines(info.traceback)]
    lines += ["", columns(("at", "event", "%", "message"), [event_cells(event) for event in events])]
    if left_out:
        lines.append(f"({left_out} earlier events left out)")
    return "\n".join(lines)


def now_lines(now: Now, at: datetime) -> str:
    """What the tasks are doing: how many in each state, then the running ones."""
    counted = ", ".join(f"{number} {status}" for status, number in now.counts.items())
    lines = [f"{local(at)}  {counted}"]
    for info in now.running:
        left = to_go(info, at)
        lines.append(
            f"  {info.progress:3.0f}%  {harmless(info.name)}"
            + (f"  ~{length(left)} left" if left is not None else "")
            + (f"  {harmless(info.progress_message)}" if info.progress_message else "")
        )
    return "\n".join(lines)


def timeline_lines(infos: Sequence[TaskInfo], period: gantt.Period, now: datetime, label: int = 28) -> str:
    """A period as a chart, a task a row."""
    lines = [" " * label + " " + gantt.axis(period)]
    lines += [
        f"{shortened(harmless(info.name), label):{label}} {gantt.bar(info, period, now)} {info.status}"
        for info in infos
    ]
    return "\n".join(lines)
