"""What a task logged, its last lines, each bounded."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ailf.async_tasks.journal.form import moment_of
from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import Text

LOGS_LOOKED_AT = 5_000
"""How many lines of a log are looked at for those of a level."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a task's log."""

    seq: int
    at: datetime
    level: int
    level_name: str
    logger: str
    message: Text
    fields: Text | None
    exception: Text | None


LOG_CHARACTERS = 2_000
"""How much of a line of a log is read."""

_LOG = ", ".join(f"substr({name}, 1, {LOG_CHARACTERS}), length({name})" for name in ("message", "fields", "exception"))
_LAST_LOGS = f"""\
SELECT seq, at, level, level_name, logger, {_LOG} FROM task_logs WHERE seq IN (
  SELECT seq FROM (
    SELECT seq, level FROM task_logs WHERE task_id = ? AND seq > ? ORDER BY seq DESC LIMIT {LOGS_LOOKED_AT}
  ) WHERE level >= ? ORDER BY seq DESC LIMIT ?
) ORDER BY seq"""


def last_logs(reader: Reader, task_id: str, *, level: int = 0, after: int = 0, most: int) -> list[LogLine]:
    """The last lines of a task's log, the oldest first.

    Args:
        reader: reads the journal.
        task_id: the task.
        level: of this level or above, as Python's logging numbers them.
        after: only such as come after this ``seq``.
        most: how many at most.

    Raises:
        JournalError: the journal cannot be read.
    """
    found = []
    for seq, at, number, name, logger, *texts in reader.rows(Query(_LAST_LOGS, (task_id, after, level, most))):
        message, fields, exception = (
            None if text is None else Text(text, length) for text, length in zip(texts[::2], texts[1::2], strict=True)
        )
        found.append(LogLine(seq, moment_of(at), number, name, logger, message or Text("", 0), fields, exception))
    return found


_LAST_FIELD = """\
SELECT json_extract(fields, '$."' || ? || '"') FROM task_logs
WHERE task_id = ? AND json_type(fields, '$."' || ? || '"') = 'object' ORDER BY seq DESC LIMIT 1"""


def last_field(reader: Reader, task_id: str, name: str) -> dict[str, Any] | None:
    """The object under a name in the fields of the last line of a task's log that has one; None where none has.

    Raises:
        JournalError: the journal cannot be read.
    """
    rows = reader.rows(Query(_LAST_FIELD, (name, task_id, name)))
    return json.loads(rows[0][0]) if rows else None


_ALL_LOGS = "SELECT at, level_name, logger, message, exception FROM task_logs WHERE task_id = ? ORDER BY seq"


def whole_log(reader: Reader, task_id: str) -> str:
    """All that is kept of a task's log, as text."""
    lines = []
    for at, level_name, logger, message, exception in reader.rows(Query(_ALL_LOGS, (task_id,))):
        lines.append(f"{at} {level_name} {logger}: {message}")
        if exception:
            lines.append(exception)
    return "".join(f"{line}\n" for line in lines)
