"""What the scripts share: the command line, the clock, and how the figures are said. Nothing but the stdlib."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.001
"""How often a wait looks again, where a library leaves the waiting to its user."""

NEWEST = 100
QUERIES = 20
WARM_UP = 5


def variant() -> str:
    """With which settings, where there are several sets; empty for the usual one."""
    return sys.argv[4] if len(sys.argv) > len(("script", "folder", "tasks", "samples")) else ""


def arguments() -> tuple[Path, int, int]:
    """The folder for files, how many tasks, how many single ones."""
    return Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def say(seconds: float, latencies: list[float], history: float | None, notes: str = "") -> None:
    """Say the figures, as the last line."""
    whole = {"seconds": seconds, "latencies": latencies, "history": history, "notes": notes}
    sys.stdout.write(json.dumps(whole) + "\n")
    sys.stdout.flush()


def measure(
    submit: Callable[[], T], wait: Callable[[T], object], tasks: int, samples: int
) -> tuple[float, list[float]]:
    """Submit all and wait for all; then submit and wait one by one."""
    for _ in range(WARM_UP):
        wait(submit())
    begin = time.perf_counter()
    for one in [submit() for _ in range(tasks)]:
        wait(one)
    seconds = time.perf_counter() - begin
    latencies = []
    for _ in range(samples):
        begin = time.perf_counter()
        wait(submit())
        latencies.append(time.perf_counter() - begin)
    return seconds, latencies


async def ameasure(
    submit: Callable[[], Awaitable[T]], wait: Callable[[T], Awaitable[object]], tasks: int, samples: int
) -> tuple[float, list[float]]:
    """The same for a library whose calls are awaited."""
    for _ in range(WARM_UP):
        await wait(await submit())
    begin = time.perf_counter()
    for one in [await submit() for _ in range(tasks)]:
        await wait(one)
    seconds = time.perf_counter() - begin
    latencies = []
    for _ in range(samples):
        begin = time.perf_counter()
        await wait(await submit())
        latencies.append(time.perf_counter() - begin)
    return seconds, latencies


def poll(has_ended: Callable[[], object]) -> None:
    """Wait until it has."""
    while not has_ended():
        time.sleep(POLL_SECONDS)


async def apoll(has_ended: Callable[[], Awaitable[object]]) -> None:
    """The same without blocking the loop."""
    while not await has_ended():
        await asyncio.sleep(POLL_SECONDS)


def query(newest: Callable[[], list[T]]) -> float:
    """The median seconds of a query for the newest tasks."""
    taken = []
    for _ in range(QUERIES):
        begin = time.perf_counter()
        found = newest()
        taken.append(time.perf_counter() - begin)
        if not found:
            raise RuntimeError("no task was found")
    return statistics.median(taken)


async def aquery(newest: Callable[[], Awaitable[list[T]]]) -> float:
    """The same for a query that is awaited."""
    taken = []
    for _ in range(QUERIES):
        begin = time.perf_counter()
        found = await newest()
        taken.append(time.perf_counter() - begin)
        if not found:
            raise RuntimeError("no task was found")
    return statistics.median(taken)
