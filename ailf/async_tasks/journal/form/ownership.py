"""New files beside a journal: of the journal's owner, group and mode, as SQLite makes its -wal and -shm.

Otherwise a program that runs once as root leaves files that the service cannot open ever after.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from ailf.async_tasks.guard import log
from ailf.async_tasks.journal.form.paths import beside, owners_folder
from ailf.errors import JournalError

PRIVATE_FILE = 0o600
"""Readable by its user alone; SQLite gives its companions -wal and -shm the same mode."""

PRIVATE_FOLDER = 0o700
"""The same for a folder."""

COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a database (https://sqlite.org/tempfiles.html)."""


def mode_beside(journal: Path) -> int:
    """The mode of a new file beside a journal."""
    return stat.S_IMODE(journal.stat().st_mode) & 0o666 | PRIVATE_FILE


def give_to_owner_of(journal: Path, made: Path) -> None:
    """Give a new file or folder to whom the journal belongs, where this process may: it is root's right."""
    if os.geteuid() == 0:
        to = journal.stat()
        with suppress(OSError):
            os.chown(made, to.st_uid, to.st_gid, follow_symlinks=False)


def make_folder(journal: Path, folder: Path) -> None:
    """Have a folder beside a journal that all may use who may use the journal.

    Raises:
        OSError: there is none, and it cannot be made.
    """
    mode = mode_beside(journal)
    # Who may read a file of it has to search it.
    wanted = mode | (mode & 0o444) >> 2
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    found = folder.stat()
    if os.geteuid() == 0 and found.st_uid == 0:
        give_to_owner_of(journal, folder)
    if found.st_mode & wanted != wanted:
        with suppress(OSError):
            folder.chmod(stat.S_IMODE(found.st_mode) | wanted)


def assert_not_planted(journal: Path) -> None:
    """Refuse files that another user has put where everybody may put one: that user may read and delete everything.

    That is so of the journal, and of its log, into which SQLite writes first what then comes into the journal.
    Elsewhere a file of another user was made by who may write to the folder, an administrator or the service's own
    user for one, and is used as it is.

    Args:
        journal: the journal; none of the files need be there.

    Raises:
        JournalError: one is such a file; or it is of another kind, a pipe for one, at which SQLite waits for ever.
    """
    file, locks = journal.resolve(), owners_folder(journal)
    anybody_may_put_one = file.parent.stat().st_mode & stat.S_IWOTH
    for one in (file, *(beside(journal, suffix) for suffix in COMPANIONS), locks):
        try:
            found = one.lstat()
        except FileNotFoundError:
            continue
        if anybody_may_put_one and found.st_uid not in (os.geteuid(), 0):
            raise JournalError(
                f"The journal {journal} cannot be opened: the file {one} belongs to another user (uid {found.st_uid}), "
                f"who may have put it there to read what you write, since everybody may write to {file.parent}. "
                "Name a journal in a folder of your own."
            )
        if one == locks and not os.path.isdir(one):  # noqa: PTH112 - of a link that leads nowhere Path raises
            raise JournalError(f"The journal {journal} cannot be opened: {one} is no folder; move it away.")
        if one not in (file, locks) and not stat.S_ISREG(found.st_mode):
            raise JournalError(f"The journal {journal} cannot be opened: {one} is no plain file; move it away.")


def tighten(journal: Path) -> None:
    """Make an empty file, which somebody made ready, as private as one of our own making, if it is ours.

    Args:
        journal: the file, which has nothing in it yet.
    """
    found = journal.stat()
    if found.st_uid == os.geteuid():
        with suppress(OSError):
            journal.chmod(stat.S_IMODE(found.st_mode) & ~0o077 | PRIVATE_FILE)


def warn_of_open_modes(journal: Path) -> None:
    """Say that others than the journal's user may write to it, or put another file in its place, as ssh does."""
    folder = journal.resolve().parent
    mode, around = journal.stat().st_mode, folder.stat().st_mode
    if mode & stat.S_IWOTH:
        log.warning("Every user of this system may write to the journal %s: run `chmod o-rw %s`.", journal, journal)
    elif mode & stat.S_IROTH:
        log.warning("Every user of this system may read the journal %s: run `chmod o-r %s`.", journal, journal)
    if around & stat.S_IWOTH and not around & stat.S_ISVTX:
        log.warning(
            "Every user of this system may put another file in the place of the journal %s: run `chmod o-w %s`.",
            journal,
            folder,
        )
