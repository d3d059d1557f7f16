"""Every question to the file: the queries, a blocking and an awaitable reader, reports, whether anybody has written.

Nothing here writes. It may import ``form`` and the values.
"""

from ailf.async_tasks.journal.reading.areader import AsyncReader
from ailf.async_tasks.journal.reading.filters import Query, Row
from ailf.async_tasks.journal.reading.log_queries import last_logs_query, logs_query, status_query
from ailf.async_tasks.journal.reading.pulse import Pulse
from ailf.async_tasks.journal.reading.queries import (
    among_query,
    count_query,
    descendants_query,
    events_after_query,
    events_query,
    existing_query,
    fitting_query,
    followed_query,
    last_event_query,
    last_numbers_query,
    new_lines_query,
    runs_query,
    submission_query,
    task_query,
    tasks_query,
    unfinished_query,
    view_query,
)
from ailf.async_tasks.journal.reading.readers import Reader

__all__ = [
    "AsyncReader",
    "Pulse",
    "Query",
    "Reader",
    "Row",
    "among_query",
    "count_query",
    "descendants_query",
    "events_after_query",
    "events_query",
    "existing_query",
    "fitting_query",
    "followed_query",
    "last_event_query",
    "last_logs_query",
    "last_numbers_query",
    "logs_query",
    "new_lines_query",
    "runs_query",
    "status_query",
    "submission_query",
    "task_query",
    "tasks_query",
    "unfinished_query",
    "view_query",
]
