"""Whose the files are: another user's is refused where anybody may plant one, and open modes are told."""

import os
import shutil
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.form.engine import create_file
from ailf.async_tasks.journal.form.paths import owners_folder
from ailf.errors import JournalError
from tests.async_tasks.journal.support import snapshot

NOBODY = 65534


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder in which every user may put files, as in /tmp."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
@pytest.mark.parametrize("empty", [True, False])
def test_a_planted_file_is_refused(shared: Path, empty: bool) -> None:  # noqa: FBT001
    """In a shared folder, whether it is a journal or an empty file; nothing is written into it."""
    journal = shared / "tasks.db"
    if empty:
        journal.touch()
    else:
        ensure_current(journal)
    os.chown(journal, NOBODY, NOBODY)
    before = snapshot(shared)
    with pytest.raises(JournalError, match=r"belongs to another user.*a folder of your own"):
        ensure_current(journal)
    assert snapshot(shared) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", ".owners"])
@pytest.mark.parametrize("is_there", [True, False])
async def test_planted_companions_are_refused(shared: Path, suffix: str, is_there: bool) -> None:  # noqa: FBT001
    """What is written comes into the log first, and whoever made the log ready reads it there."""
    journal = shared / "tasks.db"
    if is_there:
        ensure_current(journal)
    planted = shared / f"tasks.db{suffix}"
    if suffix == ".owners":
        planted.mkdir(exist_ok=True)
        planted.chmod(0o777)
    else:
        planted.touch()
        planted.chmod(0o666)
    os.chown(planted, NOBODY, NOBODY)
    before = snapshot(shared)
    for _ in range(2):
        with pytest.raises(JournalError, match=r"belongs to another user.*a folder of your own"):
            await TaskManager(journal).start()
    assert snapshot(shared) == before


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal", ".owners"])
@pytest.mark.parametrize("kind", ["pipe", "link", "other"])
async def test_what_is_no_file_beside_the_journal_is_refused_at_once(journal: Path, suffix: str, kind: str) -> None:
    """At a pipe in the place of its log SQLite would wait for ever; what is there is named, and left."""
    for _ in range(2):
        odd = journal.with_name(f"{journal.name}{suffix}")
        match kind:
            case "pipe":
                os.mkfifo(odd)
            case "link":
                odd.symlink_to(odd)
            case _:
                odd.mkdir() if suffix != ".owners" else odd.touch()
        with pytest.raises(JournalError, match=rf"{suffix} is no (plain file|folder); move it away"):
            await TaskManager(journal).start()
        odd.rmdir() if odd.is_dir() else odd.unlink()
        async with TaskManager(journal):
            pass
        shutil.rmtree(owners_folder(journal))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of another user")
async def test_another_user_s_file_is_used_where_only_they_could_make_it(journal: Path) -> None:
    """A service's journal, in the service's folder, by a job that runs as root."""
    ensure_current(journal)
    os.chown(journal, NOBODY, NOBODY)
    async with TaskManager(journal):
        pass


def test_an_empty_file_is_made_private_before_it_is_used(journal: Path) -> None:
    """Made ready with ``touch``, it would be for all to read."""
    journal.touch()
    journal.chmod(0o644)
    create_file(journal)
    assert journal.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("mode", "folder_mode", "advice"),
    [
        (0o600, 0o755, None),
        (0o660, 0o770, None),
        (0o644, 0o755, "chmod o-r "),
        (0o666, 0o755, "chmod o-rw "),
        (0o600, 0o777, "chmod o-w "),
        (0o600, 0o1777, None),
    ],
)
async def test_open_modes_are_told_at_the_start(
    journal: Path, mode: int, folder_mode: int, advice: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """As ssh does: what others may do, and the command that ends it; the journal is used all the same."""
    ensure_current(journal)
    journal.chmod(mode)
    journal.parent.chmod(folder_mode)
    async with TaskManager(journal):
        pass
    told = [record.getMessage() for record in caplog.records if "Every user of this system" in record.getMessage()]
    assert len(told) == (advice is not None)
    assert advice is None or advice in told[0]
