"""The pulse: it tells that somebody has written, from a connection that reads nothing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ailf.async_tasks.journal.reading.pulse import Pulse
from ailf.errors import JournalError
from tests.async_tasks.journal.support import PENDING, insert, opened, update


@pytest.fixture
def writer(journal: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection."""
    connection = opened(journal)
    yield connection
    connection.close()


def test_a_commit_is_noticed_once(writer: sqlite3.Connection, journal: Path) -> None:
    """What was there at the beginning is no news; a commit is, until it was asked about."""
    pulse = Pulse(journal)
    seen = [pulse.has_changed()]
    insert(writer, "tasks", PENDING)
    seen += [pulse.has_changed(), pulse.has_changed()]
    update(writer, "t1", {"progress": 5})
    update(writer, "t1", {"progress": 6})
    seen += [pulse.has_changed(), pulse.has_changed()]
    pulse.close()
    assert seen == [False, True, False, True, False]


def test_what_is_not_committed_is_not_noticed(writer: sqlite3.Connection, journal: Path) -> None:
    """A transaction that is open, or was rolled back, is nobody else's business."""
    pulse = Pulse(journal)
    writer.execute("BEGIN IMMEDIATE")
    insert(writer, "tasks", PENDING)
    seen = [pulse.has_changed()]
    writer.execute("ROLLBACK")
    seen.append(pulse.has_changed())
    pulse.close()
    assert seen == [False, False]


def test_it_needs_a_journal(journal: Path) -> None:
    """There is no pulse of a file that is not there, and none is made."""
    with pytest.raises(JournalError, match="cannot be read"):
        Pulse(journal)
    assert not journal.exists()
