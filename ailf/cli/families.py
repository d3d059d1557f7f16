"""``ailf tasks tree``: tasks with those that were submitted in them."""

from datetime import UTC, datetime
from pathlib import Path

import click

from ailf.async_tasks.journal.reading import reports
from ailf.cli import plain, shapes
from ailf.cli.codes import NOTHING
from ailf.cli.groups import examples
from ailf.cli.options import complete_id, is_terminal, journal_option, json_option, limit_option, reading, task_of
from ailf.cli.words import columns


@click.command(epilog=examples("tasks tree", "tasks tree 8c1f4a9be207 --all"))
@click.argument("part", metavar="[ID]", required=False, shell_complete=complete_id)
@limit_option(50, "tasks")
@journal_option
@json_option
def tree(*, part: str | None, limit: int, everything: bool, journal: Path, as_json: bool) -> int:
    """Draw tasks above what was submitted in them: one task's family, or all, the newest family first."""
    with reading(journal) as reader:
        task_id = None if part is None else task_of(reader, part).id
        branches = reports.tree(reader, task_id, reports.EVERY if everything else limit + 1)
    more = not everything and len(branches) > limit
    branches = branches[:limit] if more else branches
    now = datetime.now(UTC)
    if as_json:
        click.echo(shapes.text_of([shapes.branch_shape(branch) for branch in branches], indent=2))
    elif not branches:
        click.echo("No such task.", err=True)
    elif is_terminal():
        from rich.console import Console  # noqa: PLC0415 - slow to import, and only a terminal needs it

        from ailf.cli.screens import tree_table  # noqa: PLC0415

        Console(highlight=False).print(tree_table(branches, now))
    else:
        click.echo(columns(plain.BRANCH_HEAD, [plain.branch_cells(branch, now) for branch in branches]))
    if more and not as_json:
        click.echo(f"There are more than these {limit}: see --limit and --all.", err=True)
    return 0 if branches else NOTHING
