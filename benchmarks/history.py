"""Goal 5: reads and submissions as the journal grows."""

import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack, closing
from time import perf_counter
from typing import NamedTuple

from ailf.async_tasks import TaskManager, TaskStatus
from benchmarks import growth, ours
from benchmarks.plain import PlainReader
from benchmarks.values import (
    Goal,
    Measured,
    Point,
    Sense,
    Setting,
    Sizes,
    alternate,
    median_ratio,
    medians,
    milliseconds,
)

GROWTH_GOAL = 1.5
READ_GOAL = 3.0
SUBMIT_GOAL = 0.8

NEWEST = 100
STATUS = TaskStatus.FAILED
SUBMIT_WARM_UP = 50
UNINDEXED = "metadata"


class Read(NamedTuple):
    """One kind of read, ours and the reference's, each of a number that says which task or customer."""

    what: str
    ours: Callable[[int], object]
    plain: Callable[[int], object]
    times: int


class Subject(NamedTuple):
    """A journal under test."""

    size: int
    reads: tuple[Read, ...]


def history(setting: Setting) -> Measured:
    """The reads at each size, alternating, then submitting into the largest and into an empty journal."""
    taken = asyncio.run(_read_all(setting))
    goals: list[Goal] = []
    points: list[Point] = []
    sizes = setting.sizes.journals
    for what in dict.fromkeys(kind for kind, _ in taken):
        smallest, largest = taken[what, sizes[0]], taken[what, sizes[-1]]
        pairs = [(big, small) for (big, _), (small, _) in zip(largest, smallest, strict=True)]
        bounded = what != UNINDEXED
        big, small = medians(pairs)
        goals.append(
            Goal(
                "growth",
                f"{what}, in a journal of {sizes[-1]:,} tasks, of itself in one of {sizes[0]:,}",
                median_ratio(pairs),
                Sense.AT_MOST,
                GROWTH_GOAL if bounded else None,
                detail=f"{milliseconds(big)} to {milliseconds(small)}"
                + ("" if bounded else "; no index serves it: the whole history is read"),
            )
        )
        for size in sizes:
            own, other = medians(taken[what, size])
            goals.append(
                Goal(
                    "growth",
                    f"{what}, {size:,} tasks, of plain sqlite3 fetching the same rows",
                    median_ratio(taken[what, size]),
                    Sense.AT_MOST,
                    READ_GOAL if bounded else None,
                    detail=f"{milliseconds(own)} to {milliseconds(other)}",
                )
            )
            points.append(Point("growth", what, size, own * 1e3))
            points.append(Point("growth", f"{what}, plain sqlite3", size, other * 1e3))
    return Measured((*goals, _submit(setting)), tuple(points))


def _submit(setting: Setting) -> Goal:
    number, largest = setting.sizes.sequence, setting.sizes.journals[-1]
    full = growth.journal(setting, largest)
    rates = [
        (number / big, number / empty)
        for big, empty in alternate(
            setting.sizes.rounds,
            lambda: ours.one_after_the_other(full, number, SUBMIT_WARM_UP),
            lambda: ours.one_after_the_other(setting.file("empty"), number, SUBMIT_WARM_UP),
        )
    ]
    big, empty = medians(rates)
    return Goal(
        "growth",
        f"tasks/s into a journal of {largest:,}, of those into an empty one",
        median_ratio(rates),
        Sense.AT_LEAST,
        SUBMIT_GOAL,
        detail=f"{big:,.0f} of {empty:,.0f} tasks/s, one after the other",
    )


async def _read_all(setting: Setting) -> dict[tuple[str, int], list[tuple[float, float]]]:
    """The seconds of each read, ours and the reference's, for each kind and size."""
    sizes = setting.sizes
    paths = {size: growth.journal(setting, size) for size in sizes.journals}
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
    with ExitStack() as stack:
        managers = {size: ours.manager_on(path) for size, path in paths.items()}
        readers = {size: stack.enter_context(closing(PlainReader(path))) for size, path in paths.items()}
        for manager in managers.values():
            await manager.start()
        subjects = [Subject(size, _reads(sizes, managers[size], readers[size], size)) for size in sizes.journals]
        choices = random.Random(5)  # noqa: S311 - which tasks are read has to be the same in each run, not secret
        # Call by call from all journals in turn, ours and the reference's: what is compared is taken within some
        # milliseconds, since a shared machine changes its pace many times a second.
        for kind in range(len(subjects[0].reads)):
            for number in range(sizes.rounds * subjects[0].reads[kind].times):
                for subject in subjects if number % 2 else reversed(subjects):
                    read, which = subject.reads[kind], choices.randrange(subject.size)
                    pair = _time(read.ours, which), _time(read.plain, which)
                    taken.setdefault((read.what, subject.size), []).append(pair)
        for manager in managers.values():
            await manager.stop()
    return taken


def _reads(sizes: Sizes, manager: TaskManager, reader: PlainReader, size: int) -> tuple[Read, ...]:
    return (
        Read(
            f"newest {NEWEST} of a status",
            lambda _: manager.list_tasks(STATUS, newest_first=True, limit=NEWEST),
            lambda _: reader.newest(str(STATUS.value), NEWEST),
            sizes.reads,
        ),
        Read(
            "one task by id",
            lambda number: manager.get_task_info(growth.task_id(number)),
            lambda number: reader.one(growth.task_id(number)),
            sizes.reads,
        ),
        Read(
            "metadata, an indexed key",
            lambda number: manager.list_tasks(metadata={growth.INDEXED_KEY: growth.customer(number, size)}),
            lambda number: reader.by_indexed_metadata(growth.INDEXED_KEY, growth.customer(number, size)),
            sizes.reads,
        ),
        Read(
            UNINDEXED,
            lambda number: manager.list_tasks(metadata={growth.KEY: growth.customer(number, size)}),
            lambda number: reader.by_metadata(growth.KEY, growth.customer(number, size)),
            sizes.metadata_reads,
        ),
    )


def _time(read: Callable[[int], object], number: int) -> float:
    begin = perf_counter()
    found = read(number)
    taken = perf_counter() - begin
    if not found:
        raise RuntimeError(f"nothing was found for task {number}")
    return taken
