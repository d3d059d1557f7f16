"""What the file itself says of its tables and views: their DDL, in which each column is explained."""

from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.readers import Reader

_DDL = """\
SELECT sql FROM sqlite_master
WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name <> 'alembic_version'
ORDER BY rowid"""


def schema(reader: Reader) -> str:
    """The DDL of a journal's tables and views.

    Raises:
        JournalError: the journal cannot be read.
    """
    return "\n\n".join(f"{sql};" for (sql,) in reader.rows(Query(_DDL, ())))
