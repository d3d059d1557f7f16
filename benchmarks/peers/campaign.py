"""The same work on each library, one at a time, in alternating rounds."""

import argparse
import json
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import report
from benchmarks.peers.catalogue import OURS, PEERS, Peer
from benchmarks.peers.environments import UnavailableError, default_cache, python_for, requirements, script
from benchmarks.values import Goal, Point, Sense, percentile

__all__ = ["default_cache", "run"]

RUN_SECONDS = 300
RIVALS_GOAL = 3.0

Say = Callable[[str], None]


class Size(NamedTuple):
    """How much work each library does."""

    tasks: int
    """How many are submitted one after the other, then all awaited."""
    samples: int
    """How many are submitted and awaited one by one."""
    rounds: int


FULL = Size(1_000, 200, 5)
QUICK = Size(50, 10, 2)


@dataclass(frozen=True, slots=True)
class Run:
    """What one library did in one round."""

    rate: float
    """Tasks a second, submitted one after the other, then all awaited."""
    median: float
    """The median seconds from submitting one task to having its end."""
    tail: float
    """The 99th percentile of the same."""
    history: float | None
    """The median seconds of its query for the newest 100 completed tasks; None where it has none."""
    notes: str
    """What the library said of its settings while running."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The medians of a library's rounds, or why there are none."""

    peer: Peer
    runs: tuple[Run, ...] = ()
    skipped: str = ""

    def median_of(self, figure: Callable[[Run], float | None]) -> float | None:
        """The median over the rounds; None where there is none."""
        values = [value for value in map(figure, self.runs) if value is not None]
        return statistics.median(values) if values else None


def run_once(peer: Peer, python: Path, size: Size) -> Run:
    """Run its script in a process and a folder of its own.

    Raises:
        UnavailableError: the script failed.
    """
    tasks, samples = max(10, int(size.tasks * peer.scale)), max(5, int(size.samples * peer.scale))
    with TemporaryDirectory(prefix=f"peer-{peer.name}-") as folder:
        command = [str(python), str(script(peer)), folder, str(tasks), str(samples), peer.variant]
        try:
            # The scripts are this project's own.
            done = subprocess.run(  # noqa: S603
                command, cwd=folder, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"it was not done after {RUN_SECONDS} seconds") from error
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"seconds"')]
    if not lines:
        last = done.stderr.strip().splitlines() or [f"it ended with {done.returncode} and said nothing"]
        raise UnavailableError(last[-1])
    taken = json.loads(lines[-1])
    latencies = taken["latencies"]
    return Run(
        tasks / taken["seconds"],
        statistics.median(latencies),
        percentile(latencies, 99),
        taken["history"],
        taken["notes"],
    )


def compete(names: Sequence[str], cache: Path, size: Size, say: Say) -> list[Standing]:
    """Run the libraries of these names, in the opposite order in every other round."""
    pythons: dict[str, Path] = {}
    skipped: dict[str, str] = {}
    runs: dict[str, list[Run]] = {}
    chosen = [peer for peer in PEERS if peer.name in names]
    for peer in chosen:
        try:
            pythons[peer.name] = python_for(peer, cache)
        except UnavailableError as reason:
            skipped[peer.name] = str(reason)
            say(f"{peer.name} is skipped: {reason}")
    for number in range(size.rounds):
        for peer in chosen if number % 2 == 0 else reversed(chosen):
            if peer.name in skipped:
                continue
            try:
                one = run_once(peer, pythons[peer.name], size)
            except UnavailableError as reason:
                skipped[peer.name] = str(reason)
                say(f"{peer.name} is skipped: {reason}")
                continue
            runs.setdefault(peer.name, []).append(one)
            say(f"round {number + 1}, {peer.name}: {one.rate:,.0f} tasks/s, {one.median * 1e3:.2f} ms")
    return [Standing(peer, tuple(runs.get(peer.name, ())), skipped.get(peer.name, "")) for peer in chosen]


HEAD = (
    *("library", "tasks/s", "ms median", "ms p99", "newest 100, ms"),
    *("history", "results", "synchronous", "settings"),
)


