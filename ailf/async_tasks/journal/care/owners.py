"""The owners of a journal: their rows, and recovery, by which what a death left unfinished becomes FAILED.

Recovery begins with whom there is to judge: every owner that has not come to its end, and every other that
has a task unfinished all the same. What is found out about each, and what follows, is the table in ``life``.
"""

import os
import platform
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, func, insert, literal_column, or_, select, update

from ailf.async_tasks.journal.care import locks, machine
from ailf.async_tasks.journal.care.inspection import ask
from ailf.async_tasks.journal.care.life import Lock, Owner, Process, Row, Verdict, verdict
from ailf.async_tasks.journal.care.locks import LOCK_PATTERN, OwnerLock
from ailf.async_tasks.journal.form import (
    Access,
    Durability,
    named,
    owners,
    owners_folder,
    pragmas,
    task_events,
    tasks,
    time_text,
    uri,
)
from ailf.async_tasks.states import UNFINISHED, EventKind, Reason, TaskStatus
from ailf.errors import InvalidArgumentError, JournalError

ALONE_PATIENCE_SECONDS = 0.5
"""How long to try to be the only one who has the journal open, while others may just look into it."""


def this_process() -> Owner:
    """A new owner for a manager of this process."""
    return Owner(
        id=str(uuid.uuid4()),
        pid=os.getpid(),
        host=platform.node(),
        boot_id=machine.boot_id(),
        process_started=machine.process_started(),
        pid_namespace=machine.pid_namespace(),
    )


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a recovery did, and what it could not judge."""

    failed: int
    """How many tasks it marked."""
    unknown: tuple[Owner, ...] = ()
    """The owners of which nobody can tell from here whether they are alive."""


_UNFINISHED: list[ColumnElement[str]] = [literal_column(f"'{status}'") for status in sorted(UNFINISHED)]
_THEIRS = (tasks.c.owner_id == bindparam("owner"), tasks.c.status.in_(_UNFINISHED))
# A clock that steps back must not let a task end before it started.
_LAST_TIME = func.coalesce(tasks.c.started_at, tasks.c.created_at)
_ENDED_AT = case((bindparam("at") < _LAST_TIME, _LAST_TIME), else_=bindparam("at"))

_IDENTITY = (
    owners.c.id,
    owners.c.pid,
    owners.c.host,
    owners.c.boot_id,
    owners.c.process_started,
    owners.c.pid_namespace,
)
_IS_OPEN = and_(owners.c.stopped_at.is_(None), owners.c.found_dead_at.is_(None))
_INSERT_OWNER = named(
    insert(owners).values(
        {column: bindparam(column) for column in (*(one.name for one in _IDENTITY), "started_at", "retention")}
    )
)
_TO_JUDGE = named(
    select(*_IDENTITY, _IS_OPEN)
    .where(
        owners.c.id != bindparam("me"),
        or_(_IS_OPEN, exists().where(tasks.c.owner_id == owners.c.id, tasks.c.status.in_(_UNFINISHED))),
    )
    .order_by(owners.c.started_at)
)
_OPEN_OWNERS = named(
    select(*_IDENTITY, owners.c.started_at, owners.c.retention).where(_IS_OPEN).order_by(owners.c.started_at)
)
_OPEN_OWNERS_BEFORE = """\
SELECT id, pid, host, boot_id, NULL, NULL, started_at, NULL FROM owners WHERE stopped_at IS NULL ORDER BY started_at"""
_FAIL_EVENTS = named(
    insert(task_events).from_select(
        ["task_id", "at", "kind", "message"],
        select(tasks.c.id, _ENDED_AT, literal_column(f"'{EventKind.FAILED}'"), bindparam("error")).where(*_THEIRS),
    )
)
_FAIL_TASKS = named(
    update(tasks)
    .where(*_THEIRS)
    .values(
        status=literal_column(f"'{TaskStatus.FAILED}'"),
        reason=literal_column(f"'{Reason.PROCESS_DIED}'"),
        completed_at=_ENDED_AT,
        error=bindparam("message"),
    )
)
_BEGINS_WITH = named(
    select(*_IDENTITY, _IS_OPEN).where(
        func.substr(owners.c.id, literal_column("1"), func.length(bindparam("owner"))) == bindparam("owner")
    )
)
_OWNER = owners.c.id == bindparam("owner")
_STOP_OWNER = named(update(owners).where(_OWNER).values(stopped_at=bindparam("at")))
_FIND_OWNER_DEAD = named(update(owners).where(_OWNER, _IS_OPEN).values(found_dead_at=bindparam("at")))
_FIND_OWNER_ALIVE = named(
    update(owners).where(_OWNER, owners.c.found_dead_at.is_not(None)).values(found_dead_at=literal_column("NULL"))
)


def register(connection: sqlite3.Connection, owner: Owner, retention: str | None = None) -> None:
    """Write the owner's row; its lock is held already.

    Args:
        connection: one that writes.
        owner: the owner.
        retention: for how long its tasks are kept, as ``retention.policy_text`` says it.
    """
    connection.execute(
        _INSERT_OWNER,
        {
            "id": owner.id,
            "pid": owner.pid,
            "host": owner.host,
            "boot_id": owner.boot_id,
            "process_started": owner.process_started,
            "pid_namespace": owner.pid_namespace,
            "started_at": time_text(datetime.now(UTC)),
            "retention": retention,
        },
    )


def unregister(connection: sqlite3.Connection, owner: Owner) -> int:
    """Write that the owner has stopped, all its tasks ended.

    Returns:
        How many tasks were unfinished all the same, since their ends were lost, and are FAILED now.
    """
    lost = f"The manager that ran this task (pid {owner.pid} on {owner.host}) stopped, and how the task ended was lost"
    return _close(connection, owner, _STOP_OWNER, lost)


def return_to_life(connection: sqlite3.Connection, owner: Owner) -> None:
    """Take back that the owner was found dead, if somebody said so while its lock file was gone."""
    connection.execute(_FIND_OWNER_ALIVE, {"owner": owner.id})


def open_owners(connection: sqlite3.Connection) -> list[tuple[Owner, str, str | None]]:
    """Every owner that has neither stopped nor been found dead, also of a journal of an earlier revision.

    Returns:
        Each with when it started, and for how long its tasks are kept, as text.
    """
    columns = {name for _, name, *_ in connection.execute("PRAGMA table_info(owners)")}
    statement = _OPEN_OWNERS if "found_dead_at" in columns else _OPEN_OWNERS_BEFORE
    return [(Owner(*row[:6]), row[6], row[7]) for row in connection.execute(statement).fetchall()]


def living(journal: Path) -> list[Owner]:
    """The owners that are alive, found without changing anything, also of a journal of an earlier revision.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    here = this_process()
    return [owner for owner, _, _ in ask(journal, open_owners) if examine(journal, owner, here) is Verdict.ALIVE]


