"""``ailf mcp``: a journal as an MCP server, for agents."""

from pathlib import Path

import click

from ailf.cli.groups import examples
from ailf.cli.options import journal_option


@click.command(epilog=examples("mcp", "mcp --journal night.db --actions"))
@journal_option
@click.option("--actions", is_flag=True, help="Let tasks be cancelled.")
def mcp(*, journal: Path, actions: bool) -> None:
    """Serve a journal to a coding agent, as an MCP server over stdin and stdout.

    It is only read, unless --actions is given, also while programs write to it. The agent starts this command
    by itself: `claude mcp add ailf -- ailf mcp --journal PATH`, or "command": "ailf", "args": ["mcp", "--journal",
    "PATH"] in the mcp.json of Cursor or VS Code.
    """
    from ailf.mcp.serve import serve  # noqa: PLC0415 - its libraries are an extra

    serve(journal, actions=actions)
