"""The journal served over stdio, as the command does it."""

import os
import signal
from pathlib import Path

from ailf.async_tasks.source import Source
from ailf.mcp.server import journal_server


def serve(journal: Path, *, actions: bool = False) -> None:
    """Serve a journal to the agent at the other end of the standard input and output; blocks until that has gone.

    Args:
        journal: the journal, which need not be there yet.
        actions: whether tasks may be cancelled.
    """
    source = Source(journal)

    def leave(number: int, _frame: object) -> None:
        # A thread waits for input, which no signal interrupts and every other end of a process waits for.
        source.close()
        os._exit(128 + number)

    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, leave)
    journal_server(source, actions=actions).run("stdio")
