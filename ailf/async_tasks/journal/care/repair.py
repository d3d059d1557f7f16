"""Mending what is harmless: what loses nothing that anybody could still read, and what a start would do anyway."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ailf.async_tasks.journal.care import migrate, upkeep

_LEFT_BEHIND = re.compile(r"row \d+ of task_(events|logs) points to no row of tasks")
_ABOUT_AN_INDEX = re.compile("(missing from|wrong # of entries in|non-unique entry in) index ")
"""How SQLite's check says that an index disagrees with its table (https://sqlite.org/pragma.html#pragma_integrity_check)."""

_DELETE_LEFT_BEHIND = tuple(
    f"DELETE FROM {table} WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = {table}.task_id)"  # noqa: S608 - ours
    for table in ("task_events", "task_logs")
)


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was mended."""

    left_behind: int
    """How many events and lines of the log were deleted whose tasks had been deleted without them."""
    has_new_indexes: bool
    """Whether the indexes were made anew."""
    failed: int
    """How many tasks of dead processes were marked as failed."""


def is_left_behind(finding: str) -> bool:
    """Whether something that a check has found belonged to a task that somebody has deleted without it."""
    return _LEFT_BEHIND.fullmatch(finding) is not None


def is_harmless(damage: Iterable[str]) -> bool:
    """Whether all that a check has found can be mended with nothing lost."""
    return all(is_left_behind(one) or _ABOUT_AN_INDEX.search(one) for one in damage)


def repair(path: Path, damage: Iterable[str]) -> Repaired:
    """Mend what is harmless; of a journal that is damaged otherwise, or of another release, nothing.

    Args:
        path: the journal.
        damage: what a check has found.

    Raises:
        JournalError: the journal cannot be written.
    """
    found = list(damage)
    if not is_harmless(found) or migrate.revision_of(path) != migrate.HEAD:
        return Repaired(0, has_new_indexes=False, failed=0)
    left_behind = 0
    is_index_wrong = not all(map(is_left_behind, found))
    with upkeep.writing(path) as connection:
        if is_index_wrong:
            # First: what is deleted is looked for by them.
            connection.execute("REINDEX")
        if any(map(is_left_behind, found)):
            connection.execute("BEGIN IMMEDIATE")
            left_behind = sum(connection.execute(statement).rowcount for statement in _DELETE_LEFT_BEHIND)
            connection.execute("COMMIT")
    return Repaired(left_behind, has_new_indexes=is_index_wrong, failed=upkeep.recover(path))
