"""Charts: where bars and points are."""

from datetime import UTC, datetime, timedelta

from ailf.async_tasks.journal.reading.reports import Line, Minute
from ailf.async_tasks.states import TaskStatus
from ailf.web.charts import HEIGHT, POINTS, minutes_chart, progress_points, ticks, timeline_rows

BEGIN = datetime(2026, 11, 24, 3, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So long after the beginning."""
    return BEGIN + timedelta(seconds=seconds)


def line(task_id: str, created: float, started: float | None, ended: float | None, parent: str | None = None) -> Line:
    """A task that waited and ran so."""
    status = TaskStatus.COMPLETED if ended is not None else TaskStatus.RUNNING
    moments = (at(created), None if started is None else at(started), None if ended is None else at(ended))
    return Line(task_id, task_id, status, None, 0, None, *moments, None, None, parent, None, None)


def test_the_minutes() -> None:
    """The highest is as high as the chart, and one failure among many is to be seen."""
    none = dict.fromkeys((TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED), 0)
    busy = Minute(at(60), none | {TaskStatus.COMPLETED: 9_999, TaskStatus.FAILED: 1})
    bars, highest = minutes_chart([Minute(at(0), none), busy], 60)
    assert highest == 10_000
    assert [(bar.what, bar.x) for bar in bars] == [("failed", 59 * 4), ("completed", 59 * 4)]
    assert bars[0].height == 1
    assert all(bar.y >= 0 and bar.y + bar.height <= HEIGHT + 0.1 for bar in bars)
    assert minutes_chart([], 60) == ([], 0)


def test_a_progress_of_many_reports_has_few_points() -> None:
    """The last of them is there."""
    reports = [(at(number), number / 100) for number in range(10_000)]
    points = progress_points(reports, BEGIN, at(10_000)).split()
    assert len(points) <= POINTS + 2
    assert points[-1] == "999.9,0.0"
    assert progress_points([(at(0), 50)], BEGIN, BEGIN) == "0.0,100.0 0.0,50.0"


def test_children_stand_under_their_parents() -> None:
    """Whatever order they were submitted in; those in a circle are there as well."""
    lines = [
        line("a", 0, 0, 9),
        line("b", 1, 1, 2),
        line("c", 2, 2, 3, "a"),
        line("d", 3, 3, 4, "c"),
        line("e", 4, 4, 5, "x"),
    ]
    rows = timeline_rows([*lines, line("y", 0, 0, 1, "z"), line("z", 0, 0, 1, "y")], BEGIN, at(10), at(10))
    assert [(row.line.id, row.depth) for row in rows] == [
        *[("a", 0), ("c", 1), ("d", 2), ("b", 0), ("e", 0)],
        *[("y", 0), ("z", 1)],
    ]


def test_where_a_task_waited_and_ran() -> None:
    """Cut at the ends of the chart; however short, something of it is to be seen."""
    lines = [
        line("a", 1, 3, 7),
        line("b", -5, -4, None),
        line("c", 5, 5, 5.0001),
        line("d", 20, 21, 22),
        line("e", 2, None, None),
    ]
    rows = {row.line.id: (row.waited, row.ran) for row in timeline_rows(lines, BEGIN, at(10), at(15))}
    assert rows == {
        "a": ((100, 200), (300, 400)),
        "b": (None, (0, 1000)),
        "c": (None, (500, 2)),
        "d": (None, None),
        "e": ((200, 800), None),
    }


def test_ticks() -> None:
    """Both ends, and evenly between."""
    assert ticks(at(0), at(4)) == [at(number) for number in range(5)]
