"""What the file looks like: tables, views, triggers; rows and values; connections and paths.

It decides nothing and asks nothing. It may import the values alone.
"""

from ailf.async_tasks.journal.form.engine import (
    ADVICE,
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    Access,
    Durability,
    assert_sqlite_version,
    async_engine,
    connect,
    create_file,
    is_without_content,
    journal_error,
    leaving_nothing,
    pragmas,
    translated,
    uri,
)
from ailf.async_tasks.journal.form.paths import ENVIRONMENT_VARIABLE, beside, journal_path, owners_folder
from ailf.async_tasks.journal.form.rows import (
    EncodedResult,
    encode_metadata,
    encode_result,
    encode_value,
    key_in,
    metadata_path,
    microseconds_text,
    storable,
    task_event,
    task_info,
    time_of,
    time_text,
)
from ailf.async_tasks.journal.form.schema import APPLICATION_ID, journal, owners, task_events, task_logs, tasks
from ailf.async_tasks.journal.form.sql import Statement, named, positional
from ailf.async_tasks.journal.form.views import stats_sql

__all__ = [
    "ADVICE",
    "APPLICATION_ID",
    "ENVIRONMENT_VARIABLE",
    "PRIVATE_FILE",
    "PRIVATE_FOLDER",
    "Access",
    "Durability",
    "EncodedResult",
    "Statement",
    "assert_sqlite_version",
    "async_engine",
    "beside",
    "connect",
    "create_file",
    "encode_metadata",
    "encode_result",
    "encode_value",
    "is_without_content",
    "journal",
    "journal_error",
    "journal_path",
    "key_in",
    "leaving_nothing",
    "metadata_path",
    "microseconds_text",
    "named",
    "owners",
    "owners_folder",
    "positional",
    "pragmas",
    "stats_sql",
    "storable",
    "task_event",
    "task_events",
    "task_info",
    "task_logs",
    "tasks",
    "time_of",
    "time_text",
    "translated",
    "uri",
]
