"""The owners' locks: exclusive, looked after, of the journal's owner and mode, and never an error to others."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from ailf.async_tasks.journal.care import locks
from ailf.async_tasks.journal.care.life import Lock
from ailf.async_tasks.journal.care.locks import OwnerLock, probe
from ailf.async_tasks.journal.form.paths import owners_folder

NOBODY = 65534

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


@pytest.fixture
def journal(journal: Path) -> Path:
    """A file of a journal's mode, which is all that a lock looks at."""
    journal.touch(0o600)
    return journal


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_lock_is_exclusive_and_leaves_no_file(journal: Path) -> None:
    """Two holders exclude each other, within one process too; a release removes the file unless told not to."""
    lock, rival = OwnerLock(journal, "o1"), OwnerLock(journal, "o1")
    assert rival.try_acquire() is probe(journal, "o1") is Lock.GONE
    assert lock.acquire()
    assert rival.try_acquire() is probe(journal, "o1") is Lock.HELD
    lock.release(remove=False)
    assert probe(journal, "o1") is Lock.FREE
    assert rival.try_acquire() is Lock.FREE
    rival.release()
    assert not lock.file.exists()


@pytest.mark.parametrize(("of_journal", "of_file", "of_folder"), [(0o600, 0o600, 0o700), (0o660, 0o660, 0o770)])
def test_files_beside_the_journal_have_its_mode(journal: Path, of_journal: int, of_file: int, of_folder: int) -> None:
    """As SQLite makes -wal: whoever may use the journal may use its locks, whatever the umask is."""
    journal.chmod(of_journal)
    before = os.umask(0o077)
    lock = OwnerLock(journal, "o1")
    try:
        assert lock.acquire()
    finally:
        os.umask(before)
    assert (mode(lock.file), mode(lock.file.parent)) == (of_file, of_folder)
    lock.release()


def test_a_folder_that_is_too_narrow_for_the_journal_is_widened(journal: Path) -> None:
    """An earlier release made it for its own user alone."""
    owners_folder(journal).mkdir(0o700)
    journal.chmod(0o660)
    lock = OwnerLock(journal, "o1")
    assert lock.acquire()
    assert mode(lock.file.parent) == 0o770
    lock.release()


@as_root
def test_what_root_makes_belongs_to_the_owner_of_the_journal(journal: Path) -> None:
    """A job that ran once as root leaves nothing that the service may not open; a folder of root's is given away."""
    os.chown(journal, NOBODY, NOBODY)
    owners_folder(journal).mkdir(0o700)
    lock = OwnerLock(journal, "o1")
    assert lock.acquire()
    for made in (lock.file, lock.file.parent):
        assert (made.stat().st_uid, made.stat().st_gid) == (NOBODY, NOBODY)
    lock.release()


def test_a_lock_file_that_was_removed_is_put_back_held(journal: Path) -> None:
    """Whoever looks finds it missing or held, and never free."""
    lock = OwnerLock(journal, "o1")
    assert lock.acquire()
    assert not lock.look_after()
    lock.file.unlink()
    lock.file.parent.rmdir()
    assert lock.look_after()
    assert probe(journal, "o1") is Lock.HELD
    assert [file.name for file in lock.file.parent.iterdir()] == ["o1.lock"]
    assert not lock.look_after()
    lock.release()
    assert list(lock.file.parent.iterdir()) == []


def test_a_lock_file_that_was_replaced_is_put_back(journal: Path) -> None:
    """A restored folder has files of the same names, which nobody holds."""
    lock = OwnerLock(journal, "o1")
    assert lock.acquire()
    lock.file.unlink()
    lock.file.touch()
    assert probe(journal, "o1") is Lock.FREE
    assert lock.look_after()
    assert probe(journal, "o1") is Lock.HELD
    lock.release()


def test_a_file_that_goes_while_it_is_looked_at_was_gone(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To take a lock makes its file anew: one that was made just now proves nothing."""
    lock = OwnerLock(journal, "o1")
    assert lock.acquire()
    made = locks.beside_journal

    def removed_just_before(journal: Path, file: Path) -> FileLock:
        file.unlink()
        return made(journal, file)

    monkeypatch.setattr(locks, "beside_journal", removed_just_before)
    assert OwnerLock(journal, "o1").try_acquire() is Lock.GONE
    assert not lock.file.exists()
    lock.release()


def test_a_file_that_another_has_put_there_is_not_the_owner_s(journal: Path) -> None:
    """Its row has the number of the file that it made: no other one of the name says that it is dead."""
    lock = OwnerLock(journal, "o1")
    assert lock.acquire()
    made = lock.inode
    lock.file.rename(lock.file.with_suffix(".aside"))
    lock.file.touch()
    rival = OwnerLock(journal, "o1", made)
    assert rival.try_acquire() is probe(journal, "o1", made) is Lock.GONE
    assert lock.file.exists()
    assert lock.look_after()
    assert lock.inode != made
    assert rival.try_acquire() is probe(journal, "o1", made) is Lock.HELD
    lock.release(remove=False)
    assert OwnerLock(journal, "o1", lock.inode).try_acquire() is Lock.FREE


def test_a_release_leaves_the_file_of_another(journal: Path) -> None:
    """What is there by now under the name is not its own."""
    lock = OwnerLock(journal, "o1")
    assert lock.acquire()
    lock.file.unlink()
    lock.file.touch()
    lock.release()
    assert lock.file.exists()
    lock.release()


@as_root
def test_a_lock_that_may_not_be_opened_is_held(tmp_path: Path) -> None:
    """Another user's file, or folder, says nothing: nobody is dead because of it, and nothing is raised."""
    program = """
import os, sys
from pathlib import Path
from ailf.async_tasks.journal.care.locks import OwnerLock, probe
journal = Path(sys.argv[1])
os.setgid(65534)
os.setuid(65534)
for one in ("file", "gone"):
    print(OwnerLock(journal, one).try_acquire().name, probe(journal, one).name, end=" ")
"""
    folder = Path("/tmp") / tmp_path.name
    folder.mkdir(0o755)
    try:
        journal = folder / "tasks.db"
        journal.touch(0o666)
        journal.chmod(0o666)
        owners_folder(journal).mkdir(0o755)
        (owners_folder(journal) / "file.lock").touch(0o600)
        command = [sys.executable, "-c", program, str(journal)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "HELD HELD GONE GONE "
        owners_folder(journal).chmod(0o700)
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "HELD HELD HELD HELD "
    finally:
        for file in sorted(folder.rglob("*"), reverse=True):
            file.rmdir() if file.is_dir() else file.unlink()
        folder.rmdir()
