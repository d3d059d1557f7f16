"""What a measurement gives: frozen values, and the few statistics over rounds."""

import gc
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Sense(StrEnum):
    """On which side of its goal a figure has to be."""

    AT_LEAST = "at least"
    AT_MOST = "at most"


@dataclass(frozen=True, slots=True)
class Goal:
    """One figure beside its goal."""

    name: str
    """Which measurement it belongs to: what ``--only`` takes."""
    what: str
    """What was compared with what."""
    ratio: float
    """The figure: a ratio, unless ``unit`` says otherwise."""
    sense: Sense = Sense.AT_MOST
    goal: float | None = None
    """Its bound; None for a figure that is reported and has none."""
    unit: str = "x"
    detail: str = ""
    """The absolute figures behind it, which are this machine's."""

    @property
    def holds(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.goal is None:
            return None
        return self.ratio >= self.goal if self.sense is Sense.AT_LEAST else self.ratio <= self.goal


@dataclass(frozen=True, slots=True)
class Point:
    """One absolute figure for the charts."""

    chart: str
    series: str
    x: float | str
    y: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All that one measurement gives."""

    goals: tuple[Goal, ...]
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work the measurements do."""

    rounds: int = 5
    burst: int = 5_000
    sequence: int = 2_000
    latency: int = 1_000
    power_latency: int = 200
    progress: int = 100_000
    journals: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    reads: int = 200
    metadata_reads: int = 3
    cleanup: int = 100_000
    usual_submits: int = 2_000
    memory_from: int = 20_000
    memory_to: int = 200_000
    starts: int = 20
    imports: int = 11
    log_calls: int = 50_000
    log_lines: int = 1_000_000
    still_tasks: int = 200_000
    still_values: int = 1_000_000
    still_queued: int = 20_000
    still_watchers: int = 1_000
    still_reads: int = 2_000
    still_events: int = 40_000
    still_functions: int = 64
    still_seconds: float = 3.0


FULL = Sizes()
"""What the goals are about."""

QUICK = Sizes(
    burst=1_000,
    sequence=300,
    latency=200,
    power_latency=50,
    progress=10_000,
    journals=(1_000, 10_000),
    reads=50,
    cleanup=10_000,
    usual_submits=300,
    memory_from=1_000,
    memory_to=4_000,
    starts=5,
    imports=5,
    log_calls=5_000,
    log_lines=20_000,
    still_tasks=10_000,
    still_values=100_000,
    still_queued=2_000,
    still_watchers=100,
    still_reads=200,
    still_events=2_000,
    still_functions=40,
    still_seconds=1.0,
)
"""A first look within a minute; its figures are no evidence."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a measurement is given: how much to do, a folder for its files, and the journals of ``growth``."""

    sizes: Sizes
    folder: Path
    journals: dict[int, Path] = field(default_factory=dict)

    def file(self, name: str) -> Path:
        """A path for a file that is not there yet, in a folder of its own."""
        number = 0
        while (home := self.folder / f"{name}-{number}").exists():
            number += 1
        home.mkdir()
        return home / f"{name}.db"


class Pair(NamedTuple):
    """One figure of ours, and the reference's, taken right after one another."""

    ours: float
    plain: float


def alternate(rounds: int, ours: Callable[[], T], plain: Callable[[], T]) -> list[tuple[T, T]]:
    """Take both measures in each round, ours first in every other one; a list of (ours, plain)."""
    taken = []
    for number in range(rounds):
        gc.collect()
        if number % 2:
            first = plain()
            gc.collect()
            taken.append((ours(), first))
        else:
            first = ours()
            gc.collect()
            taken.append((first, plain()))
    return taken


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of the rounds' ratios: each round compares what was taken under the same load."""
    return statistics.median(ours / plain for ours, plain in pairs)


def medians(pairs: Sequence[tuple[float, float]]) -> Pair:
    """The median of ours, and of the reference."""
    return Pair(statistics.median(ours for ours, _ in pairs), statistics.median(plain for _, plain in pairs))


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def milliseconds(seconds: float) -> str:
    """A time in words."""
    return f"{seconds * 1e3:.3f} ms" if seconds < 0.1 else f"{seconds * 1e3:,.0f} ms"  # noqa: PLR2004 - three digits
