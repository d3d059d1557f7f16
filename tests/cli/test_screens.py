"""What a terminal shows, at 80 columns and at fewer: nothing that was asked for is cut away, no line is too long."""

import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from ailf.async_tasks.journal.reading.reports import NameStats, Now
from ailf.async_tasks.model import TaskEvent, TaskInfo
from ailf.async_tasks.states import EventKind, Reason, ResultFormat, TaskStatus
from ailf.cli import gantt, screens
from ailf.cli.plain import task_columns

AT = datetime(2026, 11, 24, 3, tzinfo=UTC)
LONG = "reports/2026/quarterly/日本語の報告書/first-draft.pdf"
WIDTHS = [120, 80, 70, 60, 40]


def task(number: int, status: TaskStatus, name: str) -> TaskInfo:
    """A task that ran for a second, or has run for a minute."""
    ended = AT + timedelta(seconds=1) if status.is_ended else None
    return TaskInfo(
        id=f"01a20bfb-6aba-7394-a693-a43062c5{number:04}",
        name=name,
        status=status,
        reason=Reason.ERROR if status is TaskStatus.FAILED else None,
        progress=40,
        progress_message="step 3 of 7, which is a long one",
        created_at=AT,
        started_at=AT,
        completed_at=ended,
        timeout=None,
        metadata={"user": "u1", "order": {"shop": "north"}, "a.b": 1},
        result={"answer": 42} if status is TaskStatus.COMPLETED else None,
        result_format=ResultFormat.JSON if status is TaskStatus.COMPLETED else None,
        error="no way to do that" if status is TaskStatus.FAILED else None,
        error_type="ValueError" if status is TaskStatus.FAILED else None,
        traceback=None,
        owner_id="o1",
    )


TASKS = [
    task(1, TaskStatus.COMPLETED, LONG),
    task(2, TaskStatus.FAILED, "resize"),
    task(3, TaskStatus.RUNNING, "注文を取り込む"),
]
NOW = AT + timedelta(minutes=1)


def shown(screen: RenderableType, width: int) -> list[str]:
    """The lines of a screen on a terminal of a width, without blanks at their ends."""
    console = Console(width=width, file=io.StringIO(), force_terminal=True, color_system=None, highlight=False)
    console.print(screen)
    assert isinstance(console.file, io.StringIO)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert not [line for line in lines if cell_len(line) > width], width
    return lines


def every_screen(width: int) -> dict[str, RenderableType]:
    """Each kind of screen."""
    stats = NameStats(LONG, 1200, 3, 1100, 90, 7, 1.5, 20.0, 100.0, AT, "ValueError: no way to do that, none at all")
    now = Now([TASKS[2]], TASKS[:2], dict.fromkeys(TaskStatus, 1), 3, 2)
    event = TaskEvent(1, TASKS[1].id, AT, EventKind.PROGRESS, 40, "step 3 of 7, which is a long one")
    label, lengths = screens.timeline_sides(TASKS, NOW, width)
    period = gantt.fitted(TASKS, NOW, max(10, width - label - lengths - 2))
    return {
        "list": screens.task_table(TASKS, NOW),
        "stats": screens.stats_table([stats]),
        "show": screens.task_screen(TASKS[1], "pid 1 on build, alive", [event], 0, gone=False),
        "watch": screens.live_screen(now, NOW, 60.0, "/srv/some/where/deep/below/tasks.db"),
        "timeline": screens.timeline_screen(TASKS, period, NOW, width),
    }


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["list", "stats", "show", "watch", "timeline"])
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    """Counted in cells, of which a Chinese character takes two."""
    assert shown(every_screen(width)[name], width)


def test_the_list_at_80_columns_has_the_outcome() -> None:
    """With the id to go on with, the time it ran, and a name whose beginning and end are to be read."""
    head, first, second, third = shown(screens.task_table(TASKS, NOW), 80)
    assert head.split() == ["id", "name", "status", "ran", "outcome"]
    assert first.startswith("a43062c50001  reports/")
    assert "-draft.pdf" in first
    assert '{"answer": 42}' in first
    assert "ValueError: no way to" in second
    assert "1m00s" in third