def row(standing: Standing) -> tuple[str, ...]:
    """One line of the table."""
    peer = standing.peer
    version = pinned(peer)
    name = f"{peer.library} {version}" + (f", {peer.variant}" if peer.variant else "")
    if not standing.runs:
        return (name, *["skipped"] * 4, peer.history, peer.results, peer.synchronous, standing.skipped)
    rate = standing.median_of(lambda run: run.rate) or 0
    history = standing.median_of(lambda run: run.history)
    return (
        name,
        f"{rate:,.0f}",
        f"{(standing.median_of(lambda run: run.median) or 0) * 1e3:.2f}",
        f"{(standing.median_of(lambda run: run.tail) or 0) * 1e3:.2f}",
        "none" if history is None else f"{history * 1e3:.2f}",
        peer.history,
        peer.results,
        standing.runs[-1].notes or peer.synchronous,
        peer.settings,
    )


def pinned(peer: Peer) -> str:
    """The version that is measured."""
    if peer.library == OURS:
        return report.machine()["ailf"]
    first = requirements(peer).read_text(encoding="utf-8").splitlines()[0]
    return first.partition("==")[2]


def goals_of(standings: Sequence[Standing]) -> list[Goal]:
    """How ours stands beside each of the others, and beside the fastest rival."""
    by_name: Mapping[str, Standing] = {one.peer.name: one for one in standings if one.runs}
    if OURS not in by_name:
        return []
    ours = by_name[OURS]
    others = [one for one in by_name.values() if one.peer.library != OURS]
    goals: list[Goal] = []
    for other in others:
        for what, figure, more_is_better in (
            ("tasks/s", lambda run: run.rate, True),
            ("median latency", lambda run: run.median, False),
            ("query of the newest 100", lambda run: run.history, False),
        ):
            ratio = _ratio(ours, other, figure)
            if ratio is not None:
                sense = Sense.AT_LEAST if more_is_better else Sense.AT_MOST
                goals.append(Goal("peers", f"{what}, of {other.peer.name}'s", ratio, sense, 1.0))
    rivals = [one for one in others if one.peer.is_rival]
    ratios = {one.peer.name: _ratio(ours, one, lambda run: run.rate) or 0.0 for one in rivals}
    if ratios:
        fastest = min(ratios, key=lambda name: ratios[name])
        goals.append(
            Goal(
                "peers",
                f"tasks/s, of the fastest rival's ({fastest})",
                ratios[fastest],
                Sense.AT_LEAST,
                RIVALS_GOAL,
            )
        )
    return goals


def _ratio(ours: Standing, other: Standing, figure: Callable[[Run], float | None]) -> float | None:
    """The median of the rounds' ratios; None where one of the two has no such figure."""
    # One that failed has no run in that round nor in any later one.
    pairs = [(figure(mine), figure(theirs)) for mine, theirs in zip(ours.runs, other.runs, strict=False)]
    ratios = [mine / theirs for mine, theirs in pairs if mine is not None and theirs]
    return statistics.median(ratios) if ratios else None


def points_of(standings: Sequence[Standing]) -> list[Point]:
    """The figures for the charts."""
    points = []
    for standing in standings:
        peer = standing.peer
        name = f"{peer.library} {pinned(peer)}" + (f", {peer.variant}" if peer.variant else "")
        for chart, factor, figure in (
            ("throughput", 1.0, lambda run: run.rate),
            ("latency", 1e3, lambda run: run.median),
            ("latency", 1e3, lambda run: run.tail),
            ("history", 1e3, lambda run: run.history),
        ):
            value = standing.median_of(figure)
            if value is not None:
                points.append(Point(chart, peer.name, name, value * factor))
    return points


def run(asked: argparse.Namespace, names: Sequence[str], say: Say) -> int:
    """Run the campaign as asked for on the command line.

    Returns:
        0 where every goal holds, else 1.
    """
    size = QUICK if asked.quick else FULL
    standings = compete(names, asked.cache, size, say)
    goals, points = goals_of(standings), points_of(standings)
    say("\n" + report.table(HEAD, map(row, standings)))
    say(
        f"\n{size.tasks:,} tasks submitted one after the other, then all awaited; {size.samples:,} single tasks for the"
    )
    say(f"latencies; medians of {size.rounds} alternating rounds. Slower libraries do a part of that: rates compare.\n")
    say(report.table(report.HEAD, map(report.row, goals)))
    if asked.json is not None:
        whole = report.as_json(goals, points) | {"peers": [asdict(one) for one in standings]}
        asked.json.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    if asked.charts is not None:
        # Only who asks for charts needs matplotlib.
        from benchmarks import charts  # noqa: PLC0415

        for path in charts.draw(points, asked.charts, "peers-"):
            say(f"wrote {path}")
    return 1 if any(goal.holds is False for goal in goals) else 0
