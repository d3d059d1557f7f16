"""Bringing a journal to the schema of this release: is it there already, create, upgrade, refuse.

No Alembic is imported for any of it: its commands are for people, and its globals belong to the application.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from filelock import Timeout

from ailf.async_tasks.journal.care import inspection, recovery
from ailf.async_tasks.journal.care.copies import write_copy
from ailf.async_tasks.journal.care.inspection import ask, assert_is_journal, assert_log_belongs
from ailf.async_tasks.journal.care.locks import beside_journal
from ailf.async_tasks.journal.care.revisions import Guard, migrate
from ailf.async_tasks.journal.form import (
    PRIVATE_FILE,
    Access,
    assert_one_name,
    assert_sqlite_version,
    connect,
    create_file,
    give_to_owner_of,
    is_without_content,
    journal_error,
    owners_folder,
    translated,
)
from ailf.errors import JournalError, JournalVersionError

HEAD = "0003"
"""The newest revision; a test holds it to what ``migrations/`` says."""

KNOWN = frozenset({None, "0001", "0002", "0003"})
"""Every revision that this release can upgrade from; None is a journal whose tables are not there yet."""

MIGRATION_LOCK = "migration.lock"

MIGRATION_PATIENCE_SECONDS = 300.0
"""How long a start waits for another process's migration, which takes a while on a large journal."""


class MigrateMode(StrEnum):
    """What starting on an older journal does."""

    AUTO = "auto"
    """Back it up and bring it to the newest revision."""
    CHECK = "check"
    """Refuse it."""


def migrations_folder() -> Path:
    """The migration scripts: carried in the wheel, or at the top of a checkout."""
    package = Path(__file__).parents[3]
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parent / "migrations"


def ensure_current(path: Path, mode: MigrateMode = MigrateMode.AUTO) -> None:
    """Leave at the path a journal at the newest revision, creating or upgrading it as needed.

    Args:
        path: the journal.
        mode: what to do with an older one.

    Raises:
        NotAJournalError: something else is at the path.
        JournalVersionError: the journal is newer than this release; or older, and ``mode`` is CHECK or a program of
            an earlier release is at work on it.
        JournalError: it cannot be created, read or upgraded.
    """
    assert_sqlite_version()
    with translated(path, "opened"):
        new = is_new(path)
    if new:
        if path.exists():
            assert_one_name(path)
        create_file(path)
    else:
        assert_is_journal(path)
        with translated(path, "opened"):
            assert_log_belongs(path)
        revision = revision_of(path, refuse_damage=True)
        if revision == HEAD:
            return
        if revision is not None and mode is MigrateMode.CHECK and not (owners_folder(path) / MIGRATION_LOCK).exists():
            # Nobody else is just migrating it, and a lock would be left beside it.
            _refuse_older(path, revision)
    with migration_lock(path), translated(path, "migrated"):
        # Another process may have done the work while this one waited for the lock.
        revision = revision_of(path)
        if revision == HEAD:
            return
        copy = None
        if revision is not None:
            if mode is MigrateMode.CHECK:
                _refuse_older(path, revision)
            refuse_while_in_use(path, revision)
            copy = back_up(path, revision)
        try:
            upgrade(path)
        except BaseException:
            # The journal is as it was: one copy of it for each try would fill the disk.
            if copy is not None:
                copy.unlink(missing_ok=True)
            raise


def _refuse_older(path: Path, revision: str | None) -> NoReturn:
    raise JournalVersionError(
        f"The journal {path} is at revision {revision}, this release needs {HEAD}: "
        "run `alembic upgrade head` on it, or start with migrate='auto'."
    )


def refuse_while_in_use(path: Path, revision: str) -> None:
    """Refuse to change the schema of a journal with which a manager of another release is at work.

    That one would go on as its release does, and delete by its own policy what others keep, for one.

    Args:
        path: the journal.
        revision: the one that it has.

    Raises:
        JournalVersionError: a manager is at work on it.
    """
    if living := recovery.living(path):
        raise JournalVersionError(
            f"The journal {path} is at revision {revision}, and a program of an earlier release is at work on it "
            f"(pid {living[0].pid} on {living[0].host}): stop that program, and start again; this release brings the "
            f"journal to revision {HEAD}, with which earlier ones do not work."
        )


def is_new(path: Path) -> bool:
    """Whether nothing is there, or a file without content, which is as good as nothing."""
    return not path.exists() or (path.is_file() and is_without_content(path))


