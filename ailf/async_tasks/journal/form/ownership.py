"""New files beside a journal: of the journal's owner, group and mode, as SQLite makes its -wal and -shm.

Otherwise a program that runs once as root leaves files that the service cannot open ever after.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

PRIVATE_FILE = 0o600
"""Readable by its user alone; SQLite gives its companions -wal and -shm the same mode."""

PRIVATE_FOLDER = 0o700
"""The same for a folder."""


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
