"""``ailf tasks``: the commands that look at tasks, and those that change something about them."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ailf.async_tasks.journal.care import upkeep
from ailf.async_tasks.journal.form import task_event, task_info
from ailf.async_tasks.journal.reading import Reader, events_query, reports
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import ENDED, TaskStatus
from ailf.cli import export, following, gantt, plain, shapes
from ailf.cli.codes import NOTHING, USAGE
from ailf.cli.options import (
    Length,
    Moment,
    chosen_tasks,
    filter_options,
    id_argument,
    is_terminal,
    journal_option,
    json_option,
    reading,
    task_of,
)
from ailf.cli.words import columns

SHOWN_EVENTS = 100
"""How many events of a long timeline ``show`` prints; ``--json`` has all."""

TIMELINE_SIDES = 45
"""What a row of the chart needs beside the chart itself."""


@click.group(name="tasks")
def group() -> None:
    """Look at tasks, follow them, and act on them.

    An ID may be shortened to any unique beginning, or to a unique end such as `tasks list` shows.
    """


for command in (following.watch, following.tail, following.wait, following.cancel, export.export):
    group.add_command(command)


def _show(screen: Any) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only a terminal needs it

    Console(highlight=False).print(screen)


@group.command("list")
@filter_options
@click.option(
    "--sort",
    type=click.Choice([str(sort) for sort in reports.Sort]),
    default="created",
    help="In the order of this; the newest, longest, highest first.",
)
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option("--limit", "-n", type=click.IntRange(min=1), default=50, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="However many there are.")
@journal_option
@json_option
def list_(
    *, journal: Path, sort: str, reverse: bool, limit: int, everything: bool, as_json: bool, **filters: Any
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
    more = not everything and len(infos) > limit
    infos = infos if everything else infos[:limit]
    if as_json:
        click.echo(shapes.text_of([shapes.task_shape(info) for info in infos], indent=2))
    elif not infos:
        click.echo("No such task.", err=True)
    elif is_terminal():
        from ailf.cli.screens import task_table  # noqa: PLC0415

        _show(task_table(infos, datetime.now(UTC)))
    else:
        click.echo(plain.task_columns(infos))
    if more and not as_json:
        click.echo(f"There are more than these {limit}: see --limit and --all.", err=True)
    return 0 if infos else NOTHING


@group.command()
@id_argument
@journal_option
@json_option
def show(*, part: str, journal: Path, as_json: bool) -> int:
    """Show everything about a task: its error with the traceback, its result, its timeline."""
    with reading(journal) as reader:
        info = task_of(reader, part)
        events = [task_event(row) for row in reader.rows(events_query(info.id))]
        state = _owner_state(reader, info, journal)
    if as_json:
        shape = shapes.task_shape(info) | {"owner": state, "events": [shapes.event_shape(event) for event in events]}
        click.echo(shapes.text_of(shape, indent=2))
        return 0
    owner = info.owner_id if state is None else f"pid {state['pid']} on {state['host']}, {state['life']}"
    left_out = max(0, len(events) - SHOWN_EVENTS)
    if is_terminal():
        from ailf.cli.screens import task_screen  # noqa: PLC0415

        _show(task_screen(info, owner, events[left_out:], left_out))
    else:
        click.echo(plain.task_page(info, owner, events[left_out:], left_out))
    return 0


def _owner_state(reader: Reader, info: TaskInfo, journal: Path) -> dict[str, Any] | None:
    owner = reports.owner_of(reader, info.owner_id)
    if owner is None:
        return None
    states = upkeep.owner_states(journal) if owner["stopped_at"] is None else []
    life = next((str(state.life) for state in states if state.id == owner["id"]), "stopped")
    return {key: owner[key] for key in ("id", "pid", "host", "started_at", "stopped_at")} | {"life": life}


@group.command()
@click.option("--since", metavar="TIME", type=Moment(), help="Only tasks submitted then or later.")
@journal_option
@json_option
def stats(*, journal: Path, since: datetime | None, as_json: bool) -> int:
    """Count the tasks of each name by how they ended, with the middle and the worst of their durations."""
    with reading(journal) as reader:
        found = reports.stats(reader, since)
    if as_json:
        click.echo(shapes.text_of([shapes.stats_shape(one) for one in found], indent=2))
    elif not found:
        click.echo("No such task.", err=True)
    elif is_terminal():
        from ailf.cli.screens import stats_table  # noqa: PLC0415

        _show(stats_table(found))
    else:
        click.echo(columns(plain.STATS_HEAD, [plain.stats_cells(one) for one in found]))
    return 0 if found else NOTHING


@group.command()
@click.option("--since", metavar="TIME", type=Moment(), help="From when; by default as long as the tasks took.")
@click.option("--until", metavar="TIME", type=Moment(), help="Up to when; by default now.")
@click.option("--limit", "-n", type=click.IntRange(min=1), default=40, show_default=True, help="At most so many tasks.")
@click.option(
    "--width", type=click.IntRange(min=20), help="How many characters wide; by default what the terminal has."
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
    """Draw when tasks waited and ran, a row each: the last ones, or those of a period."""
    import shutil  # noqa: PLC0415

    now = datetime.now(UTC)
    end = until or now
    if since is not None and since >= end:
        raise click.UsageError("The period ends before it begins; give a --since before --until.")
    with reading(journal) as reader:
        infos = reports.period(reader, since or datetime.min.replace(tzinfo=UTC), end, limit)
    room = width or max(20, min(shutil.get_terminal_size().columns, 200) - TIMELINE_SIDES)
    if since is not None:
        period = gantt.Period(since, end, room)
    elif infos:
        period = gantt.fitted(infos, end, room)
    if as_json:
        begun, ended = (period.begin, period.end) if infos or since else (None, None)
        tasks = [shapes.task_shape(info) for info in infos]
        click.echo(shapes.text_of({"begin": begun, "end": ended, "tasks": tasks}, indent=2))
    elif not infos:
        click.echo("No task waited or ran in this period.", err=True)
    elif is_terminal():
        from ailf.cli.screens import timeline_screen  # noqa: PLC0415

        _show(timeline_screen(infos, period, end))
    else:
        click.echo(plain.timeline_lines(infos, period, end))
    return 0 if infos else NOTHING


@group.command()
@click.option("--older-than", metavar="DURATION", type=Length(), required=True, help="Ended longer ago: 7d, 12h.")
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
        if not sys.stdin.isatty():
            click.echo(f"ailf: {found} tasks would be deleted; say --yes, since nobody can be asked here.", err=True)
            return USAGE
        if not click.confirm(f"Delete {found} tasks?"):
            return NOTHING
    click.echo(f"{upkeep.prune(journal, before, statuses)} tasks deleted.")
    return 0
