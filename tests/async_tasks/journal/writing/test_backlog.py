"""What waits to be written: in order, bounded, and without a loss but of progress between progress."""

import threading
from collections.abc import Sequence

import pytest

from ailf.async_tasks.journal.writing import backlog
from ailf.async_tasks.journal.writing.backlog import Backlog, Piece, Record, thinned_out
from ailf.async_tasks.model import Change, LeftOut, Progressed
from tests.async_tasks.journal.desk import NOW, completed, started, submitted


def reports(task_id: str, count: int, message: str | None = None) -> list[Change]:
    """Progress of one task, from 0 on."""
    return [Progressed(task_id, NOW, number, message) for number in range(count)]


def records(changes: Sequence[Change]) -> list[Record]:
    """A record for each of the changes."""
    return [(change, None, None) for change in changes]


def changes(kept: Sequence[Record]) -> list[Change]:
    """The changes of records."""
    return [change for change, _, _ in kept]


def filled(waiting: Sequence[Change]) -> Backlog:
    """A backlog in which these changes wait."""
    full = Backlog()
    for record in records(waiting):
        full.put(record)
    full.gather()
    return full


def shown(kept: Sequence[Change]) -> list[object]:
    """Each report as its number, each gap as how many it leaves out, in parentheses."""
    return [
        change.progress if isinstance(change, Progressed) else (change.reports,)
        for change in kept
        if isinstance(change, Progressed | LeftOut)
    ]


def test_thinning_out_leaves_out_the_middle_of_each_task_s_reports_and_says_so() -> None:
    """The first and the last quarter stay, what is between is one change that counts it; nothing else goes."""
    waiting = [started("a"), *reports("a", 8), started("b"), *reports("b", 2), completed("a"), submitted("c")]
    kept = changes(thinned_out(records(waiting)))
    assert [change for change in kept if not isinstance(change, Progressed | LeftOut)] == [
        change for change in waiting if not isinstance(change, Progressed)
    ]
    assert shown([change for change in kept if change.task_id == "a"]) == [0, 1, (4,), 6, 7]
    assert shown([change for change in kept if change.task_id == "b"]) == [0, 1]


def test_a_gap_in_a_gap_is_one_gap() -> None:
    """Thinned out again, what was left out before is counted along."""
    once = thinned_out(records(reports("a", 16)))
    assert shown(changes(once)) == [0, 1, 2, 3, (8,), 12, 13, 14, 15]
    assert shown(changes(thinned_out(once))) == [0, 1, (12,), 14, 15]


def test_a_backlog_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much progress comes, the backlog stays below its bound, and keeps count of what it left out."""
    monkeypatch.setattr(backlog, "MOST_REPORTS", 50)
    full = Backlog()
    for record in records([started("a"), *reports("a", 1000), completed("a")]):
        full.put(record)
        full.gather()
    assert full.is_thinned
    left = changes(full.left())
    assert len(left) <= 53
    assert (left[0], left[-1]) == (started("a"), completed("a"))
    numbers = shown(left)
    assert (numbers[0], numbers[-1]) == (0, 999)
    gaps = [change.reports for change in left if isinstance(change, LeftOut)]
    assert full.left_out == sum(gaps) == 1000 - sum(isinstance(change, Progressed) for change in left)


def test_a_backlog_is_bounded_by_the_length_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few reports with long messages are as much as many with short ones."""
    monkeypatch.setattr(backlog, "MOST_CHARACTERS", 1000)
    full = filled(reports("a", 100, "x" * 100))
    assert full.is_thinned
    assert full.left_out == 50


def test_below_the_bound_every_report_is_there() -> None:
    """Nothing is left out of what can wait."""
    full = filled([submitted("a", starts=True), *reports("a", 20_000)])
    taken: list[Change] = []
    while batch := full.take():
        taken += changes(batch)
        full.settle()
    assert shown(taken) == list(range(20_000))
    assert full.is_empty
    assert not full.is_thinned


def test_transitions_are_kept_beyond_every_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing but transitions, every one stays."""
    monkeypatch.setattr(backlog, "MOST_REPORTS", 50)
    ends = [completed(str(number)) for number in range(500)]
    full = filled(ends)
    assert full.size() == (500, NOW)
    assert changes(full.left()) == ends


def test_a_submission_goes_before_a_flood() -> None:
    """It waits for the batch that is under way, not for all the reports that came before it."""
    full = filled([*reports("a", 30_000), submitted("b")])
    assert submitted("b") in changes(full.take())


def test_an_end_comes_behind_the_reports_of_its_task() -> None:
    """And before those of others, however many these are."""
    flood = [change for number in range(30_000) for change in reports(f"t{number % 3}", 1)]
    full = filled([*flood, completed("t0"), completed("b")])
    first = changes(full.take())
    assert completed("b") in first
    assert completed("t0") not in first
    full.settle()
    seen: list[Change] = []
    while batch := full.take():
        seen += changes(batch)
        full.settle()
    assert [change for change in seen if change.task_id == "t0"][-1] == completed("t0")


def test_what_is_kept_comes_first_again() -> None:
    """What could not be written is taken again before what came later, its reports behind its start."""
    waiting = filled([started("a"), *reports("a", 2)])
    taken = waiting.take()
    waiting.put((completed("a"), None, None))
    waiting.put((started("b"), None, None))
    waiting.gather()
    waiting.settle(taken)
    again = changes(waiting.take())
    assert [change for change in again if change.task_id == "a"] == [started("a"), *reports("a", 2), completed("a")]
    assert started("b") in again


def test_an_end_is_not_held_up_by_reports_that_are_written() -> None:
    """Once the reports of a task are in the journal, its end goes with what others wait for."""
    waiting = filled(reports("a", 3))
    waiting.take()
    waiting.settle()
    assert not waiting._behind
    full = [completed("a"), *reports("b", 10_000)]
    for record in records(full):
        waiting.put(record)
    waiting.gather()
    assert changes(waiting.take())[0] == completed("a")


def test_a_caller_ends_a_pause() -> None:
    """Whoever waits for an answer, of a submission or a piece of work, is somebody to go on for at once."""
    assert not filled([started("a")]).has_callers
    waiting = filled([started("a"), submitted("b")])
    assert waiting.has_callers
    waiting.take()
    waiting.settle()
    assert not waiting.has_callers


def test_a_piece_of_work_ends_a_pause() -> None:
    """It has a caller too."""
    waiting = Backlog()
    waiting.put_work(Piece(lambda: None, lambda _: None))
    assert waiting.size() == (0, None)
    waiting.gather(pause=3600)
    assert waiting.has_callers
    assert waiting.next_work() is not None
    waiting.work_is_done()
    assert waiting.next_work() is None


def test_a_wait_ends_with_whatever_comes() -> None:
    """The thread is woken to look whether it is to end."""
    waiting = Backlog()
    thread = threading.Thread(target=waiting.gather, args=(None,))
    thread.start()
    waiting.wake()
    thread.join()
    assert waiting.is_empty
