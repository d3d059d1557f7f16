"""Indexes of single keys of the metadata: made for a manager that asks for them, used by whoever looks for a key.

They are no part of the schema: which keys are worth one depends on the application. Each is an index on
an expression (https://sqlite.org/expridx.html) that has the tasks with this key alone, so that it costs
nothing for the others; SQLite keeps it up, whoever writes.
"""

import json
import re
import sqlite3
from collections.abc import Collection, Iterable

from ailf.async_tasks.journal.rows import metadata_path, spelled_key

PREFIX = "tasks_by_metadata_"
"""How the name of such an index begins; the key follows."""

ALL = f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name GLOB '{PREFIX}*'"  # noqa: S608 - no value in it

_PLAIN_KEY = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PATH = re.compile(r"ON tasks \(json_extract\(metadata, '\$\.(.*)'\)\) WHERE ")


def path_of(key: str) -> str:
    """The JSON path in a key's index: ``$.customer``, as one would write it, where the key has plain characters.

    SQLite takes an index for an expression only where the two are spelled alike.
    """
    return f"$.{key}" if _PLAIN_KEY.fullmatch(key) else metadata_path(key)


def expression(key: str) -> str:
    """What the index of a key is on, as SQL."""
    path = path_of(key).replace("'", "''")
    return f"json_extract(metadata, '{path}')"


def keys_of(rows: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The keys of these indexes, each given with its name and its SQL."""
    found = (_PATH.search(sql) for _, sql in rows)
    paths = (match[1].replace("''", "'") for match in found if match is not None)
    return frozenset(json.loads(path) if path.startswith('"') else path for path in paths)


def prepare(connection: sqlite3.Connection, wanted: Iterable[str]) -> frozenset[str]:
    """Make the indexes that are wanted and not there; on a large journal that takes some seconds.

    Args:
        connection: one that may write, outside of a transaction.
        wanted: keys.

    Returns:
        All keys that have an index, whoever wanted them.
    """
    there = keys_of(connection.execute(ALL))
    if there.issuperset(wanted):
        return there
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have made some while this one waited.
        rows = connection.execute(ALL).fetchall()
        there, names = keys_of(rows), {name.lower() for name, _ in rows}
        for key in sorted(set(wanted) - there):
            name = _name_for(key, names)
            names.add(name.lower())
            connection.execute(
                f'CREATE INDEX "{name}" ON tasks ({expression(key)}) WHERE {expression(key)} IS NOT NULL'
            )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return there.union(wanted)


def _name_for(key: str, taken: Collection[str]) -> str:
    """A name for a key's index; to SQLite the names of ``userId`` and ``userid`` are one."""
    name = first = f"{PREFIX}{spelled_key(key)}"
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{first}_{number}"
    return name
