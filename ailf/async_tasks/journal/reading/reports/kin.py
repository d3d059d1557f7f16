"""Where a task comes from, and what it has submitted."""

from dataclasses import dataclass

from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import LINE, Line, line_of

MOST_GENERATIONS = 50
"""How far up and down a family is followed."""


@dataclass(frozen=True, slots=True)
class Relative:
    """A task in a family tree."""

    line: Line
    depth: int
    """How far below the one whose family it is; above it, negative."""


@dataclass(frozen=True, slots=True)
class Family:
    """Where a task comes from, and what it has submitted."""

    ancestors: list[Relative]
    """From the first on."""
    descendants: list[Relative]
    """Each below its parent, in order of submission."""
    has_more: bool
    """Whether there are more descendants."""


_ANCESTORS = f"""\
WITH RECURSIVE line_up(id, depth) AS (
  SELECT parent_id, -1 FROM tasks WHERE id = ? AND parent_id IS NOT NULL
  UNION ALL
  SELECT tasks.parent_id, depth - 1 FROM line_up JOIN tasks ON tasks.id = line_up.id
  WHERE tasks.parent_id IS NOT NULL AND depth > -{MOST_GENERATIONS}
)
SELECT depth, {LINE} FROM line_up CROSS JOIN tasks ON tasks.id = line_up.id ORDER BY depth"""
# Depth first: SQLite takes the row next that is the first in the order (https://sqlite.org/lang_with.html).
_DESCENDANTS = f"""\
WITH RECURSIVE below(id, depth, place) AS (
  SELECT * FROM (SELECT id, 1, rowid FROM tasks WHERE parent_id = :id ORDER BY rowid LIMIT :most)
  UNION ALL
  SELECT tasks.id, depth + 1, tasks.rowid FROM below JOIN tasks ON tasks.parent_id = below.id
  WHERE depth < {MOST_GENERATIONS}
  ORDER BY 2 DESC, 3 LIMIT :most
)
SELECT depth, {LINE} FROM below CROSS JOIN tasks ON tasks.id = below.id"""


def family(reader: Reader, task_id: str, most: int) -> Family:
    """The tasks that a task was submitted in, and those that were submitted in it.

    Args:
        reader: reads the journal.
        task_id: the task.
        most: how many of the latter at most.

    Raises:
        JournalError: the journal cannot be read.
    """
    above = reader.rows(Query(_ANCESTORS, (task_id,)))
    below = reader.rows(Query(_DESCENDANTS, {"id": task_id, "most": most + 1}))
    return Family(
        ancestors=[Relative(line_of(row[1:]), row[0]) for row in above],
        descendants=[Relative(line_of(row[1:]), row[0]) for row in below[:most]],
        has_more=len(below) > most,
    )
