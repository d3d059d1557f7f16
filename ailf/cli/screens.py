"""What a terminal is shown: tasks as tables, one task whole, the live view, a period; made with rich."""

from collections.abc import Collection, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ailf.async_tasks.journal.reading.reports import Branch, NameStats, Now
from ailf.async_tasks.model import TaskEvent, TaskInfo
from ailf.async_tasks.states import TaskStatus
from ailf.cli import gantt
from ailf.cli.layout import Column
from ailf.cli.plain import (
    GONE,
    branch_cells,
    details,
    event_cells,
    field_text,
    is_lost,
    outcome,
    ran,
    stats_cells,
    to_go,
    traceback_lines,
)
from ailf.cli.tables import Fitted
from ailf.cli.words import cells, clock, fitted, harmless, length, recent, short_id

COLOURS = {
    TaskStatus.PENDING: "dim",
    TaskStatus.RUNNING: "cyan",
    TaskStatus.COMPLETED: "green",
    TaskStatus.FAILED: "red",
    TaskStatus.CANCELLED: "yellow",
}
LABEL_WIDTH = 28
CHOSEN_WIDTH = 24
TEXT_CHARACTERS = 500
"""How much of a text could ever fit a line."""

TASKS = (
    Column("id", stays=4),
    Column("submitted", stays=2),
    Column("name", stays=7, least=16, most=40, in_the_middle=True),
    Column("status", stays=6),
    Column("%", stays=1, is_right=True),
    Column("ran", stays=3, is_right=True),
    Column("outcome", stays=5, least=20),
)
"""A list of tasks is asked what became of which: the names, the states and the outcomes go last."""

EVENTS = (
    Column("at", stays=3),
    Column("event", stays=4),
    Column("%", stays=2, is_right=True),
    Column("message", stays=1, least=12),
)

TREE = (
    Column("task", stays=7, least=20, most=60),
    Column("status", stays=6),
    Column("ran", stays=4, is_right=True),
    Column("outcome", stays=5, least=16),
    Column("id", stays=3),
)

STATS = (
    Column("name", stays=10, least=16, most=40, in_the_middle=True),
    Column("tasks", stays=9, is_right=True),
    Column("active", stays=3, is_right=True),
    Column("completed", stays=5, is_right=True),
    Column("failed", stays=8, is_right=True),
    Column("cancelled", stays=2, is_right=True),
    Column("median", stays=7, is_right=True),
    Column("p90", stays=1, is_right=True),
    Column("worst", stays=6, is_right=True),
    Column("last failed", stays=0),
    Column("last error", stays=4, least=16),
)
"""Statistics are asked how many there were, how many failed, how long they took."""

RUNNING = (
    Column("name", stays=6, least=16, most=40, in_the_middle=True),
    Column("bar", stays=2, least=8, most=24),
    Column("%", stays=5, is_right=True),
    Column("ran", stays=4, is_right=True),
    Column("left", stays=3),
    Column("message", stays=1, least=12),
)


def task_table(
    infos: Sequence[TaskInfo], now: datetime, gone: Collection[str] = (), chosen: Sequence[str] = ()
) -> RenderableType:
    """Tasks, a line each.

    Args:
        infos: the tasks.
        now: up to when the unfinished ones have run.
        gone: the ids of the managers whose processes are dead.
        chosen: further columns, as ``field_text`` knows them; they stay as long as the names.
    """
    more = tuple(Column(name, stays=7, least=len(name), most=CHOSEN_WIDTH) for name in chosen)
    rows = []
    for info in infos:
        is_gone = is_lost(info, gone)
        told = f"{GONE} {outcome(info)}" if is_gone else outcome(info)
        rows.append(
            (
                Text(harmless(short_id(info.id)), style="dim"),
                Text(recent(info.created_at, now)),
                Text(harmless(info.name)),
                *(Text(harmless(field_text(info, name, now))) for name in chosen),
                Text(str(info.status), style="red" if is_gone else COLOURS[info.status]),
                Text(f"{info.progress:.0f}"),
                Text("" if is_gone else length(ran(info, now))),
                Text(harmless(told[:TEXT_CHARACTERS])),
            )
        )
    return Fitted((*TASKS[:3], *more, *TASKS[3:]), rows)


