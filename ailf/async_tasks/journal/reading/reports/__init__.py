"""The questions that people ask: one room for the command, the page and the tools of agents.

Each is a function that takes a ``Reader`` and gives values back; none writes, and none knows who asks.
"""

from ailf.async_tasks.journal.reading.reports.lists import (
    CANDIDATES,
    COLUMNS,
    TASKS_A_PAGE,
    Sort,
    completions,
    ids_like,
    pages,
    sorted_query,
)
from ailf.async_tasks.journal.reading.reports.names import NameStats, stats
from ailf.async_tasks.journal.reading.reports.one import event_before_the_last, owner_of
from ailf.async_tasks.journal.reading.reports.present import Now, counts, now
from ailf.async_tasks.journal.reading.reports.timeline import period, span

__all__ = [
    "CANDIDATES",
    "COLUMNS",
    "TASKS_A_PAGE",
    "NameStats",
    "Now",
    "Sort",
    "completions",
    "counts",
    "event_before_the_last",
    "ids_like",
    "now",
    "owner_of",
    "pages",
    "period",
    "sorted_query",
    "span",
    "stats",
]
