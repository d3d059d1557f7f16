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

from ailf.async_tasks.journal.form import owners, positional, task_events, task_logs, tasks
from ailf.async_tasks.states import TaskStatus

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


def _insert_log() -> Write:
    """The INSERT of a line, whose time comes as a number: SQLite puts it into words while Python does other things."""
    columns = ("task_id", "at", "level", "level_name", "logger", "message", "fields", "exception")

    def made(parameters: Parameters) -> Insert:
        line = select(*(value.label(name) for name, value in parameters.items())).subquery()
        second = func.strftime(_literal("%Y-%m-%dT%H:%M:%S"), line.c.at // _MILLION, _literal("unixepoch"))
        text = second.concat(func.printf(_literal(".%06dZ"), line.c.at % _MILLION))
        return insert(task_logs).from_select(
            list(columns), select(*(text if column.name == "at" else column for column in line.c))
        )

    return Write(columns, made(_bound(columns)), made(_from_json(columns)))


_MILLION: ColumnElement[int] = literal_column("1000000")


def _literal(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'")


def _update(columns: Sequence[str], *expected: TaskStatus, becomes: TaskStatus | None = None) -> Write:
    """The UPDATE of a task of ours that is in one of the expected states.

    What is the same for every row is said in the statement, which has less to take out of the JSON text then.

    Args:
        columns: what is written.
        expected: the states; none is a parameter for one.
        becomes: the state it has afterwards, where that is another one and not among the columns.
    """
    names = [*(f"new_{column}" for column in columns), "task_id", "owner", *([] if expected else ["expected"])]

    def made(parameters: Parameters) -> Update:
        states = [_word(state) for state in expected] or [parameters["expected"]]
        ours = (tasks.c.id == parameters["task_id"], parameters["owner"] == _OWNER)
        values = {name: parameters[f"new_{name}"] for name in columns}
        if "completed_at" in values:
            # It starts when its start is committed, which a clock that steps back may put behind its end.
            values["completed_at"] = func.max(values["completed_at"], _LAST_TIME)
        if becomes is TaskStatus.COMPLETED:
            values["progress"] = func.coalesce(values["progress"], tasks.c.progress)
        if becomes is not None:
            values["status"] = _word(becomes)
        return update(tasks).where(*ours, or_(*(state == _STATUS for state in states))).values(values)

    return Write(names, made(_bound(names)), made(_from_json(names)))


# A plus keeps SQLite from an index (https://sqlite.org/optoverview.html): each task is looked up by its id, and not
# looked for among all of its state or its owner, of whom a database that was analyzed may think that they are few.
_STATUS: ColumnElement[str] = literal_column("+tasks.status")
_OWNER: ColumnElement[str] = literal_column("+tasks.owner_id")
_LAST_TIME: ColumnElement[str] = func.coalesce(tasks.c.started_at, tasks.c.created_at)


def _word(status: TaskStatus) -> ColumnElement[str]:
    return literal_column(f"'{status}'")


_SUBMITTED = ("id", "name", "status", "created_at", "started_at", "timeout", "metadata", "owner_id")
INSERT_TASK = _insert(tasks, *_SUBMITTED)
INSERT_FAMILY = _insert(tasks, *_SUBMITTED, "parent_id")
"""The same where any has a parent: most batches are without, and pay nothing for the column."""
START_TASK = _update(["started_at"], TaskStatus.PENDING, becomes=TaskStatus.RUNNING)
PROGRESS_TASK = _update(["progress", "progress_message"], TaskStatus.PENDING, TaskStatus.RUNNING)
COMPLETE_TASK = _update(
    ["progress", "completed_at", "result", "result_format"], TaskStatus.RUNNING, becomes=TaskStatus.COMPLETED
)
"""What nearly every task comes to."""
END_TASK = _update(["status", "reason", "completed_at", "error", "error_type", "traceback"])
INSERT_EVENT = _insert(task_events, "task_id", "at", "kind", "progress", "message")
INSERT_LOG = _insert_log()
TOUCH_OWNER = positional(update(owners).where(owners.c.id == bindparam("owner")).values(pid=owners.c.pid))
"""Changes nothing, but writes: whether the journal takes writes."""
