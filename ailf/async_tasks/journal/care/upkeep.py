"""What is done to a journal from outside, by somebody who runs no tasks: look it over, mend it, tidy it up."""

import glob
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from pathlib import Path

from ailf.async_tasks.journal.care import migrate, owners, recovery, retention
from ailf.async_tasks.journal.care.copies import make_backup
from ailf.async_tasks.journal.care.inspection import assert_is_journal, assert_log_belongs, companions
from ailf.async_tasks.journal.care.life import Verdict
from ailf.async_tasks.journal.care.requests import request_cancel
from ailf.async_tasks.journal.form import (
    Access,
    assert_sqlite_version,
    connect,
    leaving_nothing,
    time_text,
    translated,
)
from ailf.async_tasks.states import TaskStatus
from ailf.errors import InvalidArgumentError, JournalError

MOST_FINDINGS = 100
"""How many findings of a check are told."""

LIKED_SQLITE = {
    (3, 38, 0): "the operators -> and ->> that look into JSON",
    (3, 39, 0): "RIGHT and FULL JOIN",
    (3, 45, 0): "JSONB, and JSON functions several times as fast",
}
"""What later releases of SQLite have that people who read a journal may miss."""


class Life(StrEnum):
    """What is known of an owner that has not said that it stopped."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"
    """Its lock file is gone, or where a lock says nothing, and its process cannot be seen from here."""


_LIVES = {Verdict.ALIVE: Life.ALIVE, Verdict.DEAD: Life.DEAD, Verdict.UNKNOWN: Life.UNKNOWN}


@dataclass(frozen=True, slots=True)
class OwnerState:
    """A manager that has not stopped, and whether it is alive."""

    id: str
    pid: int
    host: str
    started_at: str
    life: Life
    unfinished: int
    """How many of its tasks are not ended."""
    retention: Mapping[str, float] | None
    """For how many seconds its tasks are kept, by end state; one that is missing is kept for ever. None: not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is to say about a journal."""

    path: Path
    bytes: int
    log_bytes: int
    """Of the write-ahead log: what is not yet brought into the file."""
    free_bytes: int
    """Of the file, which hold nothing and are used again."""
    revision: str | None
    newest_revision: str
    """The one that this release works with."""
    tasks: dict[str, int]
    """How many there are in each state."""
    events: int
    first_submitted: str | None
    last_submitted: str | None
    owners: list[OwnerState]
    deleted_at: str | None
    """When the scheduled clean-up last deleted something ..."""
    deleted: dict[str, int]
    """... and how many tasks, by end state."""
    sqlite_version: str
    sqlite_lacks: list[str]


def require(path: Path) -> None:
    """Refuse what is no journal, or not there; a journal of an older release passes.

    Raises:
        JournalError: it is not there; ``NotAJournalError`` where it is something else.
    """
    assert_sqlite_version()
    if not path.exists():
        raise JournalError(f"There is no journal {path}; name another one, or run a program that makes it.")
    assert_is_journal(path)
    with translated(path, "opened"):
        assert_log_belongs(path)


def require_current(path: Path) -> None:
    """The same, and refuse a journal of another release.

    Raises:
        JournalVersionError: it is.
    """
    require(path)
    migrate.assert_current(path)


@contextmanager
def _looking(path: Path) -> Iterator[sqlite3.Connection]:
    with translated(path, "read"), leaving_nothing(path), closing(connect(path, Access.READ)) as connection:
        yield connection


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that writes.

    Raises:
        JournalError: what was done with it failed.
    """
    with translated(path, "written"), closing(connect(path, Access.WRITE)) as connection:
        yield connection


