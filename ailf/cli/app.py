"""What the command ``ailf`` can do."""

from pathlib import Path

import click

from ailf import __version__
from ailf.async_tasks.journal.paths import ENVIRONMENT_VARIABLE, journal_path
from ailf.errors import AilfError

JOURNAL_TROUBLE = 3
"""The exit code where the journal cannot be opened, read or written."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ailf")
def app() -> None:
    """Tasks that are remembered: run the demo, look at a journal."""


@app.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--journal",
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The journal; by default ${ENVIRONMENT_VARIABLE}, else ailf_tasks.db here.",
)
def demo(folder: Path | None, journal: Path | None) -> None:
    """Survey the files of FOLDER, a journaled task each; by default those of Python's standard library.

    Beside them run a task that times out, one that fails, one that is cancelled, and a process that
    is killed in the middle of its tasks. The history of earlier runs is shown as well.
    """
    from ailf.cli.demo import run  # noqa: PLC0415 - rich is slow to import

    try:
        run(folder, journal_path(journal))
    except AilfError as error:
        click.echo(str(error), err=True)
        raise SystemExit(JOURNAL_TROUBLE) from None
