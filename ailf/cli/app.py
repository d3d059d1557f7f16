"""The command ``ailf``: its parts, loaded when they are asked for, and what becomes of errors."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from ailf import __version__
from ailf.async_tasks.journal.form import ENVIRONMENT_VARIABLE, journal_path
from ailf.cli.codes import INTERRUPTED, JOURNAL_TROUBLE, NOTHING, USAGE
from ailf.cli.words import harmless
from ailf.errors import AilfError, InvalidArgumentError, TaskError

PARTS = {"tasks": "ailf.cli.tasks", "journal": "ailf.cli.journal"}
"""Where the groups of commands are; each is imported when it is needed."""


class Root(click.Group):
    """The command, with errors as one line each, and exit codes that scripts can use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, without importing any."""
        return sorted([*super().list_commands(ctx), *PARTS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them."""
        if cmd_name not in PARTS:
            return super().get_command(ctx, cmd_name)
        part = import_module(PARTS[cmd_name]).group
        assert isinstance(part, click.Group)  # noqa: S101 - what the modules are there for
        return part

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; whoever reads what it prints may stop reading at any time."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whatever is still buffered goes nowhere, so that the exit finds no closed pipe either.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return answer

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - as click has it
        **extra: Any,
    ) -> Any:
        """Run it to its exit code."""
        try:
            answer = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            code = answer if isinstance(answer, int) else 0
        except (click.Abort, KeyboardInterrupt):
            code = INTERRUPTED
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = error.exit_code
        except click.ClickException as error:
            path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else None
            _complain(error.format_message() + (f" See `{path} --help`." if path else ""))
            code = error.exit_code
        except AilfError as error:
            _complain(str(error))
            code = exit_code_of(error)
        if standalone_mode:
            sys.exit(code)
        return code


def exit_code_of(error: AilfError) -> int:
    """The exit code that an error of ours stands for."""
    if isinstance(error, TaskError):
        return NOTHING
    return USAGE if isinstance(error, InvalidArgumentError) else JOURNAL_TROUBLE


def _complain(message: str) -> None:
    click.echo(f"ailf: {harmless(message)}", err=True)


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ailf")
def app() -> None:
    """Tasks that are remembered: look at a journal, follow it, mend it; run the demo.

    Exit codes: 0, 1 nothing found or a task failed, 2 wrong usage, 3 trouble with the journal.
    """


@app.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--journal",
    type=click.Path(path_type=Path),
    help=f"The journal; by default ${ENVIRONMENT_VARIABLE}, else ailf_tasks.db here.",
)
def demo(folder: Path | None, journal: Path | None) -> None:
    """Survey the files of FOLDER, a journaled task each; by default those of Python's standard library.

    Beside them run a task that times out, one that fails, one that is cancelled, and a process that
    is killed in the middle of its tasks. The history of earlier runs is shown as well.
    """
    from ailf.cli.demo import run  # noqa: PLC0415 - rich is slow to import

    run(folder, journal_path(journal))
