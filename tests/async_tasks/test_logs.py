"""What tasks have logged, as the manager gives it back: at once, awaited, and as it comes."""

import asyncio
import logging
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import LogLine, TaskManager, current_task
from ailf.errors import InvalidArgumentError, InvalidTypeError, NotStartedError, TaskNotFoundError
from tests.conftest import first_round, until

log = logging.getLogger("app")


@pytest.fixture
async def manager(journal: Path) -> AsyncIterator[TaskManager]:
    """A manager that captures."""
    async with TaskManager(journal, capture_logs="DEBUG", log_limit=2_000) as started:
        yield started


async def talk() -> None:
    """A task that logs at three levels."""
    log.debug("fine")
    log.info("so so", extra={"n": 1})
    current_task().log("bad", "ERROR", items=[1, "two"])


async def test_the_lines_of_a_task(manager: TaskManager) -> None:
    """In order, as values, of a level or above, after one, at most so many; and the same awaited."""
    task_id = await manager.submit(talk())
    await manager.result(task_id)
    await manager.result(await manager.submit(talk()))
    lines = manager.get_task_logs(task_id)
    assert [(line.level_name, line.logger, line.message, line.fields) for line in lines] == [
        ("DEBUG", "app", "fine", {}),
        ("INFO", "app", "so so", {"n": 1}),
        ("ERROR", "task", "bad", {"items": [1, "two"]}),
    ]
    assert all(type(line) is LogLine and line.task_id == task_id and line.at.tzinfo for line in lines)
    assert manager.get_task_logs(task_id, level="info") == manager.get_task_logs(task_id, level=20) == lines[1:]
    assert manager.get_task_logs(task_id, after=lines[0].seq, limit=1) == [lines[1]]
    assert manager.get_task_logs(task_id, limit=0) == []
    assert manager.get_task_logs("nobody") == []
    assert await manager.aget_task_logs(task_id, level="ERROR") == [lines[2]]


@pytest.mark.parametrize(
    "arguments", [{"level": "LOUD"}, {"level": True}, {"after": -1}, {"limit": "all"}, {"limit": -1}], ids=str
)
async def test_bad_questions(manager: TaskManager, arguments: dict[str, Any]) -> None:
    """Each is an error that names the argument, from the twin as well."""
    [name] = arguments
    with pytest.raises((InvalidArgumentError, InvalidTypeError), match=f"{name} is"):
        manager.get_task_logs("t", **arguments)
    with pytest.raises((InvalidArgumentError, InvalidTypeError), match=f"{name} is"):
        await manager.aget_task_logs("t", **arguments)


async def test_what_a_task_logged_is_there_when_it_has_ended(manager: TaskManager) -> None:
    """Whoever waits for the end finds every line, of many tasks at once too."""

    async def work(number: int) -> int:
        for place in range(20):
            log.info("%d: %d", number, place)
            if place == 10:
                await asyncio.sleep(0)
        return number

    async def check(number: int) -> int:
        task_id = await manager.submit(work(number))
        await manager.result(task_id)
        return len(manager.get_task_logs(task_id))

    assert await asyncio.gather(*(check(number) for number in range(100))) == [20] * 100


async def test_lines_go_with_their_task(journal: Path) -> None:
    """The clean-up that deletes a task deletes what it logged."""
    async with TaskManager(journal, capture_logs="DEBUG", retention=0) as manager:
        await first_round(manager)
        task_id = await manager.submit(talk())
        await manager.result(task_id)
        await manager.cleanup()
        assert manager.get_task_info(task_id) is None
        assert manager.get_task_logs(task_id) == []


async def test_a_log_is_followed_to_the_end_of_its_task(manager: TaskManager) -> None:
    """The lines of the past, then each new one as it comes, with no gap; then the iteration ends."""
    go = asyncio.Event()

    async def work() -> None:
        for number in range(1200):
            log.info("before %d", number)
        await go.wait()
        for number in range(5):
            log.info("after %d", number)
            await asyncio.sleep(0.01)

    task_id = await manager.submit(work())
    seen = []
    async for line in manager.watch_logs(task_id):
        seen.append(line.message)
        if len(seen) == 1200:
            go.set()
    assert seen == [f"before {number}" for number in range(1200)] + [f"after {number}" for number in range(5)]
    later = [line.message async for line in manager.watch_logs(task_id, level="INFO")]
    assert later == seen


