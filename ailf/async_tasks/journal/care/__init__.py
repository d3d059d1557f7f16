"""The health of the file: who is alive, what is too old, which release made it, is it whole, what others ask for.

All that is done between two batches, or from outside by the command. It may import the other wings of the journal.
"""

from ailf.async_tasks.journal.care.copies import make_backup
from ailf.async_tasks.journal.care.life import Owner
from ailf.async_tasks.journal.care.locks import OwnerLock
from ailf.async_tasks.journal.care.migrate import (
    MigrateMode,
    assert_current,
    assert_still_current,
    ensure_current,
    is_current,
    migration_lock,
)
from ailf.async_tasks.journal.care.requests import request_cancel, requests_query
from ailf.async_tasks.journal.care.retention import Retention, policy_text
from ailf.async_tasks.journal.care.rounds import Rounds, warn_of_shared_file_system

__all__ = [
    "MigrateMode",
    "Owner",
    "OwnerLock",
    "Retention",
    "Rounds",
    "assert_current",
    "assert_still_current",
    "ensure_current",
    "is_current",
    "make_backup",
    "migration_lock",
    "policy_text",
    "request_cancel",
    "requests_query",
    "warn_of_shared_file_system",
]
