"""The file that the embedded default keeps results in."""

import sqlite3
from pathlib import Path

from ailf.workers.spool import private_folder

BUSY_TIMEOUT = 30.0
"""Seconds that a process waits for its turn to write."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, and make it and its folder where they are missing, for their owner alone.

    Args:
        path: the file.

    Returns:
        A connection for any one thread at a time.

    Raises:
        OSError: the folder cannot be made.
        sqlite3.Error: the file cannot be opened.
    """
    private_folder(path.parent)
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, check_same_thread=False)
    # A result outlives the death of any process; one of the last seconds need not outlive the machine's power, whose
    # loss also ends whoever waits for it. That is what a sync for each state of each task would buy.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
