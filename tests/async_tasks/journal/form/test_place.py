"""Which files are open: what has happened to them, what SQLite's own headers say, and letting go of them."""

import shutil
import sys
from itertools import product
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.form.engine import Access, connect
from ailf.async_tasks.journal.form.place import (
    Displacement,
    Names,
    Place,
    assert_one_name,
    change_between,
    change_counter,
    close_untouched,
    descriptors_of,
    frames_left,
)
from ailf.errors import JournalError
from tests.async_tasks.journal.support import attempt, insert, snapshot

START = """
import sys
from pathlib import Path
from ailf.async_tasks.journal.care.migrate import ensure_current
ensure_current(Path(sys.argv[1]))
"""

FILES = ((1, 1), (1, 2), None)


@pytest.mark.parametrize("now", list(product(FILES, repeat=3)))
def test_the_table_of_displacements(now: tuple[tuple[int, int] | None, ...]) -> None:
    """The journal itself counts before its log; a file that is missing is another one, too."""
    opened = Place((1, 1), (1, 1), (1, 1))
    wanted = Displacement.NONE if now == opened else Displacement.LOG if now[0] == (1, 1) else Displacement.JOURNAL
    assert change_between(opened, Place(*now)) is wanted


def test_all_three_files_are_there_once_it_is_open(journal: Path) -> None:
    """A connection of ours has the log and its index from its first moment on, and until its end."""
    ensure_current(journal)
    connection = connect(journal, Access.WRITE)
    place = Names(journal).look()
    assert None not in place
    insert(connection, "owners", {"id": "o", "pid": 1, "host": "h", "boot_id": "b", "started_at": "2026"})
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert Names(journal).look() == place
    connection.close()


def test_a_link_that_leads_elsewhere_is_noticed(journal: Path) -> None:
    """The journal is what its name leads to, whatever the file is called."""
    ensure_current(journal)
    link = journal.with_name("link.db")
    link.symlink_to(journal)
    before = Names(link)
    opened = before.look()
    assert opened == Names(journal).look()
    other = journal.with_name("other.db")
    other.touch()
    link.unlink()
    link.symlink_to(other)
    assert change_between(opened, before.look()) is Displacement.JOURNAL


def test_what_the_log_holds_alone(journal: Path) -> None:
    """Frames count until they are in the file, though the log is deleted; a file that nobody has open tells nothing."""
    ensure_current(journal)
    connection = connect(journal, Access.WRITE)
    place = Names(journal).look()
    assert frames_left(place) == 0
    insert(connection, "owners", {"id": "o", "pid": 1, "host": "h", "boot_id": "b", "started_at": "2026"})
    left = frames_left(place)
    assert left is not None
    assert left > 0
    journal.with_name(f"{journal.name}-shm").unlink()
    assert frames_left(place) == left
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    assert frames_left(place) == 0
    counter = change_counter(place)
    assert counter is not None
    assert counter > 0
    connection.close()
    assert (frames_left(place), change_counter(place), descriptors_of(place.file)) == (None, None, [])


def test_a_connection_is_closed_and_leaves_all_as_it_is(journal: Path) -> None:
    """The last connection neither brings its log into the file nor deletes what is at the log's name."""
    ensure_current(journal)
    connection = connect(journal, Access.WRITE)
    place = Names(journal).look()
    insert(connection, "owners", {"id": "o", "pid": 1, "host": "h", "boot_id": "b", "started_at": "2026"})
    log = journal.with_name(f"{journal.name}-wal")
    log.unlink()
    log.write_bytes(b"somebody else's")
    before = snapshot(journal.parent)
    assert close_untouched(connection, place)
    assert snapshot(journal.parent) == before
    assert descriptors_of(place.file) == []
    log.unlink()


def test_a_file_with_two_names_is_refused(journal: Path) -> None:
    """Each name would have a log of its own; the refusal says which is the matter."""
    ensure_current(journal)
    assert_one_name(journal)
    journal.with_name("other.db").hardlink_to(journal)
    with pytest.raises(JournalError, match="2 names"):
        ensure_current(journal)
    with pytest.raises(JournalError, match="2 names"):
        ensure_current(journal.with_name("other.db"))


def test_a_file_that_is_a_mount_point_is_refused(journal: Path, tmp_path: Path) -> None:
    """A single file that is mounted has its log outside of the mount; the folder is to be mounted."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    ensure_current(journal)
    mounted = tmp_path / "in a container" / "tasks\\1.db"
    mounted.parent.mkdir()
    mounted.touch()
    script = 'mount --bind "$1" "$2" || exit 77; "$3" -c "$4" "$2"'
    tried = attempt("unshare", "--mount", "sh", "-c", script, "sh", journal, mounted, sys.executable, START)
    if "JournalError" not in tried.stderr:
        pytest.skip(f"nothing can be mounted here: {tried.stderr}")
    assert "mount the folder" in tried.stderr
