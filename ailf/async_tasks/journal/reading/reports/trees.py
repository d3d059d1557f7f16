"""Families as trees; and which running tasks have said nothing for how long."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ailf.async_tasks.journal.form import last_said_sql, moment_of
from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import LINE, Line, line_of

MOST_GENERATIONS = 50
"""How far down a family is followed."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A task in a tree of families."""

    line: Line
    depth: int
    """How far below the task at the top."""
    result: str | None
    """The beginning of its result."""


RESULT_CHARACTERS = 60

_NO_PARENT = "parent_id IS NULL OR NOT EXISTS (SELECT 1 FROM tasks AS parents WHERE parents.id = tasks.parent_id)"
# Nothing is sorted: the first of many families are there at once. What is below a task comes as one JSON array.
_TREE = f"""\
SELECT json_extract(member.value, '$[1]'), substr(tasks.result, 1, {RESULT_CHARACTERS}), {LINE}
FROM (SELECT rowid AS top, id AS top_id FROM tasks WHERE {{tops}}) CROSS JOIN json_each(
  CASE WHEN EXISTS (SELECT 1 FROM tasks AS children WHERE children.parent_id = top_id) THEN (
    WITH RECURSIVE family(number, depth) AS (
      SELECT top, 0
      UNION ALL
      SELECT children.rowid, depth + 1
      FROM family JOIN tasks AS parents ON parents.rowid = family.number
        JOIN tasks AS children ON children.parent_id = parents.id
      WHERE depth < {MOST_GENERATIONS}
      ORDER BY 2 DESC, 1
      LIMIT ?
    )
    SELECT json_group_array(json_array(number, depth)) FROM family
  ) ELSE json_array(json_array(top, 0)) END
) AS member CROSS JOIN tasks ON tasks.rowid = json_extract(member.value, '$[0]')
ORDER BY top DESC LIMIT ?"""


def tree(reader: Reader, task_id: str | None, most: int) -> list[Branch]:
    """Families: each task above what was submitted in it, in order of submission; the newest family first.

    Args:
        reader: reads the journal.
        task_id: the task at the top; None is every one that has no parent in the journal.
        most: how many tasks at most; negative is all.

    Raises:
        JournalError: the journal cannot be read.
    """
    if task_id is None:
        query = Query(_TREE.format(tops=_NO_PARENT), (most, most))
    else:
        query = Query(_TREE.format(tops="id = ?"), (task_id, most, most))
    return [Branch(line_of(row[2:]), row[0], row[1]) for row in reader.rows(query)]


_LAST_SAID = f"""\
SELECT tasks.id, {last_said_sql()} FROM tasks
WHERE tasks.id IN (SELECT value FROM json_each(?)) AND tasks.status = 'running'"""


def last_said(reader: Reader, task_ids: Iterable[str]) -> dict[str, datetime]:
    """When each of these tasks that runs last said anything: its last event, or the last line in its log.

    Args:
        reader: reads the journal.
        task_ids: the tasks.

    Raises:
        JournalError: the journal cannot be read.
    """
    rows = reader.rows(Query(_LAST_SAID, (json.dumps(list(task_ids)),)))
    return {task_id: moment_of(at) for task_id, at in rows if at}