def task_screen(
    info: TaskInfo, owner: str, events: Sequence[TaskEvent], left_out: int, *, gone: bool, lines: Sequence[str] = ()
) -> RenderableType:
    """One task: everything about it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, text in details(info, owner, gone=gone):
        style = COLOURS[info.status] if label in ("status", "error") else ""
        grid.add_row(label, Text(text, style="red" if gone and label == "status" else style))
    parts: list[RenderableType] = [grid]
    if info.traceback:
        parts += [Text("\ntraceback", style="bold"), Text(traceback_lines(info.traceback), style="dim")]
    rows = []
    for event in events:
        at, kind, progress, message = event_cells(event)
        style = COLOURS.get(TaskStatus(kind), "") if kind in set(TaskStatus) else ""
        rows.append((Text(at), Text(kind, style=style), Text(progress), Text(message)))
    parts.append(Text(f"\ntimeline{f' ({left_out} earlier events left out)' if left_out else ''}", style="bold"))
    parts.append(Fitted(EVENTS, rows))
    if lines:
        parts += [Text("\nlog, its last lines", style="bold"), Text("\n".join(lines))]
    return Group(*parts)


def tree_table(branches: Sequence[Branch], now: datetime) -> RenderableType:
    """Families, a task a line."""
    rows = []
    for branch in branches:
        name, status, took, told, task_id = branch_cells(branch, now)
        state = Text(status, style=COLOURS[branch.line.status])
        rows.append((Text(name), state, Text(took), Text(told), Text(short_id(task_id), style="dim")))
    return Fitted(TREE, rows)


def stats_table(found: Sequence[NameStats]) -> RenderableType:
    """Statistics, a name a line."""
    rows = []
    for stats in found:
        texts = [Text(cell) for cell in stats_cells(stats)]
        if stats.failed:
            texts[4] = Text(texts[4].plain, style=COLOURS[TaskStatus.FAILED])
        rows.append(texts)
    return Fitted(STATS, rows)


def live_screen(now: Now, at: datetime, seconds: float, journal: str, gone: Collection[str] = ()) -> RenderableType:
    """The live view: how many in each state and how fast, bars for what runs, what ended last."""
    head = Text.assemble((fitted(harmless(journal), LABEL_WIDTH, in_the_middle=True), "bold"), f"  {clock(at)}")
    counts = Text("  ").join(Text(f"{number} {status}", style=COLOURS[status]) for status, number in now.counts.items())
    rates = f"last {length(seconds)}: {now.submitted} submitted, {now.ended} ended ({now.ended / seconds:.2g}/s)"
    rows = []
    for info in now.running:
        is_gone = is_lost(info, gone)
        rows.append(
            (
                Text(harmless(info.name), style="red" if is_gone else "cyan"),
                ProgressBar(total=100, completed=info.progress),
                Text(f"{info.progress:.0f}%"),
                Text("" if is_gone else length(ran(info, at))),
                Text(_expected(info, at, is_gone=is_gone)),
                Text(harmless((info.progress_message or "")[:TEXT_CHARACTERS]), style="dim"),
            )
        )
    hidden = now.counts[TaskStatus.RUNNING] - len(now.running)
    head.append(f"  {rates}", style="dim")
    parts: list[RenderableType] = [head, counts, Text(""), Fitted(RUNNING, rows, has_head=False)]
    if hidden > 0:
        parts.append(Text(f"and {hidden} more", style="dim"))
    return Group(*parts, Text(""), task_table(now.latest, at))


def _expected(info: TaskInfo, at: datetime, *, is_gone: bool) -> str:
    """What is to be expected of a running task."""
    left = to_go(info, at)
    if is_gone:
        return GONE
    return "cancelling" if info.cancel_requested_at else "" if left is None else f"~{length(left)} left"


def timeline_sides(infos: Sequence[TaskInfo], now: datetime, width: int) -> tuple[int, int]:
    """How many cells the names and the durations beside a chart take, on a terminal of a width."""
    names = max((cells(harmless(info.name)) for info in infos), default=0)
    lengths = max((cells(length(ran(info, now))) for info in infos), default=0)
    return min(names, LABEL_WIDTH, max(8, width // 4)), lengths


def timeline_screen(
    infos: Sequence[TaskInfo], period: gantt.Period, now: datetime, width: int, gone: Collection[str] = ()
) -> RenderableType:
    """A period as a chart, a task a row."""
    label, _ = timeline_sides(infos, now, width)
    table = Table.grid(padding=(0, 1))
    table.add_column(width=label, no_wrap=True)
    table.add_column(width=period.width, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_row("", Text(gantt.axis(period), style="dim"), "")
    for info in infos:
        is_gone = is_lost(info, gone)
        chart = Text(gantt.bar(info, period, now, gone=is_gone), style="red" if is_gone else COLOURS[info.status])
        took = "" if is_gone else length(ran(info, now))
        table.add_row(Text(fitted(harmless(info.name), label, in_the_middle=True)), chart, took)
    legend = Text(f"{gantt.WAITED} waited", style="dim")
    for status, sign in gantt.RAN.items():
        legend.append(f"  {sign} {status}", style=COLOURS[status])
    if any(is_lost(info, gone) for info in infos):
        legend.append(f"  {gantt.GONE} its process is gone", style="red")
    return Group(table, legend)
