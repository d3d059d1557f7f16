"""How still the rest of the event loop is kept: what other callers feel of large histories, results and crowds."""

import asyncio
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from ailf.async_tasks import TaskManager, current_task
from benchmarks import growth, ours
from benchmarks.loop import ticking
from benchmarks.values import Goal, Measured, Sense, Setting, milliseconds, percentile

HOLD_GOAL_MILLISECONDS = 10.0
BESIDE_GOAL = 1.5
WAITS_GOAL = 0.05
CLEAN_UP_GOAL = 5.0
WAIT_TASK = "wait"

BUSY = f"""
import asyncio, sys
from ailf.async_tasks import TaskManager
async def main():
    async with TaskManager(sys.argv[1], retention=None) as manager:
        gate = asyncio.Event()
        for _ in range(int(sys.argv[2])):
            await manager.submit(gate.wait(), name="{WAIT_TASK}")
        print("ready", flush=True)
        while True:
            await manager.result(await manager.submit(asyncio.sleep(0)))
            await asyncio.sleep(0.02)
asyncio.run(main())
"""
"""Another process, with so many tasks that do not end, which ends some fifty others a second."""


def still(setting: Setting) -> Measured:
    """Each line on its own, beside plain asyncio or plain ``sqlite3`` where there is something like it."""
    lines = (_burst, _history, _results, _cancellations, _watchers, _waits, _reads, _rows_of_clean_up, _functions)
    return Measured(tuple(goal for line in lines for goal in line(setting)))


async def _worst(work: Callable[[], Awaitable[Any]]) -> float:
    """By how much a ticker's turns were late at worst, in milliseconds, while something was begun and awaited."""
    delays: list[float] = []
    async with ticking(delays):
        kept = await work()
    # To let go of a large value takes its time too, which is whoever's who has it.
    del kept
    return max(delays) * 1e3


def _burst(setting: Setting) -> list[Goal]:
    number = setting.sizes.burst

    async def plain() -> None:
        await asyncio.gather(*(asyncio.create_task(ours.noop()) for _ in range(number)))

    async def both() -> tuple[float, float]:
        async with ours.manager_on(setting.file("still-burst")) as manager:
            return await _worst(lambda: ours.burst_on(manager, number)), await _worst(plain)

    pairs = [asyncio.run(both()) for _ in range(setting.sizes.rounds)]
    return [
        Goal(
            "still",
            f"a ticker's worst delay, {number:,} tasks gathered, of plain asyncio tasks gathered",
            median(mine / theirs for mine, theirs in pairs),
            Sense.AT_MOST,
            BESIDE_GOAL,
            detail="; ".join(f"{mine:.0f} to {theirs:.0f} ms" for mine, theirs in pairs),
        )
    ]


def _history(setting: Setting) -> list[Goal]:
    number = setting.sizes.still_tasks
    path = growth.journal(setting, number)

    def fetch() -> list[Any]:
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute("SELECT * FROM tasks ORDER BY rowid").fetchall()

    async def both() -> tuple[float, float]:
        async with ours.manager_on(path) as manager:
            return await _worst(manager.alist_tasks), await _worst(lambda: asyncio.to_thread(fetch))

    pairs = [asyncio.run(both()) for _ in range(setting.sizes.rounds)]
    mine = median(mine for mine, _ in pairs)
    detail = f"plain sqlite3 in a thread, its rows as they are: {median(theirs for _, theirs in pairs):.1f} ms"
    return [_hold(f"alist_tasks of {number:,} tasks", mine, detail)]


def _hold(what: str, worst: float, detail: str) -> Goal:
    return Goal(
        "still", f"a ticker's worst delay, {what}", worst, Sense.AT_MOST, HOLD_GOAL_MILLISECONDS, "ms", detail=detail
    )