@contextmanager
def migration_lock(path: Path) -> Iterator[None]:
    """Hold the lock under which one process at a time migrates this journal.

    Raises:
        JournalError: another process holds it for too long.
    """
    folder = owners_folder(path)
    with translated(path, "locked"):
        lock = beside_journal(path, folder / MIGRATION_LOCK)
        try:
            lock.acquire(timeout=MIGRATION_PATIENCE_SECONDS)
            give_to_owner_of(path, folder / MIGRATION_LOCK)
        except Timeout:
            raise JournalError(
                f"The journal {path} cannot be opened: another process has been migrating it, or indexing it, for "
                f"over {MIGRATION_PATIENCE_SECONDS:g} seconds; find what holds {folder / MIGRATION_LOCK}."
            ) from None
    try:
        yield
    finally:
        lock.release()


def revision_of(path: Path, *, refuse_damage: bool = False) -> str | None:
    """The revision of a journal; None where its tables are not there yet.

    Args:
        path: the journal.
        refuse_damage: whether to look for damage as well, on the same connection.

    Raises:
        JournalVersionError: a newer release made the journal.
        JournalError: it cannot be read, or is damaged.
    """

    def question(connection: sqlite3.Connection) -> str | None:
        revision = _revision(connection)
        if refuse_damage and revision is not None:
            inspection.refuse_damage(connection, path)
        return revision

    with translated(path, "opened" if refuse_damage else "read"):
        revision = ask(path, question)
    if revision not in KNOWN:
        raise JournalVersionError(
            f"The journal {path} is at revision {revision}, which a newer release of ailf made (this one knows up to "
            f"{HEAD}): it was left as it was; install the newer release, or name another path."
        )
    return revision


def assert_current(path: Path) -> None:
    """Refuse a journal that is at another revision than this release's.

    Raises:
        JournalVersionError: it is.
        JournalError: it cannot be read.
    """
    if (revision := revision_of(path)) != HEAD:
        raise JournalVersionError(
            f"The journal {path} is at revision {revision}, this release reads {HEAD}: "
            "run `ailf journal upgrade`, or `alembic upgrade head` on it."
        )


def assert_still_current(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a journal that was taken to another revision since it was looked at; asked once who asks is registered.

    Raises:
        JournalVersionError: it was.
    """
    if (revision := _revision(connection)) != HEAD:
        raise JournalVersionError(
            f"The journal {path} was taken to revision {revision} while it was opened, this release needs {HEAD}: "
            "start again, or run `ailf journal upgrade`."
        )


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether a journal that is open is still of this release: another one may upgrade it in its place."""
    return _revision(connection) == HEAD


def _revision(connection: sqlite3.Connection) -> str | None:
    [(found,)] = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchall()
    rows = connection.execute("SELECT version_num FROM alembic_version").fetchall() if found else []
    return rows[0][0] if rows else None


def back_up(path: Path, revision: str) -> Path:
    """Copy a journal beside itself with SQLite's own backup, consistent even while others write to it.

    Args:
        path: the journal.
        revision: its revision, which becomes part of the copy's name.

    Returns:
        The copy's path.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    copy = path.with_name(f"{path.name}.backup-{revision}-{stamp}")
    copy.touch(mode=PRIVATE_FILE, exist_ok=False)
    try:
        with closing(connect(path, Access.READ)) as source:
            write_copy(source, copy)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy


def alembic_config(path: Path) -> Any:
    """A configuration for Alembic's commands on this journal, with no file behind it.

    Args:
        path: the journal.
    """
    from alembic.config import Config  # noqa: PLC0415 - nothing here but this needs Alembic

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["journal"] = path
    return config


def upgrade(path: Path) -> None:
    """Run the migrations that the journal lacks, in one transaction.

    Args:
        path: the journal; its migration lock is held by the caller.

    Raises:
        JournalError: a migration failed; the journal is as it was.
    """
    _run(path, upgrade=True, to=HEAD)


def downgrade(path: Path, revision: str, guard: Guard = lambda _: None) -> None:
    """Take back the migrations after a revision, in one transaction.

    Args:
        path: the journal; its migration lock is held by the caller.
        revision: an earlier one, which the journal has afterwards.
        guard: raises where it may not be, once nobody can come in between.

    Raises:
        JournalError: a migration failed; the journal is as it was.
    """
    _run(path, upgrade=False, to=revision, guard=guard)


def _run(path: Path, *, upgrade: bool, to: str, guard: Guard = lambda _: None) -> None:
    try:
        migrate(path, migrations_folder(), upgrade=upgrade, to=to, guard=guard)
    except JournalError:
        raise
    except Exception as error:
        # A migration is a program: it may fail with anything.
        raise journal_error(error, path, "migrated") from error
