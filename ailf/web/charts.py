"""Charts as numbers: where each bar and point is, for templates to draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ailf.async_tasks.journal.reading.reports import Line, Minute
from ailf.async_tasks.states import TaskStatus

HEIGHT = 40.0
"""Of the chart of minutes, in units of which a minute is 4 wide."""

MINUTE_WIDTH = 4
POINTS = 200
"""How many points the chart of a progress has at most."""

WIDTH = 1000.0
"""Of a chart that is as wide as there is room."""

LEAST = 2.0
"""How wide a bar is at least: however short a task was, something is to be seen of it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    what: str


def minutes_chart(minutes: Sequence[Minute], number: int) -> tuple[list[Bar], int]:
    """The bars of the ends of each minute, failures at the bottom; and how many ends the highest stands for.

    Args:
        minutes: the last of them, the oldest first.
        number: how many minutes the chart is wide.
    """
    highest = max((sum(minute.ended.values()) for minute in minutes), default=0)
    bars = []
    for place, minute in enumerate(minutes, start=number - len(minutes)):
        y = HEIGHT
        for status in (TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.COMPLETED):
            if not minute.ended[status]:
                continue
            # One failure among a thousand is to be seen.
            height = max(1.0, HEIGHT * minute.ended[status] / highest)
            y -= height
            bars.append(Bar(place * MINUTE_WIDTH, round(max(0.0, y), 2), MINUTE_WIDTH - 1, round(height, 2), status))
    return bars, highest


def progress_points(reports: Sequence[tuple[datetime, float]], begin: datetime, end: datetime) -> str:
    """A progress over time as the points of a line, in a chart of 1000 by 100."""
    every = max(1, len(reports) // POINTS)
    chosen = [*reports[:-1:every], *reports[-1:]]
    span = max((end - begin).total_seconds(), 1e-6)
    placed = [(_share((at - begin).total_seconds(), span) * WIDTH, 100 - progress) for at, progress in chosen]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in [(0.0, 100.0), *placed])


def _share(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class Row:
    """A task in a timeline: where it waited, and where it ran."""

    line: Line
    depth: int
    waited: tuple[float, float] | None
    """Where the bar begins, and how wide it is."""
    ran: tuple[float, float] | None


def timeline_rows(lines: Sequence[Line], begin: datetime, end: datetime, now: datetime) -> list[Row]:
    """The rows of a timeline, children under their parents.

    Args:
        lines: the tasks, in order of submission.
        begin: when the timeline begins.
        end: when it ends.
        now: up to when the unfinished ones have waited or run.
    """
    there = {line.id for line in lines}
    children: dict[str | None, list[Line]] = {}
    for line in lines:
        children.setdefault(line.parent_id if line.parent_id in there else None, []).append(line)
    found: list[Row] = []
    seen: set[str] = set()
    # Those last that are their own ancestors, as a shell may have written.
    waiting = [(line, 0) for line in [*children.get(None, []), *lines]][::-1]
    while waiting:
        line, depth = waiting.pop()
        if line.id in seen:
            continue
        seen.add(line.id)
        found.append(_row(line, depth, begin, end, now))
        waiting += [(child, depth + 1) for child in children.get(line.id, [])][::-1]
    return found


def _row(line: Line, depth: int, begin: datetime, end: datetime, now: datetime) -> Row:
    stop = line.completed_at or now
    start = line.started_at or stop
    return Row(
        line,
        depth,
        waited=_bar(line.created_at, start, begin, end, least=0.0),
        ran=None if line.started_at is None else _bar(start, stop, begin, end, least=LEAST),
    )


def _bar(start: datetime, stop: datetime, begin: datetime, end: datetime, least: float) -> tuple[float, float] | None:
    span = max(end - begin, timedelta(milliseconds=1)).total_seconds()
    left = _share((start - begin).total_seconds(), span) * WIDTH
    right = _share((stop - begin).total_seconds(), span) * WIDTH
    if stop < begin or start > end or right - left + least <= 0:
        return None
    width = max(right - left, least)
    return round(min(left, WIDTH - width), 2), round(width, 2)


def ticks(begin: datetime, end: datetime, number: int = 4) -> list[datetime]:
    """The times along a chart, both ends among them."""
    return [begin + (end - begin) * place / number for place in range(number + 1)]
