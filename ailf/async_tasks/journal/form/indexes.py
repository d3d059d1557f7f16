"""Indexes of single keys of the metadata: made for a manager that asks for them, used by whoever looks for a key.

They are no part of the schema: which keys are worth one depends on the application. Each is an index on
an expression (https://sqlite.org/expridx.html) that has the tasks with this key alone, so that it costs
nothing for the others; SQLite keeps it up, whoever writes.

What is indexed must be the same for every release of SQLite, or the next one finds the index damaged. So it
is the value as it is spelled in the text, which json_extract gives for two paths (here twice the same): for
one path it gives an SQL value, and what a float or a NUL becomes has changed from release to release. And
only where the key is spelled in the text as ailf spells it: since 3.45 SQLite finds a key by other spellings
too, and by what comes before a NUL in it.
"""

import re
import sqlite3
from collections.abc import Collection, Iterable

from ailf.async_tasks.journal.form.rows import key_in, metadata_path, spelled_key

PREFIX = "tasks_by_metadata_"
"""How the name of such an index begins; the key follows."""

ALL = f"SELECT sql FROM sqlite_master WHERE type = 'index' AND sql LIKE '%{PREFIX}%'"  # noqa: S608 - no value in it

_DEFINITION = re.compile(
    r""" ON tasks \(json_extract\(metadata, ('\$\.((?:[^']|'')*)'), \1\)\) """
    r"""WHERE instr\(metadata, '\2'\) > 0 AND json_type\(metadata, \1\) IS NOT NULL\Z"""
)


def quoted(text: str) -> str:
    """A JSON path, or a key, as SQL text: SQLite takes an index for an expression only if both are spelled alike."""
    return "'" + text.replace("'", "''") + "'"


def paths_of(definitions: Iterable[tuple[str]]) -> frozenset[str]:
    """The JSON paths of the keys that have an index, by the SQL of each index."""
    found = (_DEFINITION.search(sql) for (sql,) in definitions)
    return frozenset(match[1][1:-1].replace("''", "'") for match in found if match is not None)


def make(connection: sqlite3.Connection, keys: Collection[str]) -> frozenset[str]:
    """Make the indexes of keys that are not there yet; in a large journal each takes some seconds.

    Args:
        connection: one that may write, outside of a transaction.
        keys: keys of the metadata.

    Returns:
        The JSON paths of all keys that have an index, whoever asked for it.
    """
    there = paths_of(connection.execute(ALL))
    missing = {metadata_path(key): key for key in sorted(keys)}
    for path in missing.keys() - there:
        names = {name.lower() for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        name, path_sql, key_sql = _name_for(missing[path], names), quoted(path), quoted(key_in(path))
        connection.execute(
            f'CREATE INDEX "{name}" ON tasks (json_extract(metadata, {path_sql}, {path_sql})) '
            f"WHERE instr(metadata, {key_sql}) > 0 AND json_type(metadata, {path_sql}) IS NOT NULL"
        )
    return there.union(missing)


def _name_for(key: str, taken: Collection[str]) -> str:
    """A name for a key's index; to SQLite the names of ``userId`` and ``userid`` are one."""
    name = first = f"{PREFIX}{spelled_key(key)}"
    number = 1
    while name.lower() in taken:
        number += 1
        name = f"{first}_{number}"
    return name
