"""What was acknowledged and is in a log that is gone: copied while it can still be read, and brought into the journal.

The connection that has the vanished log open reads it to the end, whoever's commits are in it. What the journal
holds by now may have gone on from an earlier state, under other processes; so rows are compared one by one. A row
is added where it is missing, and taken further where the log knew more; nothing is taken back.
"""

import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from ailf.async_tasks.journal.form import (
    APPLICATION_ID,
    PRIVATE_FILE,
    Access,
    beside,
    indexes,
    owners,
    task_events,
    task_logs,
    tasks,
    uri,
)
from ailf.errors import JournalError

_END = ("reason", "completed_at", "result", "result_format", "error", "error_type", "traceback")
_OWNER_COLUMNS = ", ".join(owners.columns.keys())
_TASK_COLUMNS = tasks.columns.keys()
_NUMBERED = {
    table.name: [name for name in table.columns.keys() if name != "seq"]  # noqa: SIM118 - of columns, not a dict
    for table in (task_events, task_logs)
}

# Recovery elsewhere may have ended a task as its owner's death, which the log says had ended before.
_FORGET_GUESSES = """\
DELETE FROM main.tasks WHERE reason = 'process_died' AND id IN (
  SELECT id FROM rescued.tasks WHERE completed_at IS NOT NULL AND reason IS NOT 'process_died'
)"""
# A task comes into the journal unfinished; how it went on is written after that.
_ADD_TASKS = """\
INSERT INTO main.tasks (rowid, {columns})
SELECT {{rowid}}, {values} FROM rescued.tasks AS lost WHERE NOT EXISTS ({there}) ORDER BY lost.rowid""".format(
    columns=", ".join(_TASK_COLUMNS),
    values=", ".join(
        "iif(started_at IS NULL, 'pending', 'running')" if name == "status" else "NULL" if name in _END else name
        for name in _TASK_COLUMNS
    ),
    there="SELECT 1 FROM main.tasks AS there WHERE there.id = lost.id",
)
_IS_ROWID_TAKEN = """\
SELECT EXISTS (SELECT 1 FROM rescued.tasks AS lost JOIN main.tasks AS there ON there.rowid = lost.rowid
WHERE lost.id <> there.id)"""
_START_TASKS = """\
UPDATE main.tasks SET status = 'running', started_at = lost.started_at FROM rescued.tasks AS lost
WHERE lost.id = tasks.id AND tasks.status = 'pending' AND lost.started_at IS NOT NULL"""
_LAST_AT = "(SELECT max(at) FROM {0}.task_events AS event WHERE event.task_id = lost.id)"
_REPORT = """\
UPDATE main.tasks SET progress = lost.progress, progress_message = lost.progress_message FROM rescued.tasks AS lost
WHERE lost.id = tasks.id AND tasks.completed_at IS NULL
  AND (tasks.progress IS NOT lost.progress OR tasks.progress_message IS NOT lost.progress_message)
  AND {} > coalesce({}, '')""".format(_LAST_AT.format("rescued"), _LAST_AT.format("main"))
_END_TASKS = """\
UPDATE main.tasks SET status = lost.status, progress = lost.progress, progress_message = lost.progress_message, {}
FROM rescued.tasks AS lost
WHERE lost.id = tasks.id AND tasks.completed_at IS NULL AND lost.completed_at IS NOT NULL""".format(
    ", ".join(f"{name} = lost.{name}" for name in _END)
)
_LOST_ROWS = """\
CREATE TEMP TABLE lost_rows AS
SELECT seq FROM rescued.{table} AS lost
WHERE EXISTS (SELECT 1 FROM main.tasks WHERE tasks.id = lost.task_id)
  AND NOT EXISTS (SELECT 1 FROM main.{table} AS there WHERE there.seq = lost.seq AND {same})
  AND NOT EXISTS (SELECT 1 FROM main.{table} AS there WHERE there.task_id = lost.task_id AND {same})"""
_TAKEN = "SELECT EXISTS (SELECT 1 FROM temp.lost_rows JOIN main.{table} USING (seq))"
_ADD_ROWS = """\
INSERT INTO main.{table} (seq, {columns}) SELECT {seq}, {columns} FROM rescued.{table} AS lost
WHERE seq IN (SELECT seq FROM temp.lost_rows) ORDER BY lost.seq"""
_MARK_DELETED = """\
UPDATE main.journal SET deleted_seq = max(deleted_seq, coalesce((SELECT max(deleted_seq) FROM rescued.journal), 0))"""


