"""What the tests of the writer share: a writer at work, and a lock held from outside."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care import owners
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.writing.door import Door
from ailf.async_tasks.journal.writing.writer import Writer
from tests.async_tasks.journal.desk import Desk


@pytest.fixture
async def desk(journal: Path) -> AsyncIterator[Desk]:
    """A writer at work on a journal of its own."""
    ensure_current(journal)
    door = Door(journal)
    me = owners.this_process()
    owners.register(door.connection, me)
    desk: Desk

    def on_commit() -> None:
        desk.commits += 1

    writer = Writer(door, me.id, asyncio.get_running_loop(), on_commit)
    desk = Desk(writer, door, journal)
    writer.start()
    yield desk
    if not desk.is_closed:
        desk.close()
    door.close()


@pytest.fixture
def lock(journal: Path) -> Iterator[Callable[[], sqlite3.Connection]]:
    """Take the journal's write lock from outside; a ROLLBACK frees it."""
    holders: list[sqlite3.Connection] = []

    def take() -> sqlite3.Connection:
        holder = sqlite3.connect(journal, isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        holders.append(holder)
        return holder

    yield take
    for holder in holders:
        holder.close()
