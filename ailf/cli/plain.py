"""What a pipe or a file is given, and the texts that both it and a terminal are shown."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from textwrap import indent

from ailf.async_tasks.journal.reading.reports import Branch, NameStats, Now
from ailf.async_tasks.model import LogLine, TaskEvent, TaskInfo, failure_text
from ailf.async_tasks.states import Reason, ResultFormat, TaskStatus
from ailf.cli import gantt
from ailf.cli.words import columns, fitted, harmless, length, local, padded, shortened

RESULT_CHARACTERS = 4000
"""How much of a result ``show`` prints; ``--json`` has it whole."""

LINE_CHARACTERS = 200
"""How much of a text fits a line of a list."""


GONE = "(its process is gone)"
"""What is said of an unfinished task that nobody will finish."""


def outcome(info: TaskInfo) -> str:
    """What became of a task, or how far it is, in a few words."""
    match info.status:
        case TaskStatus.COMPLETED:
            return result_text(info, LINE_CHARACTERS)
        case TaskStatus.FAILED:
            return failure(info) if info.reason is Reason.ERROR else f"{info.reason}: {info.error}"
        case TaskStatus.CANCELLED:
            return str(info.reason)
        case _:
            asked = "cancelling; " if info.cancel_requested_at else ""
            return asked + (info.progress_message or "")


def failure(info: TaskInfo) -> str:
    """Why a task failed: what ailf says of it is whole as it is, and what it raised has a type."""
    return failure_text(info.error_type if info.reason is Reason.ERROR else None, info.error or "")


def result_text(info: TaskInfo, most: int, *, indent: int | None = None) -> str:
    """The result, as JSON where it is, and not longer than so many characters."""
    if info.result_format is ResultFormat.REPR:
        return shortened(str(info.result), most)
    return shortened(json.dumps(info.result, ensure_ascii=False, indent=indent), most)


def is_lost(info: TaskInfo, gone: Collection[str]) -> bool:
    """Whether a task is unfinished and its manager is one of those whose processes are dead."""
    return not info.status.is_ended and info.owner_id in gone


def ran(info: TaskInfo, now: datetime) -> float | None:
    """The seconds that a task ran, or has run so far; None where it never started."""
    return None if info.started_at is None else ((info.completed_at or now) - info.started_at).total_seconds()


def field_text(info: TaskInfo, name: str, now: datetime) -> str:
    """A field of a task as text for a table.

    Args:
        info: the task.
        name: a column of ``tasks``, ``duration``, or ``metadata.`` with a key, or with keys that lie in one another.
        now: up to when an unfinished one has run.
    """
    first, *keys = name.split(".")
    value = ran(info, now) if first == "duration" else getattr(info, first)
    if first in {"metadata", "result"} and keys:
        value = _within(value, keys)
    match value:
        case None:
            return ""
        case str():
            return value
        case datetime():
            return local(value)
        case float() if first in {"duration", "timeout"}:
            return length(value)
        case _:
            return shortened(json.dumps(value, ensure_ascii=False, default=str), LINE_CHARACTERS)


def _within(value: object, keys: Sequence[str]) -> object:
    """What is under keys that lie in one another, or under one that has the dots in it."""
    if not isinstance(value, Mapping):
        return None
    whole = ".".join(keys)
    if whole in value:
        return value[whole]
    return _within(value.get(keys[0]), keys[1:]) if len(keys) > 1 else None


def to_go(info: TaskInfo, now: datetime) -> float | None:
    """The seconds that a running task still needs if it goes on as it went; None where nobody knows."""
    if info.started_at is None or info.completed_at is not None or not 0 < info.progress < 100:  # noqa: PLR2004 - a percentage
        return None
    return (now - info.started_at).total_seconds() * (100 - info.progress) / info.progress


def status_text(info: TaskInfo, *, gone: bool) -> str:
    """The state of a task, and what makes it other than it looks."""
    if gone and not info.status.is_ended:
        return f"{info.status} {GONE}"
    return str(info.status)


def details(info: TaskInfo, owner: str, *, gone: bool = False) -> Iterator[tuple[str, str]]:
    """Everything about a task but its traceback and timeline, as labels and harmless texts."""
    waited = ((info.started_at or info.completed_at) or info.created_at) - info.created_at
    told: list[tuple[str, str | None]] = [
        ("id", info.id),
        ("name", info.name),
        ("status", f"{info.status} ({info.reason})" if info.reason else status_text(info, gone=gone)),
        ("progress", f"{info.progress:g} % {info.progress_message or ''}"),
        ("submitted", local(info.created_at)),
        ("started", f"{local(info.started_at)} (waited {length(waited.total_seconds())})" if info.started_at else None),
        ("ended", local(info.completed_at)),
        ("ran", length(info.duration)),
        ("limit", length(info.timeout)),
        ("cancel asked", local(info.cancel_requested_at)),
        ("metadata", json.dumps(dict(info.metadata), ensure_ascii=False) if info.metadata else None),
        ("parent", info.parent_id),
        ("owner", owner),
        ("error", failure(info)),
    ]
    for label, text in told:
        if text:
            yield label, harmless(text, lines=label == "error")
    if info.status is TaskStatus.COMPLETED:
        label = "result" if info.result_format is ResultFormat.JSON else f"result ({info.result_format})"
        yield label, harmless(result_text(info, RESULT_CHARACTERS, indent=2), lines=True)


def traceback_lines(traceback: str) -> str:
    """A traceback, harmless, its lines as they were."""
    return harmless(traceback.rstrip(), lines=True)


def event_cells(event: TaskEvent) -> tuple[str, str, str, str]:
    """An event: when, what, how far, and the message."""
    at = event.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    progress = "" if event.progress is None else f"{event.progress:g}"
    return at, str(event.kind), progress, harmless(event.message or "")


def line_text(line: LogLine) -> str:
    """A line of a log: when, how grave, who says it, what; what came with it, and its exception below."""
    at = line.at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    told = f"{at}  {harmless(line.level_name):8}  {harmless(line.logger)}: {harmless(line.message)}"
    if line.fields:
        told += "  " + harmless(" ".join(f"{name}={json.dumps(value)}" for name, value in line.fields.items()))
    if line.exception:
        told += "\n" + indent(harmless(line.exception.rstrip(), lines=True), "    ")
    return told


def branch_cells(branch: Branch, now: datetime) -> tuple[str, str, str, str, str]:
    """A task in a tree: its name, indented, its state, how long it ran, what became of it, its id."""
    line = branch.line
    match line.status:
        case TaskStatus.COMPLETED:
            told = branch.result
        case TaskStatus.FAILED:
            told = f"{line.error_type}: {line.error}" if line.error_type else line.error
        case TaskStatus.CANCELLED:
            told = None if line.reason is None else str(line.reason)
        case _:
            told = line.message
    name = "  " * min(branch.depth, DEEPEST) + harmless(line.name)
    outcome_ = shortened(harmless(told or ""), BRANCH_CHARACTERS)
    return name, str(line.status), length(line.ran(now)), outcome_, harmless(line.id)


BRANCH_CHARACTERS = 80
"""How much of what became of a task is beside its place in a tree."""

BRANCH_HEAD = ("task", "status", "ran", "outcome", "id")

DEEPEST = 20
"""How far a name is indented at most."""


def with_relatives(infos: Sequence[TaskInfo]) -> list[TaskInfo]:
    """The tasks, each child below its parent, as far as that is among them, with its name indented."""
    ids = {info.id for info in infos}
    children: dict[str | None, list[TaskInfo]] = {}
    for info in infos:
        children.setdefault(info.parent_id if info.parent_id in ids else None, []).append(info)
    ordered: list[TaskInfo] = []
    waiting = [(info, 0) for info in reversed(children.get(None, []))]
    while waiting:
        info, depth = waiting.pop()
        ordered.append(replace(info, name="  " * min(depth, DEEPEST) + info.name))
        waiting += [(child, depth + 1) for child in reversed(children.pop(info.id, []))]
    return ordered


def stats_cells(stats: NameStats) -> list[str]:
    """The statistics of a name as texts."""
    return [
        harmless(stats.name),
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


def task_columns(
    infos: Sequence[TaskInfo], now: datetime, gone: Collection[str] = (), chosen: Sequence[str] = ()
) -> str:
    """Tasks, a line each, with whole ids."""
    rows = []
    for info in infos:
        is_gone = is_lost(info, gone)
        rows.append(
            (
                harmless(info.id),
                local(info.created_at),
                harmless(info.name),
                *(harmless(field_text(info, name, now)) for name in chosen),
                status_text(info, gone=is_gone),
                f"{info.progress:.0f}",
                "" if is_gone else length(ran(info, now)),
                shortened(harmless(outcome(info)), LINE_CHARACTERS),
            )
        )
    return columns(("id", "submitted", "name", *chosen, "status", "%", "ran", "outcome"), rows)


def task_page(
    info: TaskInfo, owner: str, events: Sequence[TaskEvent], left_out: int, *, gone: bool, lines: Sequence[str] = ()
) -> str:
    """One task: everything about it."""
    page = [f"{label + ':':14}{text}" for label, text in details(info, owner, gone=gone)]
    if info.traceback:
        page += ["", traceback_lines(info.traceback)]
    page += ["", columns(("at", "event", "%", "message"), [event_cells(event) for event in events])]
    if left_out:
        page.append(f"({left_out} earlier events left out)")
    if lines:
        page += ["", *lines]
    return "\n".join(page)


def now_lines(now: Now, at: datetime, gone: Collection[str] = ()) -> str:
    """What the tasks are doing: how many in each state, then the running ones."""
    counted = ", ".join(f"{number} {status}" for status, number in now.counts.items())
    lines = [f"{local(at)}  {counted}"]
    for info in now.running:
        left = to_go(info, at)
        expected = f"  {GONE}" if is_lost(info, gone) else f"  ~{length(left)} left" if left is not None else ""
        lines.append(
            f"  {info.progress:3.0f}%  {harmless(info.name)}"
            + expected
            + (f"  {harmless(info.progress_message)}" if info.progress_message else "")
        )
    return "\n".join(lines)


def timeline_lines(
    infos: Sequence[TaskInfo], period: gantt.Period, now: datetime, gone: Collection[str] = (), label: int = 28
) -> str:
    """A period as a chart, a task a row."""
    lines = [" " * label + " " + gantt.axis(period)]
    for info in infos:
        name = padded(fitted(harmless(info.name), label, in_the_middle=True), label)
        is_gone = is_lost(info, gone)
        lines.append(f"{name} {gantt.bar(info, period, now, gone=is_gone)} {status_text(info, gone=is_gone)}")
    return "\n".join(lines)
