"""What the tests of the journal share: rows made by hand, the schema as comparable text, programs run apart."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from ailf.async_tasks.journal.care.migrate import ensure_current

EARLY, LATER, LATE = (f"2026-11-24T03:00:0{second}.000000Z" for second in range(3))

OWNER = {"id": "o1", "pid": 1, "host": "h", "boot_id": "b", "started_at": EARLY}
PENDING: dict[str, Any] = {"id": "t1", "name": "work", "status": "pending", "created_at": EARLY, "owner_id": "o1"}
RUNNING = PENDING | {"status": "running", "started_at": LATER}
COMPLETED = {"status": "completed", "completed_at": LATE, "result": "1", "result_format": "json"}
FAILED = {"status": "failed", "completed_at": LATE, "reason": "error", "error": "no"}
CANCELLED = {"status": "cancelled", "completed_at": LATE, "reason": "cancelled"}


def insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    """Insert one row."""
    places = ", ".join(f":{column}" for column in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", row)


def update(connection: sqlite3.Connection, task_id: str, values: dict[str, Any]) -> None:
    """Update one task."""
    changes = ", ".join(f"{column} = :{column}" for column in values)
    connection.execute(f"UPDATE tasks SET {changes} WHERE id = :task_id", values | {"task_id": task_id})


def opened(path: Path) -> sqlite3.Connection:
    """The journal, made current, as plain SQLite opens it, with foreign keys and one owner."""
    ensure_current(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA foreign_keys=ON")
    insert(connection, "owners", OWNER)
    return connection


def fill(path: Path) -> None:
    """Make a current journal with an ended task and its event in it, and leave it closed."""
    connection = opened(path)
    insert(connection, "tasks", RUNNING)
    insert(connection, "task_events", {"task_id": "t1", "at": RUNNING["created_at"], "kind": "submitted"})
    update(connection, "t1", COMPLETED)
    connection.close()


DIGITS = "9" * 5000
BROKEN: dict[str, dict[str, object]] = {
    "digits": {"result": DIGITS},
    "digits within": {"result": f'{{"a":[{DIGITS}]}}'},
    "deep": {"result": "[" * 900 + "]" * 900},
    "metadata": {"metadata": f'{{"a":{DIGITS}}}'},
    "bytes": {"name": b"caf\xe9", "result": b'"\xff"'},
    "bytes in metadata": {"metadata": b'{"a":"\xff"}'},
    "no json": {"result": "not json", "metadata": "nor this"},
    "shell's time": {"created_at": "2026-11-24 03:00:00", "started_at": "2026-11-24 03:00:01"},
    "no time": {"created_at": "yesterday", "started_at": "then", "completed_at": "now"},
    "beginning of time": {"created_at": "0001-01-01T00:00:00.000000Z"},
    "status": {"status": "paused"},
    "progress": {"progress": "half"},
    "reason": {"status": "failed", "reason": "bad luck", "error": "no"},
    "no reason": {"status": "cancelled"},
    "form": {"result_format": "pickle"},
    "limit": {"timeout": float("inf")},
}
"""Rows that no ailf has written, by their ids."""


def fill_broken(path: Path) -> None:
    """Make a journal with a good task, each of the broken ones, and another good one, ``last``."""
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("DROP TRIGGER tasks_begin_unfinished")
        good = PENDING | {"status": "completed", "started_at": EARLY, "completed_at": EARLY}
        log = {"at": EARLY, "level": 20, "level_name": "INFO", "logger": "app", "message": "said"}
        for name, cells in [*BROKEN.items(), ("last", {})]:
            row = good | {"id": name, "result": "1", "result_format": "json", "metadata": "{}"} | cells
            values = ", ".join(f"CAST(:{column} AS TEXT)" if column != "timeout" else ":timeout" for column in row)
            connection.execute(f"INSERT INTO tasks ({', '.join(row)}) VALUES ({values})", row)
            connection.execute(
                "INSERT INTO task_events (task_id, at, kind, message) VALUES (?, ?, ?, CAST(? AS TEXT))",
                (name, str(row["created_at"]), "completed", row["name"]),
            )
            insert(connection, "task_logs", log | {"task_id": name, "at": str(row["created_at"]), "fields": "[1"})


def schema_of(connection: sqlite3.Connection) -> dict[str, str]:
    """Every table, index, view and trigger but Alembic's own: its CREATE without comments, white space folded."""
    rows = connection.execute(
        "SELECT type || ' ' || name, sql FROM sqlite_master "
        "WHERE tbl_name NOT IN ('alembic_version', 'sqlite_sequence') AND sql IS NOT NULL"
    )
    return {name: folded(sql) for name, sql in rows}


def folded(sql: str) -> str:
    """SQL text without comments, and with one blank where white space matters."""
    without = re.sub(r"--[^\n]*|/\*.*?\*/", "", sql)
    return re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", without)).strip()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def python(program: str, *arguments: object, cwd: Path | None = None, **environment: str) -> str:
    """Run a program in a process of its own, and return what it prints."""
    return run(sys.executable, "-W", "error", "-c", program, *arguments, cwd=cwd, **environment).stdout


def run(*command: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; a failure shows what it wrote."""
    finished = attempt(*command, cwd=cwd, **environment)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished


def attempt(*command: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command that may fail."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
