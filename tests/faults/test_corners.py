"""Corners of asyncio that only open while a commit takes its time, or when a loop ends before its tasks."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ailf.async_tasks import TaskManager
from tests.conftest import PATIENCE_SECONDS, until
from tests.faults.check import assert_sound, ends_in, recover


@contextmanager
def locked(journal: Path) -> Iterator[None]:
    """Hold the journal's lock as a stranger, so that no commit comes to its end."""
    with closing(sqlite3.connect(journal, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        yield
        stranger.execute("ROLLBACK")


async def test_a_cancellation_that_comes_during_the_commit_of_an_end_is_too_late(journal: Path) -> None:
    """A task whose end is on its way to the disk has ended; whoever cancels it hears False, once it is there."""
    gate = asyncio.Event()
    async with TaskManager(journal) as manager:
        task_id = await manager.submit(gate.wait())
        with locked(journal):
            gate.set()
            await until(lambda: manager.health().unwritten)
            cancelling = asyncio.ensure_future(manager.cancel_task(task_id))
            await asyncio.sleep(0)
            assert not cancelling.done()
        assert await cancelling is False
    assert ends_in(journal)[task_id][0] == "completed"


async def test_a_waiter_that_leaves_during_a_commit_takes_nothing_along(journal: Path) -> None:
    """Cancelling who waits for an end that is being committed cancels neither the commit nor the other waiters."""
    gate = asyncio.Event()
    async with TaskManager(journal) as manager:
        task_id = await manager.submit(gate.wait())
        first, second = (asyncio.ensure_future(manager.result(task_id, PATIENCE_SECONDS)) for _ in range(2))
        with locked(journal):
            gate.set()
            await until(lambda: manager.health().unwritten)
            first.cancel()
            await asyncio.wait([first])
            assert not second.done()
        assert await second is True
    assert ends_in(journal)[task_id][0] == "completed"


def test_a_loop_that_ends_before_its_tasks_leaves_a_sound_journal(journal: Path) -> None:
    """Where a program forgets to stop, its loop ends the tasks, and the journal says how; none is left unfinished."""
    kept = []

    async def forget() -> None:
        manager = TaskManager(journal)
        kept.append(manager)
        await manager.start()
        for number in range(3):
            await manager.submit(asyncio.Event().wait, task_id=f"t{number}")

    asyncio.run(forget())

    async def written() -> None:
        await until(lambda: {end[0] for end in ends_in(journal).values()} == {"cancelled"})

    asyncio.run(written())
    recover(journal)
    assert_sound(journal)
    assert set(ends_in(journal)) == {"t0", "t1", "t2"}
