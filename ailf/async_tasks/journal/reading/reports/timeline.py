"""Who waited and ran when."""

from datetime import datetime

from sqlalchemy import bindparam, func, literal_column, select

from ailf.async_tasks.journal.form import positional, task_info, tasks, time_of, time_text
from ailf.async_tasks.journal.reading.queries import ROWID, Query, bound
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import ENDED, UNFINISHED

_PERIOD = positional(
    select(tasks)
    .where(
        ROWID.in_(
            select(literal_column("rowid"))
            .select_from(tasks)
            .where(
                tasks.c.status.in_([literal_column(f"'{status}'") for status in sorted(ENDED)]),
                tasks.c.completed_at >= bindparam("begin"),
            )
            .union_all(
                select(literal_column("rowid"))
                .select_from(tasks)
                .where(tasks.c.status.in_([literal_column(f"'{status}'") for status in sorted(UNFINISHED)]))
            )
        ),
        tasks.c.created_at < bindparam("end"),
    )
    .order_by(ROWID.desc())
    .limit(bindparam("limit"))
    .offset(literal_column("0"))
)


def period(reader: Reader, begin: datetime, end: datetime, most: int) -> list[TaskInfo]:
    """The tasks that were waiting or running at some time of a period, in order of submission.

    Args:
        reader: reads the journal.
        begin: when it begins.
        end: when it ends.
        most: how many at most: the last of them.
    """
    values = {"begin": time_text(begin), "end": time_text(end), "limit": most}
    return [task_info(row) for row in reader.rows(bound(_PERIOD, values))][::-1]


_SPAN = positional(select(func.min(tasks.c.created_at), func.max(tasks.c.created_at)))


def span(reader: Reader) -> tuple[datetime | None, datetime | None]:
    """When the first and the last of the tasks were submitted."""
    [(first, last)] = reader.rows(Query(_SPAN.sql, ()))
    return time_of(first), time_of(last)
