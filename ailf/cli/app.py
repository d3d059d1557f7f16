"""The command ``ailf``: its parts, loaded when they are asked for, and what becomes of errors."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import click

from ailf import __version__
from ailf.cli.codes import INTERRUPTED, JOURNAL_TROUBLE, NOTHING, OUTPUT_TROUBLE, USAGE
from ailf.cli.groups import PARTS, Group, examples, part
from ailf.cli.mcp import mcp
from ailf.cli.options import JOURNAL_HELP, journal_option
from ailf.cli.serve import serve
from ailf.cli.words import harmless
from ailf.errors import AilfError, InvalidArgumentError, TaskError


class Root(Group):
    """The command, with errors as one line each, and exit codes that scripts can use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, without importing any."""
        return sorted([*super().list_commands(ctx), *PARTS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One of them."""
        return part(cmd_name) if cmd_name in PARTS else super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; whoever reads what it prints may stop reading at any time."""
        try:
            answer = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            _forget(sys.stdout)
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
        if sys.stdout is None:
            # Before anything is done: what nobody can be told of may be a deletion.
            _complain("The standard output is closed; direct it somewhere, to /dev/null if need be.")
            sys.exit(OUTPUT_TROUBLE)
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
        except OSError as error:
            code = _about_the_system(error)
        if standalone_mode:
            sys.exit(code)
        return code


def exit_code_of(error: AilfError) -> int:
    """The exit code that an error of ours stands for."""
    if isinstance(error, TaskError):
        return NOTHING
    return USAGE if isinstance(error, InvalidArgumentError) else JOURNAL_TROUBLE


def _about_the_system(error: OSError) -> int:
    """Say what the system refused; the exit code for it."""
    if error.filename is not None:
        _complain(f"{os.fsdecode(error.filename)}: {error.strerror}.")
        return JOURNAL_TROUBLE
    # No file of ours is written without a name, but the outputs are.
    _forget(sys.stdout)
    _complain(f"The output cannot be written: {error.strerror or error}.")
    return OUTPUT_TROUBLE


def _forget(stream: TextIO) -> None:
    """Let go nowhere whatever is still buffered, so that the exit finds no closed pipe or full disk either."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    with suppress(OSError):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _complain(message: str) -> None:
    try:
        click.echo(f"ailf: {harmless(message)}", err=True)
    except OSError:
        # Where even this cannot be told, the exit code has to say it alone.
        _forget(sys.stderr)


@click.group(
    "ailf",
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("tasks list --failed --since today", "--journal night.db tasks watch"),
)
@click.version_option(__version__, prog_name="ailf")
@click.option("--journal", metavar="PATH", type=click.Path(path_type=Path), help=JOURNAL_HELP)
def app(**_: object) -> None:
    """Tasks that are remembered: look at a journal, follow it, mend it; run the demo.

    Exit codes: 0, 1 nothing found or a task failed, 2 wrong usage, 3 trouble with the journal, 4 the output
    cannot be written.
    """


@app.command(epilog=examples("demo", "demo ~/notes --journal notes.db"))
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@journal_option
def demo(*, folder: Path | None, journal: Path) -> None:
    """Survey the files of FOLDER, a journaled task each; by default those of Python's standard library.

    Beside them run a task that times out, one that fails, one that is cancelled, and a process that
    is killed in the middle of its tasks. The history of earlier runs is shown as well.
    """
    from ailf.cli.demo import run  # noqa: PLC0415 - rich is slow to import

    run(folder, journal)


app.add_command(mcp)
app.add_command(serve)
