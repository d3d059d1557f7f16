"""What a terminal is shown: tasks as tables, one task whole, the live view, a period; made with rich."""

from collections.abc import Sequence
from datetime import datetime

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ailf.async_tasks.journal.reading.reports import NameStats, Now
from ailf.async_tasks.model import TaskEvent, TaskInfo
from ailf.async_tasks.states import TaskStatus
from ailf.cli import gantt
from ailf.cli.plain import details, event_cells, outcome, stats_cells, to_go, traceback_lines
from ailf.cli.words import clock, harmless, length, recent, short_id, shortened

COLOURS = {
    TaskStatus.PENDING: "dim",
    TaskStatus.RUNNING: "cyan",
    TaskStatus.COMPLETED: "green",
    TaskStatus.FAILED: "red",
    TaskStatus.CANCELLED: "yellow",
}
BAR_WIDTH = 24
LABEL_WIDTH = 28


def _table(*heads: str, right: Sequence[str] = (), flexible: str = "") -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(
            head,
            justify="right" if head in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=1 if head == flexible else None,
        )
    table.expand = bool(flexible)
    return table


def _status(status: TaskStatus) -> Text:
    return Text(str(status), style=COLOURS[status])


def task_table(infos: Sequence[TaskInfo], now: datetime) -> RenderableType:
    """Tasks, a line each."""
    table = _table("id", "submitted", "name", "status", "%", "ran", "outcome", right=("%", "ran"), flexible="outcome")
    for info in infos:
        table.add_row(
            Text(harmless(short_id(info.id)), style="dim"),
            recent(info.created_at, now),
            Text(shortened(harmless(info.name), LABEL_WIDTH)),
            _status(info.status),
            f"{info.progress:.0f}",
            length(_ran(info, now)),
            Text(harmless(outcome(info)[:500])),
        )
    return table


def _ran(info: TaskInfo, now: datetime) -> float | None:
    if info.started_at is None:
        return None
    return ((info.completed_at or now) - info.started_at).total_seconds()


def task_screen(info: TaskInfo, owner: str, events: Sequence[TaskEvent], left_out: int) -> RenderableType:
    """One task: everything about it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for label, text in details(info, owner):
        style = COLOURS[info.status] if label in ("status", "error") else ""
        grid.add_row(label, Text(text, style=style))
    parts: list[RenderableType] = [grid]
    if info.traceback:
        parts += [Text("\ntraceback", style="bold"), Text(traceback_lines(info.traceback), style="dim")]
    table = _table("at", "event", "%", "message", right=("%",), flexible="message")
    for event in events:
        at, kind, progress, message = event_cells(event)
        style = COLOURS.get(TaskStatus(kind), "") if kind in set(TaskStatus) else ""
        table.add_row(at, Text(kind, style=style), progress, Text(message))
    parts += [Text(f"\ntimeline{f' ({left_out} earlier events left out)' if left_out else ''}", style="bold"), table]
    return Group(*parts)


def stats_table(found: Sequence[NameStats]) -> RenderableType:
    """Statistics, a name a line."""
    numbers = ("tasks", "active", "completed", "failed", "cancelled", "median", "p90", "worst")
    table = _table("name", *numbers, "last failed", "last error", right=numbers, flexible="last error")
    for stats in found:
        cells = [Text(cell) for cell in stats_cells(stats)]
        if stats.failed:
            cells[4].stylize(COLOURS[TaskStatus.FAILED])
        table.add_row(*cells)
    return table


def live_screen(now: Now, at: datetime, seconds: float, journal: str) -> RenderableType:
    """The live view: how many in each state and how fast, bars for what runs, what ended last."""
    head = Text.assemble((harmless(journal), "bold"), f"  {clock(at)}  ")
    for status, number in now.counts.items():
        head.append(f"  {number} ", style=COLOURS[status])
        head.append(str(status), style=COLOURS[status])
    rates = Text(
        f"last {length(seconds)}: {now.submitted} submitted, {now.ended} ended ({now.ended / seconds:.2g}/s)",
        style="dim",
    )
    running = Table.grid(padding=(0, 2), expand=True)
    running.add_column(no_wrap=True, overflow="ellipsis", max_width=40)
    running.add_column(width=BAR_WIDTH)
    running.add_column(justify="right", width=4)
    running.add_column(justify="right", width=8)
    running.add_column(width=12)
    running.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for info in now.running:
        left = to_go(info, at)
        running.add_row(
            Text(harmless(info.name), style="cyan"),
            ProgressBar(total=100, completed=info.progress, width=BAR_WIDTH),
            f"{info.progress:.0f}%",
            length(_ran(info, at)),
            "cancelling" if info.cancel_requested_at else "" if left is None else f"~{length(left)} left",
            Text(harmless(info.progress_message or ""), style="dim"),
        )
    hidden = now.counts[TaskStatus.RUNNING] - len(now.running)
    parts: list[RenderableType] = [head, rates, Text(""), running]
    if hidden > 0:
        parts.append(Text(f"and {hidden} more", style="dim"))
    parts.append(task_table(now.latest, at))
    return Group(*parts)


def timeline_screen(infos: Sequence[TaskInfo], period: gantt.Period, now: datetime) -> RenderableType:
    """A period as a chart, a task a row."""
    table = Table.grid(padding=(0, 1))
    table.add_column(width=LABEL_WIDTH, no_wrap=True, overflow="ellipsis")
    table.add_column(width=period.width, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row("", Text(gantt.axis(period), style="dim"), "")
    for info in infos:
        chart = Text(gantt.bar(info, period, now), style=COLOURS[info.status])
        table.add_row(Text(harmless(info.name)), chart, length(_ran(info, now)))
    legend = Text(f"{gantt.WAITED} waited  ", style="dim")
    for status in TaskStatus:
        if status is not TaskStatus.PENDING:
            legend.append(f"{gantt.RAN} {status}  ", style=COLOURS[status])
    return Group(table, legend)
