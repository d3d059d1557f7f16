"""What a task logs: the cost of a call beside ``logging.FileHandler``, and a million lines beside plain ``sqlite3``."""

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

from ailf.async_tasks import TaskManager
from benchmarks import ours, plain
from benchmarks.child_memory import resident_megabytes
from benchmarks.loop import Delays, delays_of, ticking
from benchmarks.values import Goal, Measured, Sense, Setting, alternate, median_ratio, medians

CALL_GOAL = 1.5
CALLS_A_TURN = 100
LINES_A_TASK = 1_000
TASKS_AT_A_TIME = 10

log = logging.getLogger("benchmarks.logged")


class Lines(NamedTuple):
    """Many lines, from the first call until the last is committed."""

    seconds: float
    delays: Delays
    grown: float
    """How many megabytes the process grew meanwhile, at most."""


def logs(setting: Setting) -> Measured:
    """A call, and a million lines with a ticker on the loop."""
    sizes = setting.sizes
    calls = alternate(
        sizes.rounds,
        lambda: asyncio.run(_captured(setting.file("log-calls"), sizes.log_calls)),
        lambda: asyncio.run(_to_a_file(setting.file("log-file"), sizes.log_calls)),
    )
    mine, theirs = medians(calls)
    call = Goal(
        "logs",
        "a log call in a task beside logging.FileHandler",
        median_ratio(calls),
        Sense.AT_MOST,
        CALL_GOAL,
        detail=f"{mine * 1e6:.1f} to {theirs * 1e6:.1f} µs; {sizes.log_calls:,} calls a round",
    )
    rounds = [
        (
            asyncio.run(_lines(setting.file("lines"), sizes.log_lines)),
            plain.logs(setting.file("plain-lines"), sizes.log_lines),
        )
        for _ in range(min(3, sizes.rounds))
    ]
    rates = [(sizes.log_lines / one.seconds, sizes.log_lines / other) for one, other in rounds]
    mine, theirs = medians(rates)
    rows = Goal(
        "logs",
        f"lines/s, {sizes.log_lines:,} from the call to the commit, of plain sqlite3 executemany",
        median_ratio(rates),
        Sense.AT_LEAST,
        detail=f"{mine:,.0f} of {theirs:,.0f} rows/s, there {plain.ROWS_A_TRANSACTION:,} a transaction; NORMAL",
    )
    delays = [one.delays for one, _ in rounds]
    ticker = Goal(
        "logs",
        f"99th percentile of a ticker's delay during {sizes.log_lines:,} lines",
        median(one.tail for one in delays) * 1e3,
        unit="ms",
        detail=f"median {median(one.median for one in delays) * 1e3:.2f} ms, "
        f"worst {median(one.worst for one in delays) * 1e3:.1f} ms",
    )
    memory = Goal("logs", f"growth of the process during {sizes.log_lines:,} lines", rounds[0][0].grown, unit="MB")
    return Measured((call, rows, ticker, memory))


@contextmanager
def _heard() -> Iterator[logging.Logger]:
    """A logger of which every record goes to the root's handlers, and to nobody else's."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    log.setLevel(logging.INFO)
    try:
        yield root
    finally:
        root.handlers = handlers


async def _calls(number: int) -> float:
    """The seconds of one call, of so many, a turn of the loop between some and some."""
    spent = 0.0
    for first in range(0, number, CALLS_A_TURN):
        begin = perf_counter()
        for place in range(first, min(first + CALLS_A_TURN, number)):
            log.info("step %d of %d", place, number)
        spent += perf_counter() - begin
        await asyncio.sleep(0)
    return spent / number


async def _captured(path: Path, number: int) -> float:
    with _heard():
        async with TaskManager(path, capture_logs="INFO", log_limit=max(2, number)) as manager:
            taken = float(await manager.result(await manager.submit(_calls(number))))
    _assert_all(path, number)
    return taken


async def _to_a_file(path: Path, number: int) -> float:
    handler = logging.FileHandler(path.with_suffix(".log"))
    with closing(handler), _heard() as root:
        root.addHandler(handler)
        return await _calls(number)


async def _talk(number: int) -> None:
    for place in range(number):
        log.info("step %d of %d", place, number)
        if not place % ours.CALLS_BETWEEN_YIELDS:
            await asyncio.sleep(0)


async def _lines(path: Path, number: int) -> Lines:
    """So many lines, of tasks that log as many as are kept of each."""
    delays: list[float] = []
    before = grown = resident_megabytes()
    with _heard():
        async with TaskManager(
            path, capture_logs="INFO", log_limit=LINES_A_TASK, max_concurrency=TASKS_AT_A_TIME, retention=None
        ) as manager:
            begin = perf_counter()
            async with ticking(delays):
                ids = [
                    await manager.submit(_talk(min(LINES_A_TASK, number - first)))
                    for first in range(0, number, LINES_A_TASK)
                ]
                for task_id in ids:
                    await manager.result(task_id)
                    grown = max(grown, resident_megabytes())
            seconds = perf_counter() - begin
    _assert_all(path, number)
    return Lines(seconds, delays_of(delays), grown - before)


def _assert_all(path: Path, number: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        [(rows,)] = connection.execute("SELECT count(*) FROM task_logs WHERE logger = ?", (log.name,)).fetchall()
    if rows != number:
        raise RuntimeError(f"{rows} of {number} lines are in the journal")
