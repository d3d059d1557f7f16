"""The reference: plain ``sqlite3`` writing the same rows, as fast as Python's own driver does it.

Bare tables with the columns of the journal, ``id`` the primary key and ``seq`` counted by SQLite; no
CHECKs, no triggers, no other indexes, no foreign keys. The log is write-ahead, ``synchronous`` NORMAL or
FULL as said, all else as SQLite comes. Six statements a task: one INSERT, two UPDATEs, three events. The
rows are made before the clock starts.
"""

import sqlite3
import uuid
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

TABLES = """
CREATE TABLE tasks (
  id TEXT PRIMARY KEY, name TEXT, status TEXT, reason TEXT, progress, progress_message TEXT,
  created_at TEXT, started_at TEXT, completed_at TEXT, timeout REAL, metadata TEXT,
  result TEXT, result_format TEXT, error TEXT, error_type TEXT, traceback TEXT, owner_id TEXT
);
CREATE TABLE task_events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT, at TEXT, kind TEXT, progress, message TEXT
);
CREATE TABLE task_logs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT, at TEXT, level INTEGER, level_name TEXT, logger TEXT,
  message TEXT, fields TEXT, exception TEXT
);
"""

INSERT_TASK = (
    "INSERT INTO tasks (id, name, status, progress, created_at, metadata, owner_id) "
    "VALUES (?, ?, 'pending', 0, ?, ?, ?)"
)
START_TASK = "UPDATE tasks SET status = 'running', started_at = ? WHERE id = ?"
END_TASK = "UPDATE tasks SET status = 'completed', completed_at = ?, result = ?, result_format = 'json' WHERE id = ?"
INSERT_EVENT = "INSERT INTO task_events (task_id, at, kind, progress, message) VALUES (?, ?, ?, ?, ?)"

INSERT_LOG = (
    "INSERT INTO task_logs (task_id, at, level, level_name, logger, message, fields, exception) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)

TASKS_A_TRANSACTION = 100
ROWS_A_TRANSACTION = 1_000

AT = "2026-11-24T03:00:00.123456Z"
OWNER = str(uuid.UUID(int=1))

Row = tuple[Any, ...]


class PlainTask:
    """The rows of one task."""

    __slots__ = ("end", "ended", "insert", "start", "started", "submitted")

    def __init__(self) -> None:
        task_id = str(uuid.uuid4())
        self.insert: Row = (task_id, "noop", AT, "{}", OWNER)
        self.start: Row = (AT, task_id)
        self.end: Row = (AT, "null", task_id)
        self.submitted: Row = (task_id, AT, "submitted", None, None)
        self.started: Row = (task_id, AT, "started", None, None)
        self.ended: Row = (task_id, AT, "completed", None, None)


def create(path: Path, synchronous: str = "NORMAL") -> sqlite3.Connection:
    """A new file with the bare tables, in autocommit mode."""
    connection = sqlite3.connect(path, isolation_level=None)
    [(mode,)] = connection.execute("PRAGMA journal_mode=WAL").fetchall()
    if mode != "wal":
        raise RuntimeError(f"{path} is on a file system without write-ahead logging")
    connection.execute(f"PRAGMA synchronous={synchronous}")
    connection.executescript(TABLES)
    return connection


def burst(path: Path, number: int) -> float:
    """Write so many tasks, 100 a transaction, each statement with executemany; the seconds it took."""
    tasks = [PlainTask() for _ in range(number)]
    with closing(create(path)) as connection:
        begin = perf_counter()
        for first in range(0, number, TASKS_A_TRANSACTION):
            chunk = tasks[first : first + TASKS_A_TRANSACTION]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT_TASK, [task.insert for task in chunk])
            connection.executemany(START_TASK, [task.start for task in chunk])
            connection.executemany(END_TASK, [task.end for task in chunk])
            connection.executemany(
                INSERT_EVENT, [row for task in chunk for row in (task.submitted, task.started, task.ended)]
            )
            connection.execute("COMMIT")
        return perf_counter() - begin


