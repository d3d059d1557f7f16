"""The scheduled DELETE, in steps small enough for others to write in between, and giving file space back.

How long an ended task is kept is for the manager to say that ran it: its policy is in its row in ``owners``.
Whoever cleans up applies each owner's policy to that owner's tasks, so that a script with a short one
deletes nothing of an application that keeps its history for ever.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ailf.async_tasks.journal.form import time_text
from ailf.async_tasks.states import ENDED, TaskStatus

ROWS_A_STEP = 100
"""How many rows one transaction deletes: tasks, their events and their log lines ..."""

TASKS_A_STEP = 15
"""... and of these how many tasks, each of which is in all the indexes."""

PAGES_A_STEP = 100
"""How many pages one transaction gives back to the file system, of 4 KiB each."""

Retention = Mapping[TaskStatus, timedelta]
"""How long a task is kept after its end, by end state; a state that is missing is kept for ever."""

_UNITS = {"day": 86_400, "hour": 3_600, "minute": 60}

# From the owners to their tasks, never the other way round: what is kept is not looked at.
_DUE = """\
SELECT tasks.rowid, tasks.id FROM owners CROSS JOIN tasks ON tasks.owner_id = owners.id
WHERE owners.retention IS :policy AND tasks.status = :status AND tasks.completed_at < :before
LIMIT :most"""
_OLDEST = """\
SELECT rowid, id FROM tasks
WHERE status = :status AND completed_at < :before AND completed_at IS NOT NULL
ORDER BY completed_at LIMIT :most"""
# Another process may have deleted it meanwhile, and given its number to a new one.
_DELETE = "DELETE FROM tasks WHERE rowid = ? AND id = ? AND completed_at IS NOT NULL"
_ROWS_OF = {
    table: f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE task_id = ? LIMIT ?)"  # noqa: S608 - words of this module
    for table in ("task_logs", "task_events")
}
_FIRST_OF = {
    table: f"SELECT max(seq) FROM (SELECT seq FROM {table} WHERE task_id = ? ORDER BY seq LIMIT ?)"  # noqa: S608 - the same
    for table in _ROWS_OF
}
_DELETE_FIRST_OF = {table: f"DELETE FROM {table} WHERE task_id = ? AND seq <= ?" for table in _ROWS_OF}  # noqa: S608
_MARK = "UPDATE journal SET deleted_seq = max(deleted_seq, ?)"
_RECORD = "UPDATE journal SET deleted_at = ?, deleted = ?"
_LAST = "SELECT deleted_at, deleted FROM journal WHERE deleted_at IS NOT NULL"
_DELETE_OWNERS = """\
DELETE FROM owners WHERE (stopped_at IS NOT NULL OR found_dead_at IS NOT NULL)
AND NOT EXISTS (SELECT 1 FROM tasks WHERE owner_id = owners.id)"""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a policy: how long the tasks of the owners that have it are kept after an end."""

    policy: str | None
    """As it is in ``owners``; None is that of the owners of which it is not known."""
    status: TaskStatus
    kept: timedelta


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did."""

    deleted: int
    """How many tasks are gone; none where only a part of one's events is."""
    is_last: bool
    """Whether nothing was left to do."""


def policy_text(policy: Retention) -> str:
    """A policy as ``owners`` has it: JSON, seconds by end state, the same text for the same policy."""
    return json.dumps({str(status): age.total_seconds() for status, age in policy.items()}, sort_keys=True)


def policy_of(text: str | None) -> dict[str, float] | None:
    """A policy that is in ``owners``: seconds by end state; None where it is not known, or makes no sense."""
    with suppress(ValueError):
        policy = None if text is None else json.loads(text)
        if isinstance(policy, dict) and all(
            isinstance(age, int | float) and not isinstance(age, bool) and age >= 0 for age in policy.values()
        ):
            return {status: float(age) for status, age in policy.items() if status in set(ENDED)}
    return None


def rules(policies: Iterable[str | None], own: Retention) -> list[Rule]:
    """What the policies of a journal's owners come to.

    Args:
        policies: each that is in ``owners``; what makes no sense keeps everything.
        own: the policy of the one who cleans up, which counts where none is known.
    """
    found = []
    for text in policies:
        policy = policy_of(policy_text(own) if text is None else text) or {}
        for status, seconds in sorted(policy.items()):
            # What is longer than any calendar is for ever.
            with suppress(OverflowError):
                found.append(Rule(text, TaskStatus(status), timedelta(seconds=seconds)))
    return found


