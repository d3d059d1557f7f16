"""Goals 1 to 4: a burst, one after the other, the latency of one task, reports of progress."""

from collections.abc import Callable
from functools import partial
from statistics import median

from benchmarks import ours, plain
from benchmarks.values import (
    Goal,
    Measured,
    Point,
    Sense,
    Setting,
    alternate,
    median_ratio,
    medians,
    milliseconds,
    percentile,
)

BURST_GOAL = 0.35
SEQUENCE_GOAL = 0.5
LATENCY_GOAL = 4.0
TAIL_GOAL = 3.0
CALL_GOAL_MICROSECONDS = 3.0
PROGRESS_GOAL = 0.5


def burst(setting: Setting) -> Measured:
    """Everything submitted at once, beside plain ``sqlite3`` at 100 tasks a transaction."""
    number = setting.sizes.burst
    rates = [
        (number / mine, number / theirs)
        for mine, theirs in alternate(
            setting.sizes.rounds,
            lambda: ours.burst(setting.file("burst"), number),
            lambda: plain.burst(setting.file("plain-burst"), number),
        )
    ]
    mine, theirs = medians(rates)
    goal = Goal(
        "burst",
        f"tasks/s, {number:,} gathered, of plain sqlite3 at {plain.TASKS_A_TRANSACTION} tasks a transaction",
        median_ratio(rates),
        Sense.AT_LEAST,
        BURST_GOAL,
        detail=f"{mine:,.0f} of {theirs:,.0f} tasks/s; NORMAL",
    )
    points = (
        Point("throughput", "ailf", "ailf: gathered", mine),
        Point("throughput", "plain sqlite3", "sqlite3: 100 a transaction", theirs),
    )
    return Measured((goal,), points)


def sequence(setting: Setting) -> Measured:
    """Submitted in a loop, then all awaited, beside three commits a task."""
    number = setting.sizes.sequence
    rates = [
        (number / mine, number / theirs)
        for mine, theirs in alternate(
            setting.sizes.rounds,
            lambda: ours.one_after_the_other(setting.file("sequence"), number),
            lambda: sum(plain.one_by_one(setting.file("plain-sequence"), number)),
        )
    ]
    mine, theirs = medians(rates)
    goal = Goal(
        "sequence",
        f"tasks/s, {number:,} one after the other, of plain sqlite3 at three commits a task",
        median_ratio(rates),
        Sense.AT_LEAST,
        SEQUENCE_GOAL,
        detail=f"{mine:,.0f} of {theirs:,.0f} tasks/s; NORMAL",
    )
    points = (
        Point("throughput", "ailf", "ailf: one after the other", mine),
        Point("throughput", "plain sqlite3", "sqlite3: three commits a task", theirs),
    )
    return Measured((goal,), points)


def latency(setting: Setting) -> Measured:
    """One task from its submission to its result, beside three committed transactions."""
    sizes = setting.sizes
    goals: list[Goal] = []
    points: list[Point] = []
    for durability, synchronous, number in (
        ("process", "NORMAL", sizes.latency),
        ("power", "FULL", sizes.power_latency),
    ):

        def mine(durability: str = durability, number: int = number) -> list[float]:
            return ours.latencies(setting.file("latency"), number, durability)

        def theirs(synchronous: str = synchronous, number: int = number) -> list[float]:
            return plain.one_by_one(setting.file("plain-latency"), number, synchronous)

        rounds = alternate(sizes.rounds, mine, theirs)
        for what, percent, bound in (("median", 50, LATENCY_GOAL), ("99th percentile", 99, TAIL_GOAL)):
            pairs = [(percentile(own, percent), percentile(other, percent)) for own, other in rounds]
            own, other = medians(pairs)
            goals.append(
                Goal(
                    "latency",
                    f"{what} of submit and result, durability {durability}, of three commits",
                    median_ratio(pairs),
                    Sense.AT_MOST,
                    bound,
                    detail=f"{milliseconds(own)} to {milliseconds(other)}; {number:,} tasks a round; {synchronous}",
                )
            )
            points += (
                Point("latency", f"ailf, {what}", f"ailf, {durability}", own * 1e3),
                Point("latency", f"plain sqlite3, {what}", f"sqlite3, {synchronous}", other * 1e3),
            )
    return Measured(tuple(goals), tuple(points))


def uvloop(setting: Setting) -> Measured:
    """The first three on another event loop, beside the same on asyncio's own: what it is worth to choose it."""
    # Nobody needs it, and it is not for every platform.
    from uvloop import new_event_loop  # noqa: PLC0415

    sizes = setting.sizes
    measures: tuple[tuple[str, Callable[[ours.LoopFactory | None], float]], ...] = (
        (
            f"seconds of {sizes.burst:,} gathered",
            lambda factory: ours.burst(setting.file("uvloop"), sizes.burst, factory),
        ),
        (
            f"seconds of {sizes.sequence:,} one after the other",
            lambda factory: ours.one_after_the_other(setting.file("uvloop"), sizes.sequence, loop_factory=factory),
        ),
        (
            "median of submit and result",
            lambda factory: median(ours.latencies(setting.file("uvloop"), sizes.latency, loop_factory=factory)),
        ),
    )
    goals = []
    for what, measure in measures:
        pairs = alternate(sizes.rounds, partial(measure, new_event_loop), partial(measure, None))
        goals.append(Goal("uvloop", f"{what} on uvloop, of the same on asyncio's loop", median_ratio(pairs)))
    return Measured(tuple(goals))


def progress(setting: Setting) -> Measured:
    """Many reports of progress: what a call costs, and how fast the rows come into the journal."""
    number = setting.sizes.progress
    rounds = [(mine, theirs) for mine, theirs in zip(*_progress_rounds(setting, number), strict=True)]
    beyond = median(median(one.calls) - median(one.baseline) for one, _ in rounds) / 1e3
    rates = [(number / one.seconds, number / other) for one, other in rounds]
    mine, theirs = medians(rates)
    call = Goal(
        "progress",
        "median of update_progress beyond a method call that stores a tuple",
        beyond,
        Sense.AT_MOST,
        CALL_GOAL_MICROSECONDS,
        unit="µs",
        detail=(
            f"{number:,} calls, the loop's turn after every {ours.CALLS_BETWEEN_YIELDS}; "
            f"99th percentile {median(percentile(one.calls, 99) for one, _ in rounds) / 1e3:.1f} µs"
        ),
    )
    rows = Goal(
        "progress",
        "rows/s of progress from the call to the commit, of plain sqlite3 executemany",
        median_ratio(rates),
        Sense.AT_LEAST,
        PROGRESS_GOAL,
        detail=f"{mine:,.0f} of {theirs:,.0f} rows/s, there {plain.ROWS_A_TRANSACTION:,} a transaction; NORMAL",
    )
    return Measured((call, rows))


def _progress_rounds(setting: Setting, number: int) -> tuple[list[ours.Progress], list[float]]:
    mine: list[ours.Progress] = []
    theirs: list[float] = []
    alternate(
        setting.sizes.rounds,
        lambda: mine.append(ours.progress(setting.file("progress"), number)),
        lambda: theirs.append(plain.progress(setting.file("plain-progress"), number)),
    )
    return mine, theirs