def one_by_one(path: Path, number: int, synchronous: str = "NORMAL") -> list[float]:
    """Write so many tasks in three committed transactions each; the seconds that each task took."""
    tasks = [PlainTask() for _ in range(number)]
    taken = []
    with closing(create(path, synchronous)) as connection:
        execute = connection.execute
        for task in tasks:
            begin = perf_counter()
            for statement, row, event in (
                (INSERT_TASK, task.insert, task.submitted),
                (START_TASK, task.start, task.started),
                (END_TASK, task.end, task.ended),
            ):
                execute("BEGIN IMMEDIATE")
                execute(statement, row)
                execute(INSERT_EVENT, event)
                execute("COMMIT")
            taken.append(perf_counter() - begin)
    return taken


def progress(path: Path, number: int) -> float:
    """Write so many events of progress with executemany, 1,000 a transaction; the seconds it took."""
    task = PlainTask()
    rows = [(task.insert[0], AT, "progress", index % 101, None) for index in range(number)]
    with closing(create(path)) as connection:
        connection.execute(INSERT_TASK, task.insert)
        begin = perf_counter()
        for first in range(0, number, ROWS_A_TRANSACTION):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT_EVENT, rows[first : first + ROWS_A_TRANSACTION])
            connection.execute("COMMIT")
        return perf_counter() - begin


def logs(path: Path, number: int) -> float:
    """Write so many lines of logs with executemany, 1,000 a transaction; the seconds it took."""
    task = PlainTask()
    with closing(create(path)) as connection:
        taken = 0.0
        for first in range(0, number, ROWS_A_TRANSACTION):
            rows = [
                (task.insert[0], AT, 20, "INFO", "benchmarks.logged", f"step {place} of {number}", None, None)
                for place in range(first, min(first + ROWS_A_TRANSACTION, number))
            ]
            begin = perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(INSERT_LOG, rows)
            connection.execute("COMMIT")
            taken += perf_counter() - begin
    path.unlink()
    return taken


class PlainReader:
    """Reads from a journal of ours, as somebody with nothing but ``sqlite3`` does."""

    NEWEST = "SELECT * FROM tasks WHERE status = ? ORDER BY rowid DESC LIMIT ?"
    ONE = "SELECT * FROM tasks WHERE id = ?"
    BY_METADATA = "SELECT * FROM tasks WHERE json_extract(metadata, ?) = ?"

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)

    def newest(self, status: str, limit: int) -> list[Row]:
        """The newest tasks of a status."""
        return self._connection.execute(self.NEWEST, (status, limit)).fetchall()

    def one(self, task_id: str) -> list[Row]:
        """One task."""
        return self._connection.execute(self.ONE, (task_id,)).fetchall()

    def by_metadata(self, key: str, value: str) -> list[Row]:
        """The tasks with this value of a key of their metadata."""
        return self._connection.execute(self.BY_METADATA, (f'$."{key}"', value)).fetchall()

    def by_indexed_metadata(self, key: str, value: str) -> list[Row]:
        """The same by a key that the journal has an index of: by the expression that the index is on."""
        path = f"'$.\"{key}\"'"
        return self._connection.execute(
            f"SELECT * FROM tasks WHERE json_extract(metadata, {path}, {path}) = ? "  # noqa: S608 - a key of ours
            f"AND instr(metadata, '\"{key}\"') > 0 AND json_type(metadata, {path}) IS NOT NULL",
            (f'["{value}","{value}"]',),
        ).fetchall()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def open_and_ask(path: Path, pragmas: Sequence[str]) -> float:
    """Open a file, set the PRAGMAs, ask for what is unfinished; the seconds it took."""
    begin = perf_counter()
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in pragmas:
        connection.execute(statement)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("SELECT id FROM tasks WHERE status IN ('pending', 'running')").fetchall()
    taken = perf_counter() - begin
    connection.close()
    return taken