def facts(path: Path) -> Facts:
    """Look a journal over, without changing anything.

    Raises:
        JournalError: it cannot be read.
    """
    require(path)
    revision = migrate.revision_of(path)
    log, _ = companions(path)
    with _looking(path) as connection:
        counted: list[tuple[str, int]] = []
        events, first, last, states, deletion = 0, None, None, [], None
        if revision is not None:
            counted = connection.execute("SELECT status, count(*) FROM tasks GROUP BY status").fetchall()
            [(events,)] = connection.execute("SELECT count(*) FROM task_events").fetchall()
            [(first, last)] = connection.execute("SELECT min(created_at), max(created_at) FROM tasks").fetchall()
            states = _owner_states(connection, path)
        if revision == migrate.HEAD:
            deletion = retention.last_deletion(connection)
        [(free,)] = connection.execute("PRAGMA freelist_count").fetchall()
        [(page,)] = connection.execute("PRAGMA page_size").fetchall()
        return Facts(
            path=path,
            bytes=path.stat().st_size,
            log_bytes=log.stat().st_size if log.exists() else 0,
            free_bytes=free * page,
            revision=revision,
            newest_revision=migrate.HEAD,
            tasks={str(status): 0 for status in TaskStatus} | dict(counted),
            events=events,
            first_submitted=first,
            last_submitted=last,
            owners=states,
            deleted_at=deletion[0] if deletion else None,
            deleted=deletion[1] if deletion else {},
            sqlite_version=sqlite3.sqlite_version,
            sqlite_lacks=[what for since, what in LIKED_SQLITE.items() if sqlite3.sqlite_version_info < since],
        )


def owner_states(path: Path) -> list[OwnerState]:
    """Every manager that has not stopped, and whether it is alive; nothing is changed.

    Raises:
        JournalError: the journal cannot be read.
    """
    with _looking(path) as connection:
        return _owner_states(connection, path)


_UNFINISHED_OF = "SELECT count(*) FROM tasks WHERE owner_id = :owner AND status IN ('pending', 'running')"


def _owner_states(connection: sqlite3.Connection, path: Path) -> list[OwnerState]:
    here = owners.this_process()
    return [
        OwnerState(
            id=owner.id,
            pid=owner.pid,
            host=owner.host,
            started_at=started_at,
            life=_LIVES[recovery.examine(path, owner, here)],
            # One by one, by an index that has all of it: a hundred thousand that wait take some milliseconds.
            unfinished=connection.execute(_UNFINISHED_OF, {"owner": owner.id}).fetchone()[0],
            retention=retention.policy_of(text),
        )
        for owner, started_at, text in owners.open_owners(connection)
    ]


def check(path: Path, *, full: bool = False) -> list[str]:
    """Look for damage.

    Args:
        path: the journal.
        full: whether each index is compared with its table as well, which takes several times as long.

    Returns:
        What was found, a line each; none where the journal is whole.

    Raises:
        JournalError: it cannot be read.
    """
    require(path)
    with _looking(path) as connection:
        pragma = f"PRAGMA {'integrity_check' if full else 'quick_check'}({MOST_FINDINGS})"
        findings = [" ".join(text.split()) for (text,) in connection.execute(pragma) if text != "ok"]
        findings += [
            f"row {rowid} of {table} points to no row of {parent}"
            for table, rowid, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(MOST_FINDINGS)
        ]
    return findings


def backup(path: Path, copy: Path) -> int:
    """Copy a journal with SQLite's own backup: consistent, whatever is written meanwhile.

    Args:
        path: the journal.
        copy: where to; nothing may be there.

    Returns:
        The size of the copy in bytes.

    Raises:
        InvalidArgumentError: there is something at the copy's path.
        JournalError: the journal cannot be read, or the copy not be written.
    """
    require(path)
    with _looking(path) as connection:
        return make_backup(connection, path, copy)


def vacuum(path: Path) -> tuple[int, int]:
    """Write the file anew, as small as it can be; others wait while it does.

    Returns:
        The size in bytes before and after.

    Raises:
        JournalError: the journal cannot be written; another program holds it, for one.
    """
    require(path)
    before = path.stat().st_size
    with writing(path) as connection:
        # In a file beside it, not in memory: it is as large as the journal.
        connection.execute("PRAGMA temp_store=DEFAULT")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return before, path.stat().st_size


