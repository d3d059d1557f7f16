"""The health of the file: who is alive, what is too old, which release made it, is it whole, what others ask for.

All that is done between two batches, or from outside by the command. It may import the other wings of the journal.
"""

from ailf.async_tasks.journal.care.clock import Ages, read_clocks
from ailf.async_tasks.journal.care.migrate import MigrateMode, assert_current, ensure_current, migration_lock
from ailf.async_tasks.journal.care.requests import request_cancel, requests_query
from ailf.async_tasks.journal.care.retention import Retention

__all__ = [
    "Ages",
    "MigrateMode",
    "Retention",
    "assert_current",
    "ensure_current",
    "migration_lock",
    "read_clocks",
    "request_cancel",
    "requests_query",
]
