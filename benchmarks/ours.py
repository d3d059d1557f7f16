"""The same work through ``TaskManager``, as a program would do it."""

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any, NamedTuple, TypeVar

from ailf.async_tasks import TaskManager, current_task

T = TypeVar("T")

CALLS_BETWEEN_YIELDS = 5
"""How many reports of progress a task makes before the loop has its turn."""


async def noop() -> None:
    """The task that does nothing: what is measured is all the rest."""


def manager_on(path: Path, *, durability: str = "process", retention: timedelta | None = None) -> TaskManager:
    """A manager that keeps everything, unless said otherwise."""
    return TaskManager(path, durability=durability, retention=retention)


LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def run(work: Coroutine[Any, Any, T], loop_factory: LoopFactory | None = None) -> T:
    """Run it on a new event loop: asyncio's own, or another one."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(work)


def burst(path: Path, number: int, loop_factory: LoopFactory | None = None) -> float:
    """Submit so many tasks at once, and wait for all of them; the seconds it took."""

    async def work() -> float:
        async with manager_on(path) as manager:
            begin = perf_counter()
            await burst_on(manager, number)
            return perf_counter() - begin

    return run(work(), loop_factory)


async def burst_on(manager: TaskManager, number: int) -> None:
    """The same on a manager that is started."""
    ids = await asyncio.gather(*(manager.submit(noop()) for _ in range(number)))
    await asyncio.gather(*(manager.result(task_id) for task_id in ids))


def one_after_the_other(path: Path, number: int, warm_up: int = 0, loop_factory: LoopFactory | None = None) -> float:
    """Submit tasks in a loop, and wait for all of them; the seconds it took."""

    async def work() -> float:
        async with manager_on(path) as manager:
            for _ in range(warm_up):
                await manager.result(await manager.submit(noop()))
            begin = perf_counter()
            ids = [await manager.submit(noop()) for _ in range(number)]
            for task_id in ids:
                await manager.result(task_id)
            return perf_counter() - begin

    return run(work(), loop_factory)


def latencies(
    path: Path, number: int, durability: str = "process", loop_factory: LoopFactory | None = None
) -> list[float]:
    """Submit one task and await its result, so many times; the seconds that each took."""

    async def work() -> list[float]:
        taken = []
        async with manager_on(path, durability=durability) as manager:
            for _ in range(number):
                begin = perf_counter()
                await manager.result(await manager.submit(noop()))
                taken.append(perf_counter() - begin)
        return taken

    return run(work(), loop_factory)


class Progress(NamedTuple):
    """What many reports of progress cost."""

    calls: list[int]
    """The nanoseconds of each call."""
    baseline: list[int]
    """Those of a plain method call that stores a tuple."""
    seconds: float
    """From the first report until the last is committed, in a run of its own without a clock around each call."""


class Plain:
    """What a call is compared with."""

    def __init__(self) -> None:
        self.last: tuple[float, str | None] = (0, None)

    def update_progress(self, progress: float, message: str | None = None) -> bool:
        """Store a tuple."""
        self.last = (progress, message)
        return True


def progress(path: Path, number: int) -> Progress:
    """Report progress so many times from within a task."""
    calls: list[int] = []
    baseline: list[int] = []

    async def timed() -> None:
        report = current_task().update_progress
        plain = Plain().update_progress
        for index in range(1, number + 1):
            begin = perf_counter_ns()
            report(index % 101)
            between = perf_counter_ns()
            plain(index % 101)
            baseline.append(perf_counter_ns() - between)
            calls.append(between - begin)
            if not index % CALLS_BETWEEN_YIELDS:
                await asyncio.sleep(0)

    async def untimed() -> None:
        report = current_task().update_progress
        for index in range(1, number + 1):
            report(index % 101)
            if not index % CALLS_BETWEEN_YIELDS:
                await asyncio.sleep(0)

    async def seconds_of(manager: TaskManager, work: Coroutine[Any, Any, None]) -> float:
        begin = perf_counter()
        # The end of a task is committed after all that it reported.
        await manager.result(await manager.submit(work))
        return perf_counter() - begin

    async def both() -> float:
        async with manager_on(path) as manager:
            await seconds_of(manager, timed())
            return await seconds_of(manager, untimed())

    seconds = run(both())
    with closing(sqlite3.connect(path)) as connection:
        [(rows,)] = connection.execute("SELECT count(*) FROM task_events WHERE kind = 'progress'").fetchall()
    if rows != 2 * number:
        raise RuntimeError(f"{rows} of {2 * number} reports are in the journal")
    return Progress(calls, baseline, seconds)
