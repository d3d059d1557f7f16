"""Goal 6: the event loop while a burst runs and while clean-up deletes, and a submission during clean-up."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from statistics import median
from time import perf_counter
from typing import NamedTuple

from ailf.async_tasks import TaskManager
from benchmarks import growth, ours
from benchmarks.values import Goal, Measured, Sense, Setting, milliseconds, percentile

TICK_SECONDS = 0.001
WAIT_GOAL = 5.0
SHRINK_GOAL = 0.5
KEPT = timedelta(hours=1)

PATIENCE_SECONDS = 300.0
"""After how long a clean-up that leaves something is taken as it is; the size of the file shows it."""

SUBMITS_BETWEEN_LOOKS = 20
"""How many tasks are submitted before the next look at how far the clean-up is."""


class Delays(NamedTuple):
    """By how much a ticker's turns came late, in seconds."""

    median: float
    tail: float
    worst: float


class CleanUp(NamedTuple):
    """One clean-up of a whole journal."""

    usual_tail: float
    """The 99th percentile of a submission's wait on the same journal before."""
    tail: float
    """The same during the clean-up."""
    submitted: int
    seconds: float
    delays: Delays
    shrunk_to: float
    """The size of the file afterwards, as a part of that before."""


def loop(setting: Setting) -> Measured:
    """A ticker on the loop of a burst and of a clean-up; what a submission waits meanwhile; the file afterwards."""
    rounds = range(setting.sizes.rounds)
    number = min(setting.sizes.cleanup, setting.sizes.journals[-1])
    quiet = [asyncio.run(_quiet()) for _ in rounds]
    bursts = [asyncio.run(_burst(setting)) for _ in rounds]
    clean_ups = [asyncio.run(_clean_up(setting, number)) for _ in rounds]
    waits = Goal(
        "loop",
        "99th percentile of submit's wait during clean-up, of that before",
        median(one.tail / one.usual_tail for one in clean_ups),
        Sense.AT_MOST,
        WAIT_GOAL,
        detail=(
            f"{milliseconds(median(one.tail for one in clean_ups))} to "
            f"{milliseconds(median(one.usual_tail for one in clean_ups))}; {number:,} tasks deleted in "
            f"{median(one.seconds for one in clean_ups):.1f} s, {median(one.submitted for one in clean_ups):,.0f} "
            "submitted meanwhile"
        ),
    )
    shrinks = Goal(
        "loop",
        "size of the file after the clean-up, of that before",
        median(one.shrunk_to for one in clean_ups),
        Sense.AT_MOST,
        SHRINK_GOAL,
    )
    return Measured(
        (
            _ticker("idle", quiet),
            _ticker(f"a burst of {setting.sizes.burst:,}", bursts),
            _ticker(f"a clean-up of {number:,}", [one.delays for one in clean_ups]),
            waits,
            shrinks,
        )
    )


def _ticker(during: str, rounds: Sequence[Delays]) -> Goal:
    middle, tail, worst = (median(values) * 1e3 for values in zip(*rounds, strict=True))
    return Goal(
        "loop",
        f"99th percentile of a {TICK_SECONDS * 1e3:g} ms ticker's delay during {during}",
        tail,
        unit="ms",
        detail=f"median {middle:.2f} ms, worst {worst:.1f} ms",
    )


@asynccontextmanager
async def ticking(delays: list[float]) -> AsyncIterator[None]:
    """Take note of how late each turn of a ticker comes."""

    async def tick() -> None:
        while True:
            begin = perf_counter()
            await asyncio.sleep(TICK_SECONDS)
            delays.append(perf_counter() - begin - TICK_SECONDS)

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        # Its last turn may be due: what the block held up counts too.
        await asyncio.sleep(2 * TICK_SECONDS)
        ticker.cancel()
        with suppress(asyncio.CancelledError):
            await ticker


def delays_of(values: Sequence[float]) -> Delays:
    """What the turns of a ticker were late by."""
    return Delays(median(values), percentile(values, 99), max(values))


async def _quiet() -> Delays:
    delays: list[float] = []
    async with ticking(delays):
        await asyncio.sleep(0.3)
    return delays_of(delays)


async def _burst(setting: Setting) -> Delays:
    delays: list[float] = []
    async with ours.manager_on(setting.file("ticked")) as manager, ticking(delays):
        await ours.burst_on(manager, setting.sizes.burst)
    return delays_of(delays)


async def _clean_up(setting: Setting, number: int) -> CleanUp:
    path = growth.copy(setting, number)
    before = path.stat().st_size
    async with ours.manager_on(path) as manager:
        usual = [await _submit(manager) for _ in range(setting.sizes.usual_submits)]
    delays: list[float] = []
    waits: list[float] = []
    begin = perf_counter()
    # A manager cleans up as soon as it has started.
    async with ours.manager_on(path, retention=KEPT) as manager:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
            async with ticking(delays):
                while perf_counter() - begin < PATIENCE_SECONDS and _goes_on(reader, number):
                    waits += [await _submit(manager) for _ in range(SUBMITS_BETWEEN_LOOKS)]
            seconds = perf_counter() - begin
    after = path.stat().st_size
    path.unlink()
    return CleanUp(percentile(usual, 99), percentile(waits, 99), len(waits), seconds, delays_of(delays), after / before)


def _goes_on(reader: sqlite3.Connection, number: int) -> bool:
    """Whether any of the first tasks is left, or free pages of theirs."""
    if reader.execute("SELECT 1 FROM tasks WHERE rowid <= ? LIMIT 1", (number,)).fetchone():
        return True
    [(free,)] = reader.execute("PRAGMA freelist_count").fetchall()
    return bool(free)


async def _submit(manager: TaskManager) -> float:
    begin = perf_counter()
    await manager.submit(ours.noop())
    return perf_counter() - begin