@pytest.mark.parametrize(
    ("width", "head"),
    [
        (120, "id submitted name status % ran outcome"),
        (60, "name status outcome"),
        (30, "name status"),
    ],
)
def test_the_columns_of_the_list_leave_in_an_order(width: int, head: str) -> None:
    """What became of which task is the question: that goes last."""
    assert shown(screens.task_table(TASKS, NOW), width)[0].split() == head.split()


@pytest.mark.parametrize("width", [80, 70, 60])
def test_statistics_always_have_count_failures_and_a_duration(width: int) -> None:
    """They are what statistics are asked for."""
    head, line = shown(every_screen(width)["stats"], width)
    assert [name for name in ("name", "tasks", "failed", "median") if name not in head.split()] == []
    assert {"1200", "90", "1.500s"} <= set(line.split())


def test_the_list_tells_what_nobody_will_finish() -> None:
    """A running task whose process is gone, on a terminal and in a pipe; it has no time that it has run so far."""
    line = shown(screens.task_table(TASKS, NOW, {"o1"}), 80)[-1]
    assert "running" in line
    assert "(its process is gone)" in line
    assert "1m00s" not in line
    piped = task_columns(TASKS, NOW, {"o1"}).splitlines()[-1]
    assert "running (its process is gone)" in piped
    assert "1m00s" not in piped
    assert "running" in task_columns(TASKS, NOW).splitlines()[-1]
    assert "1m00s" in task_columns(TASKS, NOW).splitlines()[-1]


def test_show_watch_and_timeline_tell_it_too() -> None:
    """The live view gives no time that is left, and the chart has no arrow."""
    page = shown(screens.task_screen(TASKS[2], "pid 1 on build, dead", [], 0, gone=True), 80)
    assert "running (its process is gone)" in "\n".join(page)
    now = Now([TASKS[2]], [], dict.fromkeys(TaskStatus, 1), 3, 2)
    live = "\n".join(shown(screens.live_screen(now, NOW, 60.0, "tasks.db", {"o1"}), 80))
    assert "(its process is gone)" in live
    assert "left" not in live
    chart = shown(screens.timeline_screen(TASKS, gantt.fitted(TASKS, NOW, 40), NOW, 80, {"o1"}), 80)
    assert "?" in chart[3]
    assert gantt.RUNS_ON not in chart[3]
    assert "? its process is gone" in chart[-1]


def test_each_state_has_a_sign_of_its_own() -> None:
    """So that the chart can be read without colours; the legend says which is which."""
    assert len({*gantt.RAN.values(), gantt.WAITED, gantt.RUNS_ON, gantt.GONE}) == len(TaskStatus) - 1 + 3
    chart = shown(every_screen(80)["timeline"], 80)
    assert chart[-1] == "· waited  ▒ running  █ completed  ✗ failed  - cancelled"
    assert ["█" in chart[1], "✗" in chart[2], "▒" in chart[3]] == [True] * 3


def test_chosen_columns_stay_as_long_as_the_name() -> None:
    """Keys of the metadata, also those that lie in one another or have a dot, and any column."""
    chosen = ["metadata.user", "metadata.order.shop", "metadata.a.b", "duration", "metadata.none"]
    head, first, *_ = shown(screens.task_table(TASKS, NOW, (), chosen), 110)
    assert [name for name in chosen if name not in head] == []
    assert [text for text in ("u1", "north", "1 ", "1.000s") if text not in first] == []
    piped = task_columns(TASKS, NOW, (), ["metadata.order", "error_type"]).splitlines()
    assert '{"shop": "north"}' in piped[1]
    assert "ValueError" in piped[2]


def test_columns_of_a_pipe_stand_below_one_another_in_cells() -> None:
    """A wide name does not push the rest of its line aside."""
    lines = task_columns([replace(info, progress=99) for info in TASKS], NOW).splitlines()
    assert len({cell_len(line.partition(" 99 ")[0]) for line in lines[1:]}) == 1
