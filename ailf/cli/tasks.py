"""``ailf tasks``: the commands that look at tasks, and those that change something about them."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ailf.async_tasks.journal.care import upkeep
from ailf.async_tasks.journal.form import task_event, task_info
from ailf.async_tasks.journal.reading import Reader, events_query, reports
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import ENDED, TaskStatus
from ailf.cli import export, families, following, gantt, logs, plain, shapes
from ailf.cli.choosing import chosen_tasks, filter_options
from ailf.cli.codes import NOTHING, USAGE
from ailf.cli.groups import Group, examples
from ailf.cli.options import (
    MOST,
    ColumnName,
    Length,
    Moment,
    dead_owners,
    id_argument,
    is_terminal,
    journal_option,
    json_option,
    limit_option,
    reading,
    task_of,
)
from ailf.cli.words import columns, length

SHOWN_EVENTS = 100
"""How many events of a long timeline ``show`` prints; ``--json`` has all."""

TIMELINE_SIDES = 45
"""What a row of the chart needs beside the chart itself, in a pipe."""

LEAST_CHART, WIDEST = 20, 200
"""How many characters wide a chart is at least, and a whole row at most."""


@click.group(name="tasks", cls=Group, epilog=examples("tasks list", "tasks watch"))
def group() -> None:
    """Look at tasks, follow them, and act on them.

    An ID may be shortened to any unique beginning, or to a unique end such as `tasks list` shows.
    """


for command in (
    *(following.watch, following.tail, following.wait, following.cancel, export.export),
    *(families.tree, logs.logs),
):
    group.add_command(command)


def _show(screen: Any) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only a terminal needs it

    Console(highlight=False).print(screen)


@group.command("list", epilog=examples("tasks list --failed --since today", "tasks list -m user=u1 --sort duration"))
@filter_options
@click.option(
    "--sort",
    type=click.Choice([str(sort) for sort in reports.Sort]),
    default="created",
    help="In the order of this; the newest, longest, highest first.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option(
    *("--column", "-c", "chosen"),
    metavar="NAME",
    type=ColumnName(),
    multiple=True,
    help="A further column: metadata.user, timeout, error_type; may be repeated.",
)
@limit_option(50, "tasks")
@journal_option
@json_option
def list_(
    *,
    journal: Path,
    sort: str,
    reverse: bool,
    chosen: tuple[str, ...],
    limit: int,
    everything: bool,
    as_json: bool,
    **filters: Any,
) -> int:
    """List tasks, the newest first."""
    order = reports.Sort(sort)
    descending = (order is not reports.Sort.NAME) != reverse
    most = None if everything else limit + 1
    with reading(journal) as reader:
        query = reports.sorted_query(
            chosen_tasks(**filters), order, reader.indexed_paths(), descending=descending, limit=most
        )
        infos = [task_info(row) for row in reader.rows(query)]
        quiet = {} if filters["stalled"] is None else reports.last_said(reader, [info.id for info in infos])
        infos, more = (infos, False) if everything else (infos[:limit], len(infos) > limit)
        gone = frozenset() if as_json else dead_owners(journal, infos)
    now = datetime.now(UTC)
    if not as_json:
        infos = [_telling_quiet(info, quiet, now) for info in infos]
    if as_json:
        click.echo(shapes.text_of([shapes.task_shape(info) | _quiet_s(info, quiet, now) for info in infos], indent=2))
    elif not infos:
        click.echo("No such task.", err=True)
    elif is_terminal():
        from ailf.cli.screens import task_table  # noqa: PLC0415

        _show(task_table(infos, now, gone, chosen))
    else:
        click.echo(plain.task_columns(infos, now, gone, chosen))
    if not as_json:
        _footer(limit if more else None, sum(plain.is_lost(info, gone) for info in infos))
    return 0 if infos else NOTHING


def _quiet_s(info: TaskInfo, quiet: Mapping[str, datetime], now: datetime) -> dict[str, float]:
    return {"quiet_s": (now - quiet[info.id]).total_seconds()} if info.id in quiet else {}


def _telling_quiet(info: TaskInfo, quiet: Mapping[str, datetime], now: datetime) -> TaskInfo:
    """The task, its last message behind how long ago that was."""
    if info.id not in quiet:
        return info
    told = f"quiet for {length((now - quiet[info.id]).total_seconds())}"
    return replace(info, progress_message=f"{told}; {info.progress_message}" if info.progress_message else told)


def _footer(limit: int | None, lost: int) -> None:
    """What is to be known of a list beside what it shows."""
    sys.stdout.flush()
    if limit is not None:
        click.echo(f"There are more than these {limit}: see --limit and --all.", err=True)
    if lost:
        tasks = "1 of these tasks is" if lost == 1 else f"{lost} of these tasks are"
        click.echo(f"{tasks} of a process that is gone: `ailf journal recover` marks them as failed.", err=True)


@group.command(epilog=examples("tasks show 8c1f4a9be207", "tasks show nightly-import --json"))
@id_argument
@journal_option
@json_option
def show(*, part: str, journal: Path, as_json: bool) -> int:
    """Show everything about a task: its error with the traceback, its result, its timeline, its last log lines."""
    with reading(journal) as reader:
        info = task_of(reader, part)
        events = [task_event(row) for row in reader.rows(events_query(info.id))]
        state = _owner_state(reader, info, journal)
        lines = logs.last_lines(reader, info.id)
    if as_json:
        shape = shapes.task_shape(info) | {"owner": state, "events": [shapes.event_shape(event) for event in events]}
        shape["logs"] = [shapes.line_shape(line) for line in lines]
        click.echo(shapes.text_of(shape, indent=2))
        return 0
    owner = info.owner_id if state is None else f"pid {state['pid']} on {state['host']}, {state['life']}"
    gone = state is not None and state["life"] == upkeep.Life.DEAD
    left_out = max(0, len(events) - SHOWN_EVENTS)
    texts = [plain.line_text(line) for line in lines]
    if is_terminal():
        from ailf.cli.screens import task_screen  # noqa: PLC0415

        _show(task_screen(info, owner, events[left_out:], left_out, gone=gone, lines=texts))
    else:
        click.echo(plain.task_page(info, owner, events[left_out:], left_out, gone=gone, lines=texts))
    if gone and not info.status.is_ended:
        _footer(None, 1)
    return 0


def _owner_state(reader: Reader, info: TaskInfo, journal: Path) -> dict[str, Any] | None:
    owner = reports.owner_of(reader, info.owner_id)
    if owner is None:
        return None
    states = upkeep.owner_states(journal) if owner["stopped_at"] is None else []
    ended = "stopped" if owner["found_dead_at"] is None else "dead"
    life = next((str(state.life) for state in states if state.id == owner["id"]), ended)
    return {key: owner[key] for key in ("id", "pid", "host", "started_at", "stopped_at")} | {"life": life}


@group.command(epilog=examples("tasks stats", "tasks stats --since 7d --json"))
@click.option("--since", metavar="TIME", type=Moment(), help="Only tasks submitted then or later.")
@limit_option(50, "names, the most frequent ones")
@journal_option
@json_option
def stats(*, journal: Path, since: datetime | None, limit: int, everything: bool, as_json: bool) -> int:
    """Count the tasks of each name by how they ended, with the middle and the worst of their durations."""
    with reading(journal) as reader:
        found = reports.stats(reader, since)
    shown = found if everything else found[:limit]
    if as_json:
        click.echo(shapes.text_of([shapes.stats_shape(one) for one in shown], indent=2))
    elif not found:
        click.echo("No such task.", err=True)
    elif is_terminal():
        from ailf.cli.screens import stats_table  # noqa: PLC0415

        _show(stats_table(shown))
    else:
        click.echo(columns(plain.STATS_HEAD, [plain.stats_cells(one) for one in shown]))
    if len(found) > len(shown) and not as_json:
        click.echo(f"There are {len(found)} names, more than these {limit}: see --limit and --all.", err=True)
    return 0 if found else NOTHING


@group.command(epilog=examples("tasks timeline", "tasks timeline --since 1h --limit 100"))
@click.option("--since", metavar="TIME", type=Moment(), help="From when; by default as long as the tasks took.")
@click.option("--until", metavar="TIME", type=Moment(), help="Up to when; by default now.")
@click.option(
    "--limit", "-n", type=click.IntRange(min=1, max=MOST), default=40, show_default=True, help="At most so many tasks."
)
@click.option(
    "--width",
    type=click.IntRange(min=20, max=10_000),
    help="How many characters wide; by default what the terminal has.",
)
@journal_option
@json_option
def timeline(
    *,
    journal: Path,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    width: int | None,
    as_json: bool,
) -> int:
    """Draw when tasks waited and ran, a row each, children below their parents: the last ones, or those of a period."""
    now = datetime.now(UTC)
    end = until or now
    if since is not None and since >= end:
        raise click.UsageError("The period ends before it begins; give a --since before --until.")
    with reading(journal) as reader:
        infos = reports.period(reader, since or datetime.min.replace(tzinfo=UTC), end, limit)
    period = gantt.Period(since, end, 1) if since else gantt.fitted(infos, end, 1) if infos else None
    if as_json:
        begin, end_ = (period.begin, period.end) if period else (None, None)
        tasks = [shapes.task_shape(info) for info in infos]
        click.echo(shapes.text_of({"begin": begin, "end": end_, "tasks": tasks}, indent=2))
    elif period is None or not infos:
        click.echo("No task waited or ran in this period.", err=True)
    else:
        _draw(plain.with_relatives(infos), period, end, dead_owners(journal, infos), width)
    return 0 if infos else NOTHING


def _draw(infos: list[TaskInfo], period: gantt.Period, now: datetime, gone: frozenset[str], width: int | None) -> None:
    """Draw a period as wide as the terminal, or as is asked for."""
    import shutil  # noqa: PLC0415

    terminal = shutil.get_terminal_size().columns

    def chart(sides: int) -> gantt.Period:
        return replace(period, width=width or max(LEAST_CHART, min(terminal, WIDEST) - sides))

    if is_terminal():
        from ailf.cli.screens import timeline_screen, timeline_sides  # noqa: PLC0415

        _show(timeline_screen(infos, chart(sum(timeline_sides(infos, now, terminal)) + 2), now, terminal, gone))
    else:
        click.echo(plain.timeline_lines(infos, chart(TIMELINE_SIDES), now, gone))


@group.command(epilog=examples("tasks prune --older-than 30d", "tasks prune --older-than 12h --status completed --yes"))
@click.option(
    "--older-than", metavar="DURATION", type=Length(("s", "d")), required=True, help="Ended longer ago: 7d, 12h."
)
@click.option(
    *("--status", "-s"),
    type=click.Choice([str(status) for status in TaskStatus if status in ENDED], case_sensitive=False),
    multiple=True,
    help="Only those that ended so; may be repeated.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@journal_option
def prune(*, journal: Path, older_than: float, status: tuple[str, ...], yes: bool) -> int:
    """Delete tasks that ended long ago, their events with them. Unfinished ones are never touched."""
    statuses = [TaskStatus(one) for one in status] or sorted(ENDED)
    try:
        before = datetime.now(UTC) - timedelta(seconds=older_than)
    except OverflowError:
        raise click.UsageError("No calendar goes back so far; give a shorter --older-than.") from None
    found = upkeep.ended_before(journal, before, statuses)
    if not found:
        click.echo("No such task.", err=True)
        return NOTHING
    if not yes:
        if sys.stdin is None or not sys.stdin.isatty():
            click.echo(f"ailf: {found} tasks would be deleted; say --yes, since nobody can be asked here.", err=True)
            return USAGE
        if not click.confirm(f"Delete {found} tasks?"):
            return NOTHING
    click.echo(f"{upkeep.prune(journal, before, statuses)} tasks deleted.")
    return 0
