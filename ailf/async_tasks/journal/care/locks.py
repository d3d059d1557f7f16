"""The kernel lock that says that an owner is alive, and the file beside the journal that it is on."""

import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ailf.async_tasks.journal.care.life import Lock
from ailf.async_tasks.journal.form import give_to_owner_of, make_folder, mode_beside, owners_folder

LOCK_SUFFIX = ".lock"

LOCK_PATTERN = "????????-????-????-????-????????????.lock"
"""The lock files of owners, whose ids are UUIDs; the lock of the migrations is their neighbour."""

Place = tuple[int, int]


def beside_journal(journal: Path, file: Path) -> FileLock:
    """A lock on a file in the journal's folder of locks, which is made with the journal's owner and mode.

    Raises:
        OSError: the folder is not there and cannot be made.
    """
    make_folder(journal, file.parent)
    # No soft fallback: a lock file that outlives its process would prove nothing. The lock is
    # not per thread, since it is taken in one and released in another. A forked child does not
    # keep it: filelock closes its descriptor there.
    return FileLock(file, mode=mode_beside(journal), thread_local=False, fallback_to_soft=False)


class OwnerLock:
    """The lock of one owner: held by the owner itself, or taken by whoever finds it dead."""

    def __init__(self, journal: Path, owner_id: str, inode: int | None = None) -> None:
        """Name it; nothing is done yet.

        Args:
            journal: the journal.
            owner_id: whose lock it is.
            inode: the number of the file that the owner made, as its row says it; None for any file.
        """
        self.file = owners_folder(journal) / f"{owner_id}{LOCK_SUFFIX}"
        self._journal = journal
        self._made = inode
        self._lock: FileLock | None = None
        self._place: Place | None = None

    @property
    def inode(self) -> int | None:
        """The number of the file of a lock that is held."""
        return self._place[1] if self._place is not None else None

    def acquire(self, patience: float = 0) -> bool:
        """Take the lock, unless somebody holds it.

        Args:
            patience: for how many seconds to wait for it.

        Raises:
            OSError: the file may not be made or opened.
        """
        lock = beside_journal(self._journal, self.file)
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            return False
        give_to_owner_of(self._journal, self.file)
        self._lock, self._place = lock, _place_of(self.file)
        return True

    def try_acquire(self) -> Lock:
        """Take the lock of another owner, if it can be taken, to tell whether that one is alive."""
        try:
            found = _place_of(self.file)
            if found is None:
                return Lock.GONE
            if not self.acquire():
                return Lock.HELD
        except OSError:
            # Whoever may not open it cannot tell.
            return Lock.HELD
        if self._place != found:
            # Somebody removed it meanwhile: what was locked is a file that was made for it.
            self.release()
            return Lock.GONE
        if not _is_made_by_owner(found, self._made):
            self.release(remove=False)
            return Lock.GONE
        return Lock.FREE

    def look_after(self) -> bool:
        """Put the file of a lock that is held back, where somebody removed or replaced it.

        Returns:
            Whether that was needed.

        Raises:
            OSError: it cannot be put back.
        """
        if self._lock is None or (self._place is not None and _place_of(self.file) == self._place):
            return False
        # It appears under its name when it is locked, so that nobody ever finds it free.
        anew = self.file.with_name(f"{self.file.name}.new")
        lock = beside_journal(self._journal, anew)
        lock.acquire(timeout=0)
        try:
            give_to_owner_of(self._journal, anew)
            anew.replace(self.file)
        except OSError:
            anew.unlink()
            lock.release()
            raise
        self._lock.release()
        self._lock, self._place = lock, _place_of(self.file)
        return True

    def release(self, *, remove: bool = True) -> None:
        """Free the lock, and remove its file before anybody else can take it."""
        if self._lock is None:
            return
        if remove and _place_of(self.file) == self._place:
            # A folder that belongs to somebody else may keep it, which harms nobody.
            with suppress(OSError):
                self.file.unlink(missing_ok=True)
        self._lock.release()
        self._lock = None


def probe(journal: Path, owner_id: str, inode: int | None = None) -> Lock:
    """What became of the lock of an owner, found without making, changing or removing a file.

    Args:
        journal: the journal.
        owner_id: whose lock it is.
        inode: the number of the file that the owner made, as its row says it; None for any file.
    """
    file = owners_folder(journal) / f"{owner_id}{LOCK_SUFFIX}"
    try:
        if _place_of(file) is None:
            return Lock.GONE
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return Lock.GONE
    except OSError:
        return Lock.HELD
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
    except OSError:
        return Lock.HELD
    finally:
        os.close(descriptor)
    return Lock.FREE if _is_made_by_owner((found.st_dev, found.st_ino), inode) else Lock.GONE


def _is_made_by_owner(found: Place, made: int | None) -> bool:
    """Whether a lock file is the one that its owner holds until it ends, and not one that was put in its place."""
    return made is None or found[1] == made


def _place_of(file: Path) -> Place | None:
    """Which file is there; None where there is none, or what is no file.

    Raises:
        OSError: nobody can tell.
    """
    try:
        found = file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