def _results(setting: Setting) -> list[Goal]:
    number = setting.sizes.still_values
    values: tuple[tuple[str, Any], ...] = (
        (f"a result of {number:,} numbers", list(range(number))),
        (f"a result of {number // 10:,} objects", [{"i": i, "n": str(i)} for i in range(number // 10)]),
    )

    async def both(value: Any) -> tuple[float, float]:
        async def work() -> Any:
            return value

        async def plain() -> None:
            json.dumps(value)

        async with ours.manager_on(setting.file("still-result")) as manager:
            return await _worst(lambda: _result(manager, work())), await _worst(plain)

    goals = []
    for what, value in values:
        pairs = [asyncio.run(both(value)) for _ in range(setting.sizes.rounds)]
        detail = f"json.dumps on the loop: {median(theirs for _, theirs in pairs):.0f} ms"
        goals.append(_hold(what, median(mine for mine, _ in pairs), detail))
    return goals


async def _result(manager: TaskManager, work: Coroutine[Any, Any, Any]) -> Any:
    return await manager.result(await manager.submit(work))


def _cancellations(setting: Setting) -> list[Goal]:
    number = setting.sizes.still_queued

    async def worst(*, newest_first: bool) -> float:
        async with TaskManager(setting.file("still-queue"), max_concurrency=1, retention=None) as manager:
            await manager.submit(asyncio.Event().wait())
            ids = await asyncio.gather(*(manager.submit(ours.noop()) for _ in range(number)))
            order = list(reversed(ids)) if newest_first else ids
            return await _worst(lambda: asyncio.gather(*map(manager.cancel_task, order)))

    pairs = [
        (asyncio.run(worst(newest_first=True)), asyncio.run(worst(newest_first=False)))
        for _ in range(setting.sizes.rounds)
    ]
    return [
        Goal(
            "still",
            f"a ticker's worst delay, {number:,} queued tasks cancelled newest first, of oldest first",
            median(newest / oldest for newest, oldest in pairs),
            Sense.AT_MOST,
            BESIDE_GOAL,
            detail="; ".join(f"{newest:.0f} to {oldest:.0f} ms" for newest, oldest in pairs),
        )
    ]


async def _hundred(manager: TaskManager) -> float:
    begin = perf_counter()
    for _ in range(100):
        await manager.result(await manager.submit(ours.noop()))
    return perf_counter() - begin


def _watchers(setting: Setting) -> list[Goal]:
    number = setting.sizes.still_watchers

    async def beside() -> tuple[float, float]:
        async with ours.manager_on(setting.file("still-watch")) as manager:
            watched = await manager.submit(asyncio.Event().wait())
            seen = 0

            async def watch() -> None:
                nonlocal seen
                async for _ in manager.watch(watched):
                    seen += 1

            before = await _hundred(manager)
            watchers = [asyncio.create_task(watch()) for _ in range(number)]
            while seen < 2 * number:  # noqa: ASYNC110 - the watchers count
                await asyncio.sleep(0.01)
            taken = await _hundred(manager)
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
            return taken, before

    pairs = [asyncio.run(beside()) for _ in range(2 * setting.sizes.rounds)]
    return [
        Goal(
            "still",
            f"seconds of 100 tasks beside {number:,} watchers of another task, of beside none",
            median(taken / before for taken, before in pairs),
            Sense.AT_MOST,
            BESIDE_GOAL,
            detail=f"{milliseconds(median(t for t, _ in pairs))} to {milliseconds(median(b for _, b in pairs))}",
        )
    ]


@asynccontextmanager
async def _busy(path: Path, tasks: int) -> AsyncIterator[None]:
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - nothing else happens meanwhile; a program of ours
        [sys.executable, "-c", BUSY, str(path), str(tasks)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None  # noqa: S101 - said above
    try:
        process.stdout.readline()
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _waits(setting: Setting) -> list[Goal]:
    number, seconds = setting.sizes.still_watchers, setting.sizes.still_seconds

    async def used() -> float:
        path = setting.file("still-waits")
        async with _busy(path, number), ours.manager_on(path) as manager:
            waiting = [info.id for info in manager.list_tasks(name=WAIT_TASK)]
            waits = [asyncio.create_task(manager.wait_for_task(task_id)) for task_id in waiting]
            # Until each of them has found its task unfinished.
            await asyncio.sleep(seconds / 2)
            begin, processor = perf_counter(), time.process_time()
            await asyncio.sleep(seconds)
            share = (time.process_time() - processor) / (perf_counter() - begin)
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            return share

    share = median(asyncio.run(used()) for _ in range(setting.sizes.rounds))
    what = f"part of a core, {number:,} waits for tasks of another process that is busy with others"
    return [Goal("still", what, share, Sense.AT_MOST, WAITS_GOAL, unit="")]


def _reads(setting: Setting) -> list[Goal]:
    number = setting.sizes.still_reads

    async def rate() -> tuple[float, float, int]:
        path = setting.file("still-reads")
        async with ours.manager_on(path) as manager:
            task_id = await manager.submit(ours.noop())
            await manager.result(task_id)
            before = threading.active_count()
            begin = perf_counter()
            reads = [asyncio.create_task(manager.aget_task_info(task_id)) for _ in range(number)]
            await asyncio.sleep(0.01)
            threads = threading.active_count() - before
            await asyncio.gather(*reads)
            taken = perf_counter() - begin
            with closing(sqlite3.connect(path)) as connection:
                begin = perf_counter()
                for _ in range(number):
                    connection.execute("SELECT * FROM tasks WHERE id = ?", (task_id,)).fetchall()
                return taken, perf_counter() - begin, threads

    taken = [asyncio.run(rate()) for _ in range(setting.sizes.rounds)]
    return [
        Goal(
            "still",
            f"seconds of {number:,} awaitable reads at once, of plain sqlite3 one after the other",
            median(mine / theirs for mine, theirs, _ in taken),
            detail=f"{max(threads for _, _, threads in taken)} threads; {milliseconds(median(m for m, _, _ in taken))}",
        )
    ]


def _rows_of_clean_up(setting: Setting) -> list[Goal]:
    events = setting.sizes.still_events

    async def report() -> None:
        for number in range(events):
            current_task().update_progress(number % 101)

    async def tails() -> tuple[float, float]:
        async with TaskManager(setting.file("still-rows"), retention=0, cleanup_interval=3600) as manager:
            await manager.cleanup()
            ids = [await manager.submit(report()) for _ in range(15)]
            for task_id in ids:
                await manager.result(task_id)
            usual = [await _submit(manager.submit) for _ in range(setting.sizes.usual_submits)]
            cleaning = asyncio.create_task(manager.cleanup())
            meanwhile = []
            while not cleaning.done():
                meanwhile.append(await _submit(manager.submit))
            return percentile(meanwhile, 99), percentile(usual, 99)

    pairs = [asyncio.run(tails()) for _ in range(setting.sizes.rounds)]
    return [
        Goal(
            "still",
            f"99th percentile of submit's wait while 15 tasks with {events:,} events each are deleted, of that before",
            median(mine / usual for mine, usual in pairs),
            Sense.AT_MOST,
            CLEAN_UP_GOAL,
            detail=f"{milliseconds(median(m for m, _ in pairs))} to {milliseconds(median(u for _, u in pairs))}",
        )
    ]


async def _submit(submit: Callable[[Any], Awaitable[str]]) -> float:
    begin = perf_counter()
    await submit(ours.noop())
    return perf_counter() - begin


def _functions(setting: Setting) -> list[Goal]:
    number = setting.sizes.still_functions

    async def beside() -> tuple[float, float]:
        gate = threading.Event()
        try:
            async with ours.manager_on(setting.file("still-functions")) as manager:
                before = await _fifty_functions(manager)
                hung = [await manager.submit(gate.wait, timeout=0.01) for _ in range(number)]
                for task_id in hung:
                    await manager.wait_for_task(task_id)
                return await _fifty_functions(manager), before
        finally:
            gate.set()

    pairs = [asyncio.run(beside()) for _ in range(setting.sizes.rounds)]
    return [
        Goal(
            "still",
            f"seconds of 50 plain functions beside {number} that hang past their time limits, of beside none",
            median(taken / before for taken, before in pairs),
            Sense.AT_MOST,
            BESIDE_GOAL,
            detail=f"{milliseconds(median(t for t, _ in pairs))} to {milliseconds(median(b for _, b in pairs))}",
        )
    ]


async def _fifty_functions(manager: TaskManager) -> float:
    begin = perf_counter()
    for _ in range(50):
        await manager.result(await manager.submit(int))
    return perf_counter() - begin
