"""What waits to be written: in order, bounded, and without a loss but of progress between progress."""

import threading
from collections.abc import Sequence

import pytest

from ailf.async_tasks.journal.writing import backlog
from ailf.async_tasks.journal.writing.backlog import Backlog, Record, thinned_out
from ailf.async_tasks.model import Change, Progressed
from ailf.errors import JournalError
from tests.async_tasks.journal.desk import NOW, completed, started, submitted


def reports(task_id: str, count: int) -> list[Change]:
    """Progress of one task, from 0 on."""
    return [Progressed(task_id, NOW, number, None) for number in range(count)]


def records(changes: Sequence[Change]) -> list[Record]:
    """A record for each of the changes."""
    return [(change, None, None) for change in changes]


def changes(kept: Sequence[Record]) -> list[Change]:
    """The changes of records."""
    return [change for change, _, _ in kept]


def test_thinning_out_drops_the_middle_of_each_task_s_progress_alone() -> None:
    """First and last reports stay, every other one between goes, and so does nothing else."""
    waiting = [started("a"), *reports("a", 6), started("b"), *reports("b", 2), completed("a"), submitted("c")]
    kept = changes(thinned_out(records(waiting)))
    assert [change for change in kept if not isinstance(change, Progressed)] == [
        change for change in waiting if not isinstance(change, Progressed)
    ]
    progress = [(change.task_id, change.progress) for change in kept if isinstance(change, Progressed)]
    assert progress == [("a", 0), ("a", 2), ("a", 4), ("a", 5), ("b", 0), ("b", 1)]
    assert [change for change in waiting if change in kept] == kept


def test_a_backlog_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much progress comes, the backlog stays below its bound, and keeps count of what it dropped."""
    monkeypatch.setattr(backlog, "MOST_RECORDS", 50)
    full = Backlog()
    for record in records([started("a"), *reports("a", 1000), completed("a")]):
        full.put(record)
    left = changes(full.left())
    assert len(left) <= 51
    assert isinstance(left[1], Progressed)
    assert isinstance(left[-2], Progressed)
    assert (left[0], left[1].progress, left[-2].progress, left[-1]) == (started("a"), 0, 999, completed("a"))
    assert full.dropped() == 1002 - len(left)
    assert full.dropped() == 0


def test_transitions_are_kept_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing but transitions, every one stays."""
    monkeypatch.setattr(backlog, "MOST_RECORDS", 50)
    full = Backlog()
    ends = [completed(str(number)) for number in range(500)]
    for record in records(ends):
        full.put(record)
    assert changes(full.left()) == ends
    assert full.size() == (500, NOW)


def test_what_is_put_back_comes_first() -> None:
    """What could not be written is taken again before what came later."""
    waiting = Backlog()
    first, second = records([started("a"), started("b")])
    waiting.put(first)
    assert waiting.take() == ([first], [])
    waiting.put(second)
    waiting.put_back([first], pause=0)
    assert waiting.take() == ([first, second], [])


def test_a_submission_ends_the_pause() -> None:
    """A record that waits for a retry waits on, until a caller wants an answer."""
    waiting = Backlog()
    [kept, wanted] = records([started("a"), submitted("b")])
    waiting.put_back([kept], pause=3600)
    taken: list[tuple[list[Record], list[backlog.Work]] | None] = []
    thread = threading.Thread(target=lambda: taken.append(waiting.take()))
    thread.start()
    assert taken == []
    waiting.put(wanted)
    thread.join()
    assert taken == [([kept, wanted], [])]


def test_a_closed_backlog_is_emptied_and_takes_no_work() -> None:
    """After closing, what waits is handed out once more, then nothing; work is refused with an error of ours."""
    waiting = Backlog()
    [record] = records([started("a")])
    waiting.put(record)
    waiting.close(patience=3600)
    assert waiting.take() == ([record], [])
    assert waiting.take() is None
    with pytest.raises(JournalError, match="closed"):
        waiting.put_work(lambda: None)
