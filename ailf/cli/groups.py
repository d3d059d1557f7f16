"""Groups of commands: where they are, what to say of a command that there is not, and examples in each help."""

from difflib import get_close_matches
from importlib import import_module

import click

PARTS = {"tasks": "ailf.cli.tasks", "journal": "ailf.cli.journal"}
"""Where the groups of commands are; each is imported when it is needed."""


def part(name: str) -> click.Group:
    """One of the groups."""
    group = import_module(PARTS[name]).group
    assert isinstance(group, click.Group)  # noqa: S101 - what the modules are there for
    return group


def examples(*lines: str) -> str:
    """The end of a command's help: command lines to begin from.

    Args:
        lines: each without the word ``ailf`` at its beginning.
    """
    return "\b\nExamples:\n" + "\n".join(f"  ailf {line}" for line in lines)


class Group(click.Group):
    """A group that knows where the commands of the others are."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; of one that is not here, say which was meant."""
        wanted = args[0]
        if not ctx.resilient_parsing and not wanted.startswith("-") and self.get_command(ctx, wanted) is None:
            meant = _meant(wanted, self.list_commands(ctx), ctx.command_path)
            asked = f" Did you mean {' or '.join(f'`{one}`' for one in meant)}?" if meant else ""
            raise click.UsageError(f"No such command {wanted!r}.{asked}", ctx)
        return super().resolve_command(ctx, args)


def _meant(wanted: str, here: list[str], path: str) -> list[str]:
    """The command lines that somebody may have meant who named a command that is not there."""
    root = path.partition(" ")[0]
    elsewhere = [f"{root} {name} {wanted}" for name in PARTS if wanted in part(name).commands]
    return elsewhere or [f"{path} {name}" for name in get_close_matches(wanted, here, n=2)]
