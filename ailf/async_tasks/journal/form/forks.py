"""What a forked child must leave alone: every journal that its parent had open at the fork.

SQLite's table of locks is inherited, and the kernel's locks are not: a child that opens such a file once more
believes that it holds what it does not, writes beside others, and damages the file or loses what they wrote
(https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_).
"""

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ailf.errors import ManagerError

Place = tuple[int, int]


class _Use:
    """Somebody of this process uses a file, or is about to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = _place_of(path)


class TrackedConnection(sqlite3.Connection):
    """A connection that is known to be open, for as long as it is."""

    def __init__(self, database: str, *arguments: Any, journal: Path, **settings: Any) -> None:
        """Open it.

        Args:
            database: the file as SQLite's URI.
            arguments: as ``sqlite3.connect`` takes them.
            journal: the path of the file.
            settings: as ``sqlite3.connect`` takes them.

        Raises:
            ManagerError: see ``refuse_inherited``.
        """
        refuse_inherited(journal)
        use = _Use(journal)
        super().__init__(database, *arguments, **settings)
        _in_use[self] = use

    def close(self) -> None:
        """Close it."""
        super().close()
        _in_use.pop(self, None)


_in_use: "weakref.WeakKeyDictionary[object, _Use]" = weakref.WeakKeyDictionary()
"""By whoever uses it: in a forked child these are never closed, which would be done to the parent's file."""

_inherited: list[tuple[object, _Use]] = []
"""The same of the parent."""


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """While a journal is being made or looked over, on connections of many kinds, it counts as open.

    Raises:
        ManagerError: see ``refuse_inherited``.
    """
    refuse_inherited(path)
    use = _Use(path)
    _in_use[use] = use
    try:
        yield
    finally:
        _in_use.pop(use, None)


def refuse_inherited(path: Path) -> None:
    """Refuse a file that the parent of this process had open when it was forked, whatever path leads to it.

    Raises:
        ManagerError: it had.
    """
    if not _inherited:
        return
    place = _place_of(path)
    # What the parent was just making was not there yet when it began.
    if any(place == use.place or (use.place is None and place == _place_of(use.path)) for _, use in _inherited):
        raise inherited_error(path)


def inherited_error(path: Path) -> ManagerError:
    """Why a forked child must not use a journal, and what to do instead."""
    return ManagerError(
        f"The journal {path} was open in the parent process when this one was forked, and cannot be used here: "
        "SQLite's locks do not survive a fork, and acknowledged tasks would be lost. Start processes by "
        "multiprocessing's 'spawn' or 'forkserver', as in multiprocessing.get_context('spawn'), or start the manager "
        "after a fork, and not before it as well."
    )


def _place_of(path: Path) -> Place | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _inherit() -> None:
    _inherited.extend(_in_use.items())
    _in_use.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_inherit)