def policies_in(connection: sqlite3.Connection) -> list[str | None]:
    """The different policies that the owners have."""
    return [text for (text,) in connection.execute("SELECT DISTINCT retention FROM owners").fetchall()]


def delete_step(
    connection: sqlite3.Connection, rule: Rule, before: datetime, so_far: Mapping[str, int] | None = None
) -> Step:
    """Delete some of the tasks that a rule is about, events and log lines included.

    Args:
        connection: the writer's, outside of a transaction.
        rule: the rule.
        before: the time (UTC) before which they must have ended.
        so_far: how many tasks this round has deleted, by end state; what is deleted now is written down with it.
    """
    values = {"policy": rule.policy, "status": rule.status, "before": time_text(before), "most": TASKS_A_STEP}
    return _delete(connection, connection.execute(_DUE, values).fetchall(), rule.status, so_far)


def prune_step(connection: sqlite3.Connection, status: TaskStatus, before: datetime) -> Step:
    """Delete some of the tasks that ended in a state before a time, oldest first, whoever ran them.

    Args:
        connection: the writer's, outside of a transaction.
        status: the end state.
        before: the time (UTC).
    """
    values = {"status": status, "before": time_text(before), "most": TASKS_A_STEP}
    return _delete(connection, connection.execute(_OLDEST, values).fetchall(), status, None)


def _delete(
    connection: sqlite3.Connection,
    due: Sequence[tuple[int, str]],
    status: TaskStatus,
    so_far: Mapping[str, int] | None,
) -> Step:
    if not due:
        return Step(0, is_last=True)
    deleted, room = 0, ROWS_A_STEP
    connection.execute("BEGIN IMMEDIATE")
    for rowid, task_id in due:
        rows = 1 + sum(connection.execute(sql, (task_id, room)).fetchone()[0] for sql in _ROWS_OF.values())
        if rows > room:
            if room == ROWS_A_STEP:
                _delete_a_part(connection, task_id)
            break
        deleted += connection.execute(_DELETE, (rowid, task_id)).rowcount
        room -= rows
    if deleted and so_far is not None:
        now = {**so_far, status: so_far.get(status, 0) + deleted}
        connection.execute(_RECORD, (time_text(datetime.now(UTC)), json.dumps(now, sort_keys=True)))
    connection.execute("COMMIT")
    return Step(deleted, is_last=False)


def _delete_a_part(connection: sqlite3.Connection, task_id: str) -> None:
    """Delete the first log lines or events of a task that has more than fit into a step."""
    for table in _ROWS_OF:
        [(last,)] = connection.execute(_FIRST_OF[table], (task_id, ROWS_A_STEP)).fetchall()
        if last is not None:
            connection.execute(_DELETE_FIRST_OF[table], (task_id, last))
            if table == "task_events":
                connection.execute(_MARK, (last,))
            return


def last_deletion(connection: sqlite3.Connection) -> tuple[str, dict[str, int]] | None:
    """When the scheduled delete last deleted something, and how many tasks by end state; None where it never has."""
    for at, deleted in connection.execute(_LAST).fetchall():
        with suppress(ValueError):
            return at, json.loads(deleted or "{}")
    return None


def forget_owners(connection: sqlite3.Connection) -> None:
    """Delete the owners that came to their end and have no task left."""
    connection.execute(_DELETE_OWNERS)


def shrink_step(connection: sqlite3.Connection) -> bool:
    """Give some free pages of the file back to the file system.

    Returns:
        Whether there is more to give.
    """
    [(free,)] = connection.execute("PRAGMA freelist_count").fetchall()
    if free:
        # The statement does a page a row, of no columns, of which Python reads the first alone; what it
        # runs as a script it runs to the end.
        connection.executescript(f"PRAGMA incremental_vacuum({PAGES_A_STEP})").close()
    return free > PAGES_A_STEP  # type: ignore[no-any-return]


def in_words(age: timedelta) -> str:
    """A length of time as people say it: "1 hour", "90 minutes", "2.5 seconds"."""
    seconds = age.total_seconds()
    for unit, size in _UNITS.items():
        if seconds and seconds % size == 0:
            number = int(seconds // size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{seconds:g} second{'' if seconds == 1 else 's'}"
