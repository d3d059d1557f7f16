"""What became of the tasks of each name."""

from dataclasses import dataclass
from datetime import datetime

from ailf.async_tasks.journal.form import stats_sql, time_of, time_text
from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import EVERY

TASKS_LOOKED_AT = 5_000
"""Of how many tasks the statistics are, the newest, unless all are asked for."""


@dataclass(frozen=True, slots=True)
class NameStats:
    """What became of the tasks of one name."""

    name: str
    tasks: int
    active: int
    completed: int
    failed: int
    cancelled: int
    median_s: float | None
    """The duration in seconds that half of those that ran did not exceed."""
    p90_s: float | None
    """The same for nine tenths of them."""
    worst_s: float | None
    last_failed: datetime | None
    last_error: str | None


# The name hides the table, so that the statistics are those of the newest alone.
_NEWEST = """\
WITH tasks AS MATERIALIZED (
  SELECT
    name, status, reason, created_at, started_at, completed_at, substr(error, 1, 200) AS error, error_type
  FROM main.tasks {since} DESC LIMIT ?
), """


def stats(reader: Reader, since: datetime | None = None, most: int = EVERY) -> list[NameStats]:
    """The statistics of each name, the most frequent first.

    Args:
        reader: reads the journal.
        since: only of the tasks submitted then or later; None is all.
        most: only of the newest so many of these; ``EVERY`` is all.

    Raises:
        JournalError: the journal cannot be read.
    """
    begin = "" if since is None else time_text(since)
    sql = stats_sql(lambda text, _: text, lambda moment: moment, since=None if most != EVERY else "?")
    values: tuple[str | int, ...] = (begin,) * sql.count("?")
    if most != EVERY:
        # The table itself is the quickest to go through, where there is no stretch of time to be found in it.
        within = "ORDER BY rowid" if since is None else "WHERE created_at >= ? ORDER BY created_at"
        sql = _NEWEST.format(since=within) + sql.removeprefix("WITH ")
        values = (most,) if since is None else (begin, most)
    return [NameStats(*(*row[:9], time_of(row[9]), row[10])) for row in reader.rows(Query(sql, values))]
