"""A fault at one I/O after the other: the process is killed there, or the disk answers with an error."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.check import assert_nothing_lost
from tests.faults.children import Life, live
from tests.faults.vfs import FOREVER, STRIKES, Effect, Fault

pytestmark = pytest.mark.usefixtures("faulty")

AT_A_TIME = 2
A_WHILE = 7
"""How many I/Os in a row fail where it is not one alone."""

Point = tuple[Path, Fault]


def attack(points: Iterable[Point], durability: str = "process") -> list[Life]:
    """Live through each point on its own journal, and check that nothing is lost.

    Returns:
        The lives that met their fault; one that ends before its fault is as good as none.
    """

    def one(point: Point) -> Life:
        journal, fault = point
        life = live(journal, fault, durability)
        try:
            life.compared = assert_nothing_lost(journal, life.said, was_killed=life.was_killed)
        except Exception as error:
            error.add_note(f"{fault} on {journal}; last said: {life.said[-5:]}")
            raise
        if not life.was_killed:
            assert life.has_said("stopped")
        shutil.rmtree(journal.parent)
        return life

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return [life for life in pool.map(one, points) if life.met_its_fault]


@pytest.fixture
def points(tmp_path: Path, history: Path) -> Callable[..., list[Point]]:
    """Makes a point of each of some faults, on a new journal or one with a past."""

    def make(faults: Iterable[Fault], *, new: bool = False) -> list[Point]:
        made = []
        for fault in faults:
            journal = tmp_path / f"{fault.effect}-{fault.at}-{fault.times}" / "tasks.db"
            journal.parent.mkdir()
            if not new:
                shutil.copy(history, journal)
            made.append((journal, fault))
        return made

    return make


def operations(points: Callable[..., list[Point]], effect: Effect, *, new: bool = False) -> int:
    """How many I/Os of the whole programme such an effect can meet."""
    [(journal, fault)] = points([Fault(effect, at=FOREVER)], new=new)
    life = live(journal, fault)
    assert_nothing_lost(journal, life.said, was_killed=False)
    [counts] = life.told("counts")
    return sum(counts["counts"][operation] for operation in STRIKES[effect])


@pytest.mark.parametrize("effect", [Effect.KILL, Effect.TEAR])
def test_a_kill_at_any_io_loses_nothing_acknowledged(
    effect: Effect, points: Callable[..., list[Point]], figures: Counter[str], step: int
) -> None:
    """Killed before an I/O, or in the middle of a write, the journal has what was said, and the rest is FAILED."""
    last = operations(points, effect)
    lives = attack(points(Fault(effect, at) for at in range(1, last + 1, step)))
    assert all(life.was_killed for life in lives)
    assert len(lives) > 0.9 * last / step
    count(figures, "crash points", lives)


@pytest.mark.parametrize("effect", [Effect.KILL, Effect.TEAR])
def test_a_kill_while_a_journal_is_made_leaves_one_that_can_be_used(
    effect: Effect, points: Callable[..., list[Point]], figures: Counter[str], step: int
) -> None:
    """Killed while the journal is created and migrated, the next start makes it good."""
    whole = operations(points, effect, new=True)
    made = 100
    assert whole > made
    lives = attack(points((Fault(effect, at) for at in range(1, made, step)), new=True))
    assert all(life.was_killed for life in lives)
    count(figures, "crash points", lives)


@pytest.mark.parametrize("times", [1, A_WHILE])
@pytest.mark.parametrize("effect", [Effect.IOERR_WRITE, Effect.FULL])
def test_an_error_at_any_write_loses_nothing(
    effect: Effect, times: int, points: Callable[..., list[Point]], figures: Counter[str], step: int
) -> None:
    """Whichever write fails, once or for a while, everything is in the journal when the programme is over."""
    step = 1 if step == 1 else 2 * step
    last = operations(points, effect)
    lives = attack(points(Fault(effect, at, times) for at in range(1, last + 1, step)))
    assert not any(life.was_killed for life in lives)
    assert len(lives) > 0.9 * last / step
    count(figures, "error points", lives)


@pytest.mark.parametrize("times", [1, A_WHILE])
def test_an_error_at_any_sync_loses_nothing(
    times: int, points: Callable[..., list[Point]], figures: Counter[str], step: int
) -> None:
    """The same where it is the sync of each commit that fails."""
    lives = attack(points(Fault(Effect.IOERR_FSYNC, at, times) for at in range(1, 40, step)), durability="power")
    assert not any(life.was_killed for life in lives)
    count(figures, "error points", lives)


@pytest.mark.parametrize("effect", [Effect.IOERR_WRITE, Effect.IOERR_FSYNC, Effect.FULL])
def test_an_error_while_a_journal_is_made_can_be_got_over(
    effect: Effect, points: Callable[..., list[Point]], figures: Counter[str], step: int
) -> None:
    """A start that fails on a faulty disk says so, and works when it is called again afterwards."""
    faults = (
        [Fault(effect, at) for at in range(1, 16)]
        if effect is Effect.IOERR_FSYNC
        else [Fault(effect, at) for at in range(1, 90, step)]
    )
    lives = attack(points(faults, new=True))
    assert all(life.told("refused") or life.has_said("stopped") for life in lives)
    count(figures, "error points", lives)


def count(figures: Counter[str], kind: str, lives: list[Life]) -> None:
    """Add to what is printed at the end; whoever comes here has lost nothing."""
    figures[kind] += len(lives)
    figures["acknowledgements compared"] += sum(life.compared for life in lives)
    figures["acknowledged rows lost"] += 0
