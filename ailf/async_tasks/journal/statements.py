"""The writes: each statement made with SQLAlchemy and compiled once, in two forms.

Every UPDATE names the owner and the state that it expects. What changes no row, though it should
have, has lost its guard: the journal holds something else than this process believes.
"""

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Insert,
    Table,
    Update,
    bindparam,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from ailf.async_tasks.journal.schema import owners, task_events, tasks
from ailf.async_tasks.journal.sql import positional

Row = tuple[Any, ...]

LEAST_ROWS_FOR_JSON = 16
"""From how many rows on the JSON text is worth its making; up to there binding is faster."""

Parameters = dict[str, ColumnElement[Any]]

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode


class Write:
    """One statement, for a row that is bound value by value, or for many rows that are one JSON text.

    With the second SQLite does a whole batch in one step, outside of Python's lock, and the event loop
    runs on meanwhile; executemany comes back to Python, and waits for its lock, after every row.
    """

    def __init__(self, names: Sequence[str], each: Insert | Update, rows: Insert | Update) -> None:
        statement = positional(each)
        if statement.parameters != tuple(names):
            raise AssertionError(f"the parameters of {statement.sql} are {statement.parameters}")
        self._each = statement.sql
        self._rows = positional(rows).sql

    def run(self, connection: sqlite3.Connection, rows: Sequence[Row], *, as_json: bool) -> int:
        """Run it for every row.

        Args:
            connection: where a transaction is open.
            rows: the values, in the order of the names.
            as_json: whether they may go as JSON; SQLite reads a float's text with an error in the last
                place now and then, so rows with floats may not.

        Returns:
            How many rows of the table it touched.
        """
        if as_json and len(rows) >= LEAST_ROWS_FOR_JSON:
            return connection.execute(self._rows, (_encode(rows),)).rowcount
        return connection.executemany(self._each, rows).rowcount


def _bound(names: Sequence[str]) -> Parameters:
    return {name: bindparam(name) for name in names}


def _from_json(names: Sequence[str]) -> Parameters:
    """Each value of one of the rows in the JSON text that is bound as ``rows``."""
    row = func.json_each(bindparam("rows")).table_valued("value").c.value
    return {name: func.json_extract(row, literal_column(f"'$[{index}]'")) for index, name in enumerate(names)}


def _insert(table: Table, *columns: str) -> Write:
    rows = insert(table).from_select(list(columns), select(*_from_json(columns).values()))
    return Write(columns, insert(table).values(_bound(columns)), rows)


def _update(columns: Sequence[str], *expected: str) -> Write:
    """The UPDATE of a task of ours that is in one of the expected states."""
    names = [*(f"new_{column}" for column in columns), "task_id", "owner", *expected]

    def made(parameters: Parameters) -> Update:
        guard = or_(*(tasks.c.status == parameters[name] for name in expected))
        ours = (tasks.c.id == parameters["task_id"], tasks.c.owner_id == parameters["owner"])
        return update(tasks).where(*ours, guard).values({name: parameters[f"new_{name}"] for name in columns})

    return Write(names, made(_bound(names)), made(_from_json(names)))


INSERT_TASK = _insert(tasks, "id", "name", "status", "created_at", "started_at", "timeout", "metadata", "owner_id")
START_TASK = _update(["status", "started_at"], "pending")
PROGRESS_TASK = _update(["progress", "progress_message"], "pending", "running")
END_TASK = _update(
    ["status", "reason", "completed_at", "result", "result_format", "error", "error_type", "traceback"], "expected"
)
INSERT_EVENT = _insert(task_events, "task_id", "at", "kind", "progress", "message")
TOUCH_OWNER = positional(update(owners).where(owners.c.id == bindparam("owner")).values(pid=owners.c.pid))
"""Changes nothing, but writes: whether the journal takes writes."""
