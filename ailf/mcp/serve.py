"""The journal served over stdio, as the command does it."""

from pathlib import Path

from ailf.mcp.server import journal_server


def serve(journal: Path, *, actions: bool = False) -> None:
    """Serve a journal to the agent at the other end of the standard input and output; blocks until that has gone.

    Args:
        journal: the journal, which need not be there yet.
        actions: whether tasks may be cancelled.
    """
    journal_server(journal, actions=actions).run("stdio")
