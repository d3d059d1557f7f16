"""Putting a backup in the place of a journal: with nothing of the replaced one left that SQLite would take for its own.

SQLite replays a log that it finds beside a database, whatever database that is by now
(https://sqlite.org/howtocorrupt.html). So the replaced journal goes aside as a whole, its log and its locks with it.
"""

import secrets
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ailf.async_tasks.journal.care import copies, locks, migrate, owners
from ailf.async_tasks.journal.care.inspection import ask, assert_is_journal, assert_is_sound
from ailf.async_tasks.journal.care.life import Lock
from ailf.async_tasks.journal.form import (
    PRIVATE_FILE,
    Access,
    assert_sqlite_version,
    beside,
    connect,
    mode_beside,
    owners_folder,
    translated,
)
from ailf.errors import InvalidArgumentError, JournalError

COMPANIONS = ("-wal", "-shm", "-journal", ".owners")
"""What belongs to a journal, beside it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has done."""

    aside: Path | None
    """Where the replaced journal is now; None where there was none."""
    failed: int
    """How many tasks were unfinished in the backup, and are FAILED now."""


def restore(path: Path, backup: Path) -> Restored:
    """Put a copy of a backup in the place of a journal, which is kept aside.

    Args:
        path: the journal; it may be damaged, or gone.
        backup: the backup, which stays as it is.

    Returns:
        What was done.

    Raises:
        InvalidArgumentError: the backup is the journal itself.
        NotAJournalError: the backup is no journal.
        JournalError: a manager is at work on the journal, or the backup is damaged; nothing was changed.
    """
    assert_sqlite_version()
    if not backup.exists():
        raise InvalidArgumentError(f"There is no backup {backup}; name another one.")
    if path.exists() and path.samefile(backup):
        raise InvalidArgumentError(f"{backup} is the journal itself; name a backup of it.")
    assert_is_journal(backup)
    assert_is_sound(backup)
    revision = migrate.revision_of(backup)
    refuse_in_use(path)
    with translated(path, "restored"):
        copy, failed = _copy_ready(path, backup, revision)
        try:
            # Nobody may begin to migrate it meanwhile; whoever has just opened it sees that it was replaced.
            with migrate.migration_lock(path) if path.is_file() else nullcontext():
                refuse_in_use(path)
                aside = _put_aside(path)
                copy.rename(path.resolve())
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
    return Restored(aside, failed)


def refuse_in_use(path: Path) -> None:
    """Refuse a journal on which a manager is at work, by its lock alone: the file may be damaged.

    Raises:
        JournalError: one is.
    """
    for file in sorted(owners_folder(path).glob(locks.LOCK_PATTERN)):
        if locks.probe(path, file.stem) is Lock.HELD:
            raise JournalError(
                f"The journal {path} is in use by the manager {file.stem}: stop its program before a restore."
            )


def _copy_ready(path: Path, backup: Path, revision: str | None) -> tuple[Path, int]:
    """A copy of the backup beside the journal, in which nobody is at work; and how many tasks that ended."""
    copy = beside(path, f".restoring-{secrets.token_hex(4)}")
    copy.touch(mode=PRIVATE_FILE, exist_ok=False)
    try:
        ask(backup, lambda source: copies.write_copy(source, copy))
        failed = 0
        if revision == migrate.HEAD:
            with closing(connect(copy, Access.WRITE)) as connection:
                connection.execute("UPDATE journal SET id = ?", (secrets.token_hex(16),))
                failed = owners.give_up_all(connection)
                connection.execute("PRAGMA journal_mode=DELETE").fetchall()
            copies.draw_counter(copy)
        if path.is_file():
            copy.chmod(mode_beside(path))
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    return copy, failed


def _put_aside(path: Path) -> Path | None:
    """Rename a journal and all that belongs to it, under names by which SQLite finds its log again."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    file = path.resolve()
    aside = beside(path, f".replaced-{stamp}")
    moved = False
    # The journal first: a log alone is nobody's, while a journal without its log is not what it was.
    for suffix in ("", *COMPANIONS):
        one = file.with_name(file.name + suffix)
        if one.exists():
            one.rename(aside.with_name(aside.name + suffix))
            moved = True
    return aside if moved else None