def recover(path: Path, owner_id: str | None = None) -> int:
    """End the unfinished tasks of dead owners as FAILED; returns how many.

    Args:
        path: the journal.
        owner_id: the owner that somebody says is dead, or the beginning of its id; None is every one of which
            there is proof.

    Raises:
        InvalidArgumentError: there is no such owner, or several.
        JournalError: the journal cannot be written, or the owner is alive.
    """
    require_current(path)
    here = owners.this_process()
    with writing(path) as connection:
        if owner_id is not None:
            return recovery.recover_owner(connection, path, here, owner_id)
        found = recovery.recover(connection, path, here)
    if not found.unknown:
        return found.failed
    with migrate.migration_lock(path), translated(path, "written"):
        alone = recovery.recover_alone(path, here)
    return found.failed + (0 if alone is None else alone.failed)


def ended_before(path: Path, before: datetime, statuses: list[TaskStatus]) -> int:
    """How many tasks ended in one of these states before a time.

    Raises:
        JournalError: the journal cannot be read.
    """
    require_current(path)
    with _looking(path) as connection:
        query = "SELECT count(*) FROM tasks WHERE status = ? AND completed_at < ? AND completed_at IS NOT NULL"
        found = [connection.execute(query, (status, time_text(before))).fetchone()[0] for status in statuses]
    return sum(found)


def prune(path: Path, before: datetime, statuses: list[TaskStatus]) -> int:
    """Delete the tasks that ended in one of these states before a time, step by step; returns how many.

    Raises:
        JournalError: the journal cannot be written.
    """
    require_current(path)
    deleted = 0
    with writing(path) as connection:
        for status in statuses:
            while not (step := retention.prune_step(connection, status, before)).is_last:
                deleted += step.deleted
        retention.forget_owners(connection)
        while retention.shrink_step(connection):
            pass
    return deleted


def ask_to_cancel(path: Path, task_id: str) -> bool:
    """Ask the owner of a task to cancel it; whether it is unfinished.

    Raises:
        JournalError: the journal cannot be written.
    """
    require_current(path)
    with writing(path) as connection:
        return request_cancel(connection, task_id)


def upgrade(path: Path) -> tuple[str | None, Path | None]:
    """Bring a journal to the newest revision, after a backup.

    Returns:
        The revision that it had, and the backup; no backup where there was nothing to do.

    Raises:
        JournalError: it cannot be upgraded.
    """
    require(path)
    revision = migrate.revision_of(path)
    there = set(_backups(path))
    migrate.ensure_current(path)
    made = [copy for copy in _backups(path) if copy not in there]
    return revision, made[-1] if made else None


def _backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{glob.escape(path.name)}.backup-*"))


def downgrade(path: Path, revision: str) -> Path:
    """Take a journal back to an earlier revision, after a backup; what that one has no place for is lost.

    Args:
        path: the journal.
        revision: the revision.

    Returns:
        The backup.

    Raises:
        InvalidArgumentError: there is no such revision before the journal's own.
        JournalError: a manager is at work on it, or it cannot be downgraded.
    """
    require(path)
    with migrate.migration_lock(path):
        current = migrate.revision_of(path)
        earlier = sorted(one for one in migrate.KNOWN if one is not None and current is not None and one < current)
        if revision not in earlier:
            has = ", ".join(earlier) or "none"
            raise InvalidArgumentError(
                f"The journal {path} is at revision {current}; there is no {revision!r} before it (earlier: {has})."
            )
        with translated(path, "backed up"):
            copy = migrate.back_up(path, str(current))
        try:
            migrate.downgrade(path, revision, partial(refuse_in_use, path=path))
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
    return copy


def refuse_in_use(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse to take the tables from under a manager; asked with the journal locked, so that none comes in between.

    Args:
        connection: where to look.
        path: the journal.

    Raises:
        JournalError: a manager is at work on it, or may be.
    """
    if alive := [owner for owner in _owner_states(connection, path) if owner.life is not Life.DEAD]:
        raise JournalError(
            f"The journal {path} is in use by pid {alive[0].pid} on {alive[0].host}: stop it before a downgrade."
        )
