"""The file that the embedded default keeps results in."""

import sqlite3
from pathlib import Path

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
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT, check_same_thread=False)
