"""The questions that people ask: one room for the command, the page and the tools of agents.

Each is a function that takes a ``Reader`` and gives values back; none writes, and none knows who asks.
"""

from ailf.async_tasks.journal.reading.reports.ddl import schema
from ailf.async_tasks.journal.reading.reports.grouping import FAILURES_LOOKED_AT, NO_TYPE, Failure, Failures, failures
from ailf.async_tasks.journal.reading.reports.keyset import REACH, Order, Page, Place, Wanted, page
from ailf.async_tasks.journal.reading.reports.kin import Family, Relative, family
from ailf.async_tasks.journal.reading.reports.lines import EVERY, Line, Text
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
from ailf.async_tasks.journal.reading.reports.logs import LogLine, last_field, last_logs, whole_log
from ailf.async_tasks.journal.reading.reports.names import TASKS_LOOKED_AT, NameStats, stats
from ailf.async_tasks.journal.reading.reports.one import (
    PARTS,
    Sheet,
    event_before_the_last,
    last_events,
    owner_of,
    part,
    reports_of,
    sheet,
)
from ailf.async_tasks.journal.reading.reports.places import place_of, place_text
from ailf.async_tasks.journal.reading.reports.present import (
    MINUTES,
    MOST_COUNTED,
    Board,
    Minute,
    Now,
    Running,
    board,
    counted,
    counts,
    minutes,
    now,
)
from ailf.async_tasks.journal.reading.reports.timeline import period, period_lines, span
from ailf.async_tasks.journal.reading.reports.trees import Branch, last_said, tree

__all__ = [
    "CANDIDATES",
    "COLUMNS",
    "EVERY",
    "FAILURES_LOOKED_AT",
    "MINUTES",
    "MOST_COUNTED",
    "NO_TYPE",
    "PARTS",
    "REACH",
    "TASKS_A_PAGE",
    "TASKS_LOOKED_AT",
    "Board",
    "Branch",
    "Failure",
    "Failures",
    "Family",
    "Line",
    "LogLine",
    "Minute",
    "NameStats",
    "Now",
    "Order",
    "Page",
    "Place",
    "Relative",
    "Running",
    "Sheet",
    "Sort",
    "Text",
    "Wanted",
    "board",
    "completions",
    "counted",
    "counts",
    "event_before_the_last",
    "failures",
    "family",
    "ids_like",
    "last_events",
    "last_field",
    "last_logs",
    "last_said",
    "minutes",
    "now",
    "owner_of",
    "page",
    "pages",
    "part",
    "period",
    "period_lines",
    "place_of",
    "place_text",
    "reports_of",
    "schema",
    "sheet",
    "sorted_query",
    "span",
    "stats",
    "tree",
    "whole_log",
]
