"""What became of the tasks of each name."""

from dataclasses import dataclass
from datetime import datetime

from ailf.async_tasks.journal.form import stats_sql, time_of, time_text
from ailf.async_tasks.journal.reading.queries import Query
from ailf.async_tasks.journal.reading.readers import Reader


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


def stats(reader: Reader, since: datetime | None = None) -> list[NameStats]:
    """The statistics of each name, the most frequent first.

    Args:
        reader: reads the journal.
        since: only of the tasks submitted then or later; None is all.
    """
    sql = stats_sql(lambda text, _: text, lambda moment: moment, since="?")
    begin = "" if since is None else time_text(since)
    rows = reader.rows(Query(sql, (begin,) * sql.count("?")))
    return [NameStats(*(*row[:9], time_of(row[9]), row[10])) for row in rows]
