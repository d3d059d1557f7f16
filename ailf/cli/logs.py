"""``ailf tasks logs``: what a task has logged, as it is or as it comes."""

import sys
from pathlib import Path
from typing import Any

import click

from ailf.async_tasks.arguments import log_level
from ailf.async_tasks.journal.form import log_line
from ailf.async_tasks.journal.reading import Pulse, Reader, last_logs_query, logs_query, status_query
from ailf.async_tasks.model import LogLine
from ailf.async_tasks.states import UNFINISHED
from ailf.cli import plain, shapes
from ailf.cli.codes import NOTHING
from ailf.cli.following import pulse_of, wait_for_news
from ailf.cli.groups import examples
from ailf.cli.options import MOST, id_argument, journal_option, json_option, reading, task_of
from ailf.errors import AilfError

SHOWN_LINES = 20
"""How many lines of a log ``tasks show`` ends with."""

LINES_A_READ = 500


# Older releases of click know no type arguments.
class Level(click.ParamType):  # type: ignore[type-arg]
    """A level of ``logging``, by name or by number."""

    name = "level"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        if isinstance(value, int):
            return value
        try:
            return log_level(int(value) if value.isdecimal() else value, "the level")[0]
        except AilfError as error:
            self.fail(str(error), param, ctx)


def last_lines(reader: Reader, task_id: str, number: int = SHOWN_LINES, level: int | None = None) -> list[LogLine]:
    """The last lines of a task's log, in their order."""
    return [log_line(row) for row in reader.rows(last_logs_query(task_id, number, level=level))][::-1]


@click.command(epilog=examples("tasks logs 8c1f4a9be207 --level warning", "tasks logs nightly-import --follow"))
@id_argument
@click.option("--level", "-l", metavar="LEVEL", type=Level(), help="Of this level or above: INFO, WARNING, 35.")
@click.option("--lines", "-n", type=click.IntRange(min=1, max=MOST), help="The last so many; by default all.")
@click.option("--follow", "-f", is_flag=True, help="Go on with each new one until the task has ended.")
@journal_option
@json_option
def logs(*, part: str, level: int | None, lines: int | None, follow: bool, journal: Path, as_json: bool) -> int:
    """Print what a task has logged: what a manager with `capture_logs` took, and what the task wrote itself."""
    with reading(journal) as reader, pulse_of(journal) as pulse:
        task_id = task_of(reader, part).id
        if lines is None:
            after, printed = 0, 0
        else:
            first = last_lines(reader, task_id, lines, level)
            after, printed = (first[-1].seq if first else 0), _print(first, as_json=as_json)
        printed += _print_after(reader, pulse, task_id, level, after, follow=follow, as_json=as_json)
    if not printed:
        click.echo("It has logged nothing that was kept.", err=True)
    return 0 if printed else NOTHING


def _print_after(
    reader: Reader, pulse: Pulse, task_id: str, level: int | None, after: int, *, follow: bool, as_json: bool
) -> int:
    printed = 0
    while True:
        # Read first: of a task that has ended by then, the lines below are the last.
        status = reader.rows(status_query(task_id))
        rows = reader.rows(logs_query(task_id, level=level, after=after, limit=LINES_A_READ))
        found = [log_line(row) for row in rows]
        after = found[-1].seq if found else after
        printed += _print(found, as_json=as_json)
        if len(rows) == LINES_A_READ:
            continue
        if not follow or not status or status[0][0] not in UNFINISHED:
            return printed
        wait_for_news(pulse)


def _print(lines: list[LogLine], *, as_json: bool) -> int:
    for line in lines:
        click.echo(shapes.text_of(shapes.line_shape(line)) if as_json else plain.line_text(line))
    sys.stdout.flush()
    return len(lines)