async def test_following_from_another_process(manager: TaskManager, journal: Path) -> None:
    """A log of a task that another process runs is read as it grows."""
    program = (
        "import asyncio, sys\n"
        "from ailf.async_tasks import TaskManager, current_task\n"
        "async def work():\n"
        "    for number in range(3):\n"
        "        current_task().log(f'far {number}')\n"
        "        await asyncio.sleep(0.1)\n"
        "async def main():\n"
        "    async with TaskManager(sys.argv[1]) as manager:\n"
        "        await manager.result(await manager.submit(work(), task_id='far'))\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(journal))
    await until(lambda: manager.get_task_info("far"))
    assert [line.message async for line in manager.watch_logs("far")] == ["far 0", "far 1", "far 2"]
    assert await process.wait() == 0


async def test_following_nothing(manager: TaskManager) -> None:
    """An unknown task, a level that does not exist."""
    with pytest.raises(TaskNotFoundError):
        await anext(manager.watch_logs("nobody"))
    with pytest.raises(InvalidArgumentError):
        await anext(manager.watch_logs("nobody", level="LOUD"))


async def test_a_manager_that_is_stopped_gives_no_logs(journal: Path) -> None:
    """And a follower's iteration ends with the manager."""
    manager = TaskManager(journal, capture_logs="INFO")
    await manager.start()
    task_id = await manager.submit(asyncio.Event().wait())
    follower = asyncio.ensure_future(_all(manager, task_id))
    await asyncio.sleep(0)
    await manager.stop()
    assert await follower == []
    with pytest.raises(NotStartedError):
        manager.get_task_logs(task_id)


async def _all(manager: TaskManager, task_id: str) -> list[str]:
    return [line.message async for line in manager.watch_logs(task_id)]


async def test_lines_outlast_a_journal_that_takes_no_writes(manager: TaskManager, journal: Path) -> None:
    """Somebody else's lock keeps nobody who logs; afterwards all is there."""
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()
        for number in range(500):
            log.info("%d", number)

    task_id = await manager.submit(work())
    holder = sqlite3.connect(journal, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    go.set()
    await until(lambda: manager.health().unwritten >= 500)
    holder.close()
    await manager.result(task_id)
    assert [line.message for line in manager.get_task_logs(task_id)] == [str(number) for number in range(500)]


async def test_lines_that_come_while_somebody_else_writes_wait_for_no_other_change(
    manager: TaskManager, journal: Path
) -> None:
    """They are in the journal as soon as it takes writes, though nothing else comes that would wake the writer."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        log.info("before")
        begun.set()
        await go.wait()
        # The first one has the writer wait for the lock; the other comes meanwhile.
        log.info("first")
        await asyncio.sleep(0.4)
        log.info("second")
        await asyncio.Event().wait()

    task_id = await manager.submit(work())
    await begun.wait()
    await until(lambda: len(manager.get_task_logs(task_id)) == 1)
    holder = sqlite3.connect(journal, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    go.set()
    await asyncio.sleep(1)
    holder.close()
    await until(lambda: len(manager.get_task_logs(task_id)) == 3)


async def test_a_signal_handler_that_logs_disturbs_no_report(manager: TaskManager) -> None:
    """Lines and reports, from the task and from in between, a thousand times a second."""

    async def work() -> None:
        task = current_task()

        def tick(*_: object) -> None:
            log.info("tick")
            task.update_progress(50, "tick")
            signal.setitimer(signal.ITIMER_REAL, 0.001)

        before = signal.signal(signal.SIGALRM, tick)
        tick()
        for number in range(20_000):
            task.update_progress(number % 100)
            if not number % 100:
                await asyncio.sleep(0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

    await manager.result(await manager.submit(work()), timeout=60)


async def test_a_bare_select_reads_well(manager: TaskManager, journal: Path) -> None:
    """``task_log`` has local times, the task's name, the level, the logger, and a line of text."""
    task_id = await manager.submit(talk(), name="talker")
    await manager.result(task_id)
    with sqlite3.connect(journal) as connection:
        rows = connection.execute("SELECT name, level, logger, message FROM task_log").fetchall()
    connection.close()
    assert rows == [
        ("talker", "DEBUG", "app", "fine"),
        ("talker", "INFO", "app", "so so"),
        ("talker", "ERROR", "task", "bad"),
    ]
