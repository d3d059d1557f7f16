"""The power goes while the programme runs: what each durability promises, and no more."""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.check import assert_sound, reopened
from tests.faults.power import Loss, after_the_cut, write_image
from tests.faults.scenario import run_programme
from tests.faults.vfs import Io, faulty_disk

pytestmark = pytest.mark.usefixtures("faulty")

SEED = 7
EVENTS = "SELECT task_id, kind, progress, message FROM task_events WHERE task_id NOT LIKE 'old-%' ORDER BY seq"
Events = list[tuple[str, str, float | None, str | None]]


@dataclass
class Run:
    """A programme that ran to its end, with the record of the disk."""

    before: dict[str, bytes]
    record: list[Io]
    said: list[tuple[int, dict[str, Any]]]
    """Each acknowledgement, with how much had reached the disk by then."""
    events: Events


@pytest.fixture
def recorded(tmp_path: Path, history: Path) -> Callable[..., Run]:
    """Runs the programme once, on a new journal or one with a past."""

    def run(durability: str, *, new: bool = False) -> Run:
        journal = tmp_path / "recorded" / "tasks.db"
        journal.parent.mkdir()
        if not new:
            shutil.copy(history, journal)
        before = {str(path): path.read_bytes() for path in journal.parent.iterdir()}
        said: list[tuple[int, dict[str, Any]]] = []
        with faulty_disk() as disk:
            record = disk.record = []
            run_programme(journal, lambda line: said.append((len(record), line)), durability)
        return Run(before, record, said, events_in(journal))

    return run


def events_in(journal: Path) -> Events:
    """Every event of the programme's tasks, in order; none in a journal that has no tables yet."""
    with closing(sqlite3.connect(journal)) as connection:
        has_tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'task_events'").fetchone()
        return connection.execute(EVENTS).fetchall() if has_tables[0] else []


def cut(run: Run, at: int, loss: Loss, folder: Path) -> Events:
    """Lose the power; the journal must be whole, hold a prefix of what happened, and start again.

    Returns:
        The events that are left.
    """
    folder.mkdir()
    image = after_the_cut(run.record[:at], run.before, loss, Random(f"{SEED} {at} {loss}"))
    write_image(image, folder)
    journal = folder / "tasks.db"
    # A copy, since SQLite makes the file good as it looks at it, and so must a start.
    shutil.copytree(folder, copied := folder / "copied")
    left = events_in(copied / "tasks.db")
    assert left == run.events[: len(left)]
    reopened(journal)
    assert_sound(journal)
    assert events_in(journal)[: len(left)] == left
    shutil.rmtree(folder)
    return left


def acknowledged(run: Run, at: int) -> set[tuple[str, str]]:
    """The tasks and kinds of the events that had been acknowledged when so much had reached the disk."""
    told = [line for position, line in run.said if position <= at]
    submitted = {(line["id"], "submitted") for line in told if line["what"] == "submitted"}
    return submitted | {(line["id"], str(line["status"])) for line in told if line["what"] == "ended"}


@pytest.mark.parametrize("loss", Loss)
def test_every_acknowledged_commit_survives_the_loss_of_power(
    loss: Loss, recorded: Callable[..., Run], tmp_path: Path, figures: Counter[str], step: int
) -> None:
    """With durability "power" nothing acknowledged is lost, whatever was not synced is lost or reordered."""
    run = recorded("power")
    most = 0
    for at in range(1, len(run.record), step if step == 1 else 3 * step):
        left = cut(run, at, loss, tmp_path / str(at))
        told = acknowledged(run, at)
        assert told <= {(task_id, kind) for task_id, kind, _, _ in left}, (at, loss)
        most = max(most, len(told))
        figures["cuts of the power"] += 1
    assert most > 30


@pytest.mark.parametrize("loss", Loss)
def test_a_journal_that_is_not_synced_is_whole_after_the_loss_of_power(
    loss: Loss, recorded: Callable[..., Run], tmp_path: Path, figures: Counter[str], step: int
) -> None:
    """With durability "process" the last commits may be lost, but the journal is whole, and holds all before them."""
    run = recorded("process")
    for at in range(1, len(run.record), step if step == 1 else 3 * step):
        cut(run, at, loss, tmp_path / str(at))
        figures["cuts of the power"] += 1


@pytest.mark.parametrize("loss", Loss)
def test_the_loss_of_power_while_a_journal_is_made_leaves_one_that_can_be_used(
    loss: Loss, recorded: Callable[..., Run], tmp_path: Path, figures: Counter[str], step: int
) -> None:
    """Whenever the power goes while the journal is created and migrated, the next start makes it good."""
    run = recorded("process", new=True)
    first = min(position for position, _ in run.said)
    for at in range(1, first, max(1, step // 2)):
        cut(run, at, loss, tmp_path / str(at))
        figures["cuts of the power"] += 1
