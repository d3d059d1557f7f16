"""Who waited and ran when."""

from datetime import datetime

from ailf.async_tasks.journal.form import task_info, tasks, time_of, time_text
from ailf.async_tasks.journal.reading.filters import Query, Row
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import LINE, Line, line_of
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import ENDED, UNFINISHED

LOOKED_AT = 2_000
"""How many tasks are looked at, those submitted last before the end of a period, for such as ended after it."""

_UNFINISHED = [
    f"SELECT rowid FROM tasks WHERE status = '{status}' ORDER BY rowid DESC LIMIT :limit"
    for status in sorted(UNFINISHED)
]
_ENDED = [
    f"SELECT rowid FROM tasks WHERE status = '{status}' AND completed_at IS NOT NULL AND completed_at >= :begin "
    "AND completed_at < :end ORDER BY completed_at DESC LIMIT :limit"
    for status in sorted(ENDED)
]
_SUBMITTED = """\
SELECT rowid FROM (
  SELECT rowid, completed_at FROM tasks WHERE created_at < :end ORDER BY created_at DESC LIMIT :looked_at
) WHERE completed_at >= :begin"""
_FOUND = " UNION ".join(f"SELECT * FROM ({part})" for part in (*_UNFINISHED, *_ENDED, _SUBMITTED))


def _sql(columns: str) -> str:
    return f"""\
WITH found(place) AS MATERIALIZED ({_FOUND})
SELECT {columns} FROM found CROSS JOIN tasks ON tasks.rowid = found.place
WHERE +tasks.created_at < :end
ORDER BY found.place DESC LIMIT :limit"""


_INFOS = _sql(", ".join(f"tasks.{column.name}" for column in tasks.columns))
_LINES = _sql(LINE)


def period(reader: Reader, begin: datetime, end: datetime, most: int) -> list[TaskInfo]:
    """The tasks that were waiting or running at some time of a period, in order of submission.

    Args:
        reader: reads the journal.
        begin: when it begins.
        end: when it ends.
        most: how many at most: the last of them.
    """
    return [task_info(row) for row in _rows(reader, _INFOS, begin, end, most)]


def period_lines(reader: Reader, begin: datetime, end: datetime, most: int) -> list[Line]:
    """The same as lines of a list."""
    return [line_of(row) for row in _rows(reader, _LINES, begin, end, most)]


def _rows(reader: Reader, sql: str, begin: datetime, end: datetime, most: int) -> list[Row]:
    # Where nothing has ended after the period, that look for the tasks that did is spared.
    is_over = bool(reader.rows(Query(_ENDED_SINCE, {"end": time_text(end)})))
    values = {
        "begin": time_text(begin),
        "end": time_text(end),
        "limit": most,
        "looked_at": max(LOOKED_AT, most) if is_over else most,
    }
    return reader.rows(Query(sql, values))[::-1]


_ENDED_SINCE = " UNION ALL ".join(
    f"SELECT * FROM (SELECT 1 FROM tasks WHERE status = '{status}' AND completed_at IS NOT NULL "
    "AND completed_at >= :end LIMIT 1)"
    for status in sorted(ENDED)
)

_FIRST, _LAST = (f"SELECT {end}(created_at) FROM tasks" for end in ("min", "max"))


def span(reader: Reader) -> tuple[datetime | None, datetime | None]:
    """When the first and the last of the tasks were submitted."""
    # One by one: SQLite reads a single min() or max() off the end of the index, and both together by a scan.
    [(first,)], [(last,)] = reader.rows(Query(_FIRST, ())), reader.rows(Query(_LAST, ()))
    return time_of(first), time_of(last)