def recover(connection: sqlite3.Connection, journal: Path, here: Owner, *, alone: bool = False) -> Recovery:
    """End the tasks of every owner that is provably dead as FAILED; leave those of the living alone.

    Args:
        connection: the writer's, outside of a transaction.
        journal: the journal's path.
        here: the owner who does it.
        alone: whether nobody else has the journal open.
    """
    # Before the owners, so that the file of one that comes in between is not taken for an orphan.
    files = list(owners_folder(journal).glob(LOCK_PATTERN))
    found = connection.execute(_TO_JUDGE, {"me": here.id}).fetchall()
    failed, unknown = 0, []
    for *identity, is_open in found:
        owner = Owner(*identity)
        with _examined(journal, owner, here, Row.OPEN if is_open else Row.CLOSED, alone=alone) as examined:
            if examined.verdict is Verdict.DEAD:
                failed += _give_up(connection, owner)
                examined.is_settled = True
            elif examined.verdict is Verdict.UNKNOWN:
                unknown.append(owner)
    _remove_orphans(journal, {file.stem for file in files} - {row[0] for row in found} - {here.id})
    return Recovery(failed, tuple(unknown))


def recover_alone(journal: Path, here: Owner) -> Recovery | None:
    """Recover with one more proof: nobody else has the journal open, and so nobody else is alive.

    Args:
        journal: the journal; this process has no connection to it.
        here: the owner who does it.

    Returns:
        What was done; None where somebody has the journal open.
    """
    # Locked for this connection alone from the first read on, which some of the settings are already
    # (https://sqlite.org/wal.html#use_of_wal_without_shared_memory).
    settings = [
        "PRAGMA locking_mode=EXCLUSIVE",
        *(one for one in pragmas(Access.WRITE, Durability.PROCESS) if "busy_timeout" not in one),
    ]
    with closing(
        sqlite3.connect(uri(journal, Access.WRITE), uri=True, timeout=ALONE_PATIENCE_SECONDS, isolation_level=None)
    ) as connection:
        try:
            for statement in (*settings, "BEGIN IMMEDIATE", "COMMIT"):
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith("SQLITE_BUSY"):
                return None
            raise
        return recover(connection, journal, here, alone=True)


