"""A period as a chart of characters: one row a task, where it waited and where it ran."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import TaskStatus
from ailf.cli.words import clock

WAITED = "·"
RAN = {
    TaskStatus.RUNNING: "▒",
    TaskStatus.COMPLETED: "█",
    TaskStatus.FAILED: "✗",
    TaskStatus.CANCELLED: "-",
}
"""What a task's time is drawn with: a sign of its own for each state, for whoever sees no colours."""

RUNS_ON = "▶"
GONE = "?"
"""In the place of the arrow, where the process is gone and nobody runs the task on."""

LEAST = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time, and how many characters it is wide."""

    begin: datetime
    end: datetime
    width: int

    def place(self, moment: datetime) -> int:
        """The character that a time is in, or one beside the chart."""
        share = (moment - self.begin) / (self.end - self.begin)
        return min(max(int(share * self.width), -1), self.width)


def fitted(infos: Sequence[TaskInfo], now: datetime, width: int) -> Period:
    """The period in which these tasks waited and ran.

    Args:
        infos: the tasks; at least one.
        now: up to when the unfinished ones have run.
        width: how many characters it gets.
    """
    begin = min(info.created_at for info in infos)
    end = max(info.completed_at or now for info in infos)
    return Period(begin, max(end, begin + LEAST), width)


def bar(info: TaskInfo, period: Period, now: datetime, *, gone: bool = False) -> str:
    """A task's row: blanks where it was not there, dots where it waited, its state's sign where it ran."""
    start = info.started_at or info.completed_at or now
    end = info.completed_at or now
    created, started, ended = (period.place(moment) for moment in (info.created_at, start, end))
    cells = [" "] * period.width
    for index in range(max(created, 0), min(max(started, 0), period.width)):
        cells[index] = WAITED
    if info.started_at is not None:
        # However short it was, something is to be seen of it.
        for index in range(max(started, 0), min(max(ended, started) + 1, period.width)):
            cells[index] = RAN[info.status]
        if started >= period.width > created:
            cells[-1] = WAITED
    if info.completed_at is None and ended >= 0:
        sign = RUNS_ON if info.started_at is not None else WAITED
        cells[min(ended, period.width - 1)] = GONE if gone else sign
    return "".join(cells)


def axis(period: Period) -> str:
    """The times at both ends of the chart, and in its middle where there is room."""
    day = period.begin.astimezone().date() != period.end.astimezone().date()
    fine = period.end - period.begin < timedelta(minutes=1)
    moments = (period.begin, period.begin + (period.end - period.begin) / 2, period.end)
    begin, middle, end = (clock(moment, day=day, fine=fine) for moment in moments)
    room = period.width - len(begin) - len(end)
    if room < len(middle) + 4:
        return begin + " " * max(room, 1) + end
    return begin + middle.center(room) + end
