"""Awaitable reads: a few connections that are kept, each with a thread of its own."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, session
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.form import task_info
from ailf.async_tasks.journal.form.engine import json_is_innocuous
from ailf.async_tasks.journal.reading.areader import MOST_CONNECTIONS, AsyncReader
from ailf.async_tasks.journal.reading.driver import Driver
from ailf.async_tasks.journal.reading.filters import Query, Row
from ailf.async_tasks.model import TaskInfo
from ailf.errors import JournalError
from tests.async_tasks.journal.form.test_engine import COMMON
from tests.conftest import PATIENCE_SECONDS, until

SCAN = Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) SELECT max(i) FROM n", ())


@pytest.fixture
async def areader(journal: Path) -> AsyncIterator[AsyncReader]:
    """A reader of a journal that nobody else uses."""
    ensure_current(journal)
    areader = AsyncReader(journal)
    yield areader
    await areader.close()


async def test_its_connections_have_the_pragmas_of_reading_ones(areader: AsyncReader) -> None:
    """They trust no schema, unless JSON needs it, and cannot write."""
    wanted = COMMON | {"trusted_schema": int(not json_is_innocuous()), "query_only": 1}
    found = {name: (await areader.rows(Query(f"PRAGMA {name}", ())))[0][0] for name in wanted}
    assert found == wanted
    with pytest.raises(JournalError, match="readonly"):
        await areader.rows(Query("DELETE FROM owners", ()))


async def test_any_number_of_reads_at_once_takes_a_few_connections(areader: AsyncReader) -> None:
    """Two thousand reads all succeed, one after the other on a handful of connections and threads."""
    before = threading.active_count()
    most = 0

    def made(row: Row) -> int:
        nonlocal most
        most = max(most, threading.active_count() - before)
        return int(row[0])

    numbers = await asyncio.gather(*(areader.values(Query("SELECT ?", (i,)), made) for i in range(2_000)))
    assert numbers == [[i] for i in range(2_000)]
    assert 0 < most <= MOST_CONNECTIONS
    assert len(areader._idle) <= MOST_CONNECTIONS


async def test_connections_are_kept(areader: AsyncReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads one after the other share one connection."""
    opened: list[None] = []

    async def counted(open_: Callable[[], Awaitable[Driver]] = areader._opened) -> Driver:
        opened.append(None)
        return await open_()

    monkeypatch.setattr(areader, "_opened", counted)
    for _ in range(20):
        await areader.rows(Query("SELECT 1", ()))
    assert len(opened) == 1


async def test_a_failed_read_gives_its_connection_back(areader: AsyncReader) -> None:
    """More failures than there are connections leave all of them to the reads that follow."""
    for _ in range(2 * MOST_CONNECTIONS):
        with pytest.raises(JournalError):
            await areader.rows(Query("SELECT * FROM nothing", ()))
    assert await areader.rows(Query("SELECT 1", ())) == [(1,)]


@pytest.mark.parametrize("turns", [1, 3, None])
async def test_a_read_that_nobody_waits_for_ends(areader: AsyncReader, turns: int | None) -> None:
    """Whoever is cancelled leaves no read behind that a stop would wait for, begun or not; others are served."""
    endless = Query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", ())
    threads = threading.active_count()
    reads = [asyncio.ensure_future(areader.rows(endless)) for _ in range(3 * MOST_CONNECTIONS)]
    if turns is None:
        await until(lambda: threading.active_count() >= threads + MOST_CONNECTIONS)
    for _ in range(turns or 0):
        await asyncio.sleep(0)
    for read in reads:
        read.cancel()
    assert await asyncio.wait_for(areader.rows(Query("SELECT 1", ())), PATIENCE_SECONDS) == [(1,)]
    await asyncio.wait_for(areader.close(), PATIENCE_SECONDS)
    assert all(read.cancelled() for read in reads)
    await until(lambda: threading.active_count() == threads)


@pytest.mark.parametrize("turns", range(0, 12, 2))
def test_a_loop_that_is_closed_in_the_middle_of_a_read_leaves_no_error_behind(journal: Path, turns: int) -> None:
    """Whatever the connections' threads do at that moment, opening or reading, they end in silence."""
    ensure_current(journal)
    threads = threading.active_count()
    loop = asyncio.new_event_loop()
    areader = AsyncReader(journal)
    reads = [loop.create_task(areader.rows(SCAN)) for _ in range(MOST_CONNECTIONS)]

    async def some_turns() -> None:
        for _ in range(turns):
            await asyncio.sleep(0.001)

    loop.run_until_complete(some_turns())
    for read in reads:
        read.cancel()
    loop.run_until_complete(asyncio.gather(*reads, return_exceptions=True))
    areader.close_idle()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    # Polled without a loop, which is closed.
    until = time.monotonic() + PATIENCE_SECONDS
    while threading.active_count() > threads and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == threads