def copy_of(connection: sqlite3.Connection, path: Path) -> Path | None:
    """Copy all that a connection sees into a file beside the journal.

    Args:
        connection: one that has the vanished log open.
        path: the journal.

    Returns:
        The copy; None where what it sees is no whole any more, since others have written to the journal meanwhile.

    Raises:
        sqlite3.Error: the copy cannot be written.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    copy = beside(path, f".rescued-{stamp}")
    copy.touch(mode=PRIVATE_FILE, exist_ok=False)
    try:
        with closing(sqlite3.connect(copy, isolation_level=None)) as target:
            connection.backup(target)
            target.execute("PRAGMA journal_mode=DELETE").fetchall()
            if _is_whole(target):
                return copy
    except sqlite3.DatabaseError:
        copy.unlink(missing_ok=True)
        # Whether it was the source that could not be read, or the copy not be written.
        if _is_whole(connection):
            raise
        return None
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    copy.unlink()
    return None


def _is_whole(connection: sqlite3.Connection) -> bool:
    try:
        [(application_id,)] = connection.execute("PRAGMA application_id").fetchall()
        [(found,)] = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.DatabaseError:
        return False
    return bool(application_id == APPLICATION_ID and found == "ok")


def bring_over(connection: sqlite3.Connection, copy: Path, path: Path) -> None:
    """Write into the journal whatever the copy knows and the journal does not, in one transaction.

    Args:
        connection: the writer's, outside of a transaction.
        copy: what ``copy_of`` has made.
        path: the journal.

    Raises:
        JournalError: the journal was brought to another revision meanwhile.
        sqlite3.Error: it cannot be written.
    """
    if _revision(connection, "main") is None:
        # Nothing of the journal had been brought into the file.
        with closing(sqlite3.connect(uri(copy, Access.READ), uri=True)) as source:
            source.backup(connection)
        return
    connection.execute("ATTACH ? AS rescued", (uri(copy, Access.READ),))
    try:
        if _revision(connection, "main") != _revision(connection, "rescued"):
            raise JournalError(
                f"The journal {path} was migrated while its log was gone; what the log held is in {copy}."
            )
        connection.execute("BEGIN IMMEDIATE")
        try:
            _merge(connection)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
    finally:
        with suppress(sqlite3.Error):
            connection.execute("DETACH rescued")


def _revision(connection: sqlite3.Connection, schema: str) -> str | None:
    try:
        found = connection.execute(f"SELECT version_num FROM {schema}.alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname != "SQLITE_ERROR":
            raise
        return None
    return None if found is None else str(found[0])


def _merge(connection: sqlite3.Connection) -> None:
    connection.execute(_FORGET_GUESSES)
    connection.execute(
        f"INSERT INTO main.owners ({_OWNER_COLUMNS}) SELECT {_OWNER_COLUMNS} FROM rescued.owners "
        "WHERE true ON CONFLICT (id) DO NOTHING"
    )
    [(is_taken,)] = connection.execute(_IS_ROWID_TAKEN).fetchall()
    connection.execute(_ADD_TASKS.format(rowid="NULL" if is_taken else "lost.rowid"))
    for statement in (_START_TASKS, _REPORT, _END_TASKS):
        connection.execute(statement)
    for table, columns in _NUMBERED.items():
        _add_rows(connection, table, columns)
    connection.execute(_MARK_DELETED)
    there = {sql for (sql,) in connection.execute(indexes.ALL)}
    for (sql,) in connection.execute(indexes.ALL.replace("sqlite_master", "rescued.sqlite_master")).fetchall():
        if sql not in there:
            connection.execute(sql)


def _add_rows(connection: sqlite3.Connection, table: str, columns: list[str]) -> None:
    """Add the missing rows of a table that numbers them: under their numbers, or all anew where one was used again."""
    same = " AND ".join(f"there.{name} IS lost.{name}" for name in columns)
    connection.execute(_LOST_ROWS.format(table=table, same=same))
    [(is_taken,)] = connection.execute(_TAKEN.format(table=table)).fetchall()
    seq = "NULL" if is_taken else "lost.seq"
    connection.execute(_ADD_ROWS.format(table=table, columns=", ".join(columns), seq=seq))
    connection.execute("DROP TABLE temp.lost_rows")