def recover_owner(connection: sqlite3.Connection, journal: Path, here: Owner, owner_id: str) -> int:
    """End the unfinished tasks of one owner as FAILED, since somebody says that it is dead.

    Args:
        connection: the writer's, outside of a transaction.
        journal: the journal's path.
        here: the owner who does it.
        owner_id: its id, or the beginning of one.

    Returns:
        How many tasks were marked.

    Raises:
        InvalidArgumentError: there is no such owner, or several.
        JournalError: it is alive.
    """
    found = connection.execute(_BEGINS_WITH, {"owner": owner_id}).fetchall()
    if owner_id == "" or len(found) != 1:
        raise InvalidArgumentError(
            f"{len(found) or 'no'} owners of the journal {journal} have an id that begins with {owner_id!r}; "
            "`ailf journal info` lists those that have not stopped."
        )
    [(*identity, is_open)] = found
    owner = Owner(*identity)
    with _examined(journal, owner, here, Row.OPEN if is_open else Row.CLOSED) as examined:
        if examined.verdict is Verdict.ALIVE:
            raise JournalError(
                f"The owner {owner.id} (pid {owner.pid} on {owner.host}) is alive, and nothing was changed: "
                "end its process first, or cancel its tasks."
            )
        failed = _give_up(connection, owner)
        examined.is_settled = True
    return failed


def examine(journal: Path, owner: Owner, here: Owner) -> Verdict:
    """Whether an owner whose row is open is alive, found without changing anything."""
    lock = _as_trusted(locks.probe(journal, owner.id), journal, owner, here)
    return verdict(lock, Row.OPEN, machine.look_for(owner, here))


@dataclass(slots=True)
class _Examined:
    verdict: Verdict
    is_settled: bool = False
    """Whether nothing is left to do, so that the proof may go."""


@contextmanager
def _examined(journal: Path, owner: Owner, here: Owner, row: Row, *, alone: bool = False) -> Iterator[_Examined]:
    """What follows from what is found out about an owner, with its lock held meanwhile, if it can be had."""
    lock = OwnerLock(journal, owner.id)
    state = _as_trusted(lock.try_acquire(), journal, owner, here)
    process = Process.ENDED if alone else machine.look_for(owner, here)
    examined = _Examined(verdict(state, row, process))
    try:
        yield examined
    finally:
        # The file is the proof for the next try, where this one failed.
        lock.release(remove=examined.is_settled)


def _as_trusted(lock: Lock, journal: Path, owner: Owner, here: Owner) -> Lock:
    """What a lock that can be taken proves: locks of this very kernel are seen on any file system."""
    is_near = owner.boot_id == here.boot_id != ""
    if lock is Lock.FREE and not is_near and machine.shared_file_system(journal) is not None:
        return Lock.MUTE
    return lock


def _remove_orphans(journal: Path, owner_ids: Iterable[str]) -> None:
    """Remove the lock files of those who died before their row was there, or after it said that they stopped."""
    for owner_id in owner_ids:
        lock = OwnerLock(journal, owner_id)
        if lock.try_acquire() is Lock.FREE:
            lock.release()


def _give_up(connection: sqlite3.Connection, owner: Owner) -> int:
    died = f"The process that ran this task (pid {owner.pid} on {owner.host}) ended before the task did"
    return _close(connection, owner, _FIND_OWNER_DEAD, died)


def _close(connection: sqlite3.Connection, owner: Owner, mark: str, message: str) -> int:
    """End what an owner left unfinished, and mark its row, in one transaction; returns how many tasks that were."""
    values = {"owner": owner.id, "at": time_text(datetime.now(UTC)), "error": message, "message": message}
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_FAIL_EVENTS, values)
        failed = connection.execute(_FAIL_TASKS, values).rowcount
        connection.execute(mark, values)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return failed