async def test_a_reader_lets_go_of_its_connections_and_reads_again(areader: AsyncReader) -> None:
    """As it must where the journal is opened anew, from another thread; meanwhile a read waits."""
    await asyncio.gather(*(areader.rows(SCAN) for _ in range(MOST_CONNECTIONS)))
    assert await asyncio.to_thread(areader.leave)
    assert not areader._idle
    await until(lambda: not [one for one in threading.enumerate() if "_connection_worker_thread" in one.name])
    read = asyncio.create_task(areader.rows(Query("SELECT 1", ())))
    await asyncio.sleep(0)
    assert not read.done()
    areader.come_back()
    assert await asyncio.wait_for(read, PATIENCE_SECONDS) == [(1,)]


async def test_a_read_after_the_end_keeps_nothing(areader: AsyncReader) -> None:
    """Who still follows a journal whose manager has stopped leaves no connection behind."""
    await areader.close()
    assert await areader.rows(Query("SELECT 1", ())) == [(1,)]
    assert not areader._idle


async def test_a_text_that_is_none_hides_no_other(areader: AsyncReader) -> None:
    """And the next read of the same connection has texts as they are."""
    broken = Query("SELECT 'well' UNION ALL SELECT CAST(X'6180' AS TEXT)", ())
    assert await areader.rows(broken) == [("well",), ("a\\x80",)]
    assert await areader.rows(Query("SELECT 'ä'", ())) == [("ä",)]


async def test_each_read_sees_what_was_acknowledged_before_it(manager: TaskManager) -> None:
    """A kept connection holds on to no earlier moment, of this process's writes or of others'."""
    assert manager.journal is not None
    other = sqlite3.connect(manager.journal, isolation_level=None)
    for _ in range(40):
        task_id = await manager.submit(asyncio.sleep(0))
        infos = await asyncio.gather(*(manager.aget_task_info(task_id) for _ in range(MOST_CONNECTIONS + 1)))
        assert None not in infos
        assert await manager.acount_tasks() == 1
        await manager.result(task_id)
        other.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
        assert await manager.aget_task_info(task_id) is None
    other.close()


async def test_rows_become_values_in_the_threads_of_the_reads(
    manager: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop makes no value of an awaitable read: decoding, progress and results laid over included."""
    made: list[threading.Thread] = []

    def counted(*arguments: Any, made_of: Callable[..., TaskInfo] = task_info) -> TaskInfo:
        made.append(threading.current_thread())
        return made_of(*arguments)

    monkeypatch.setattr(session, "task_info", counted)
    ids = await asyncio.gather(*(manager.submit(asyncio.sleep(0, {"of": (i,)})) for i in range(100)))
    await asyncio.gather(*map(manager.result, ids))
    made.clear()
    infos = await manager.alist_tasks()
    assert [info.result for info in infos] == [{"of": (i,)} for i in range(100)]
    assert (await manager.aget_task_info(ids[0])) == infos[0]
    assert len(made) == 101
    assert threading.current_thread() not in made


async def test_a_journal_that_was_replaced_is_noticed(journal: Path, tmp_path: Path) -> None:
    """Kept connections read nothing of a file that is not the journal any more, and the journal again once it is."""
    async with TaskManager(journal) as manager:
        task_id = await manager.submit(asyncio.sleep(0))
        assert await manager.aget_task_info(task_id)
        journal.rename(tmp_path / "aside.db")
        with pytest.raises(JournalError, match="renamed"):
            await manager.aget_task_info(task_id)
        (tmp_path / "aside.db").rename(journal)
        assert await manager.aget_task_info(task_id)


FORGETFUL = """
import asyncio, sys
from ailf.async_tasks import TaskManager
async def main():
    manager = TaskManager(sys.argv[1])
    await manager.start()
    task_id = await manager.submit(asyncio.sleep(0))
    await asyncio.gather(*(manager.aget_task_info(task_id) for _ in range(20)))
    reading = asyncio.create_task(manager.alist_tasks())
    await asyncio.sleep(0)
asyncio.run(main())
print("over")
"""


def test_a_program_that_forgets_to_stop_ends(journal: Path) -> None:
    """Its kept connections hold up no exit, and nobody complains of them."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", FORGETFUL, str(journal)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "over\n", "")
