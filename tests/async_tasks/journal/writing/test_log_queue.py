"""The lines that wait: in order, bounded, and never in anybody's way."""

import signal
import threading
from typing import Any

import pytest

from ailf.async_tasks.journal.writing import log_queue
from ailf.async_tasks.journal.writing.log_queue import LogQueue, thinned_out
from ailf.async_tasks.model import Logged
from tests.async_tasks.journal.desk import NOW


def line(task_id: str, number: int, message: str = "") -> Logged:
    """A line with a number in it."""
    return Logged(task_id, NOW, 20, "INFO", "app", message or str(number), None, None)


def lines(task_id: str, number: int) -> list[Logged]:
    """So many lines of one task."""
    return [line(task_id, place) for place in range(number)]


def told(kept: list[Logged]) -> int:
    """How many lines those stand for that are there."""
    return sum(one.left_out or 1 for one in kept)


def test_lines_come_out_in_order_and_the_writer_is_told_once() -> None:
    """Whoever puts the first one in wakes the writer; the others find it awake."""
    calls: list[None] = []
    queue = LogQueue(lambda: calls.append(None))
    waiting = lines("a", 3)
    for one in waiting:
        queue.put(one)
    assert len(calls) == 1
    assert len(queue) == 3
    assert queue.take() == waiting
    assert len(queue) == 3
    queue.settle()
    assert len(queue) == 0
    assert queue.take() == []
    queue.put(waiting[0])
    assert len(calls) == 2


def test_what_is_put_back_comes_first() -> None:
    """What could not be written is taken again before what came later."""
    queue = LogQueue(lambda: None)
    first, second = lines("a", 2)
    queue.put(second)
    queue.put_back([first])
    assert queue.take() == [first, second]


def test_a_closed_queue_takes_nothing() -> None:
    """After the end a line goes nowhere, without an error."""
    queue = LogQueue(lambda: None)
    queue.close()
    queue.put(line("a", 1))
    assert len(queue) == 0


def test_thinning_out_leaves_the_ends_of_each_task() -> None:
    """A task with few lines keeps them all; of a chatty one the middle goes, and one line says how much."""
    waiting = lines("chatty", 1000) + lines("quiet", 2)
    kept = thinned_out(waiting, 100 * log_queue.CHARACTERS_A_LINE)
    assert len(kept) <= 100
    assert [one.message for one in kept if one.task_id == "quiet"] == ["0", "1"]
    chatty = [one for one in kept if one.task_id == "chatty"]
    assert (chatty[0].message, chatty[-1].message) == ("0", "999")
    assert [one.left_out for one in chatty if one.left_out] == [1000 - (len(chatty) - 1)]
    assert told(kept) == 1002


def test_thinning_out_again_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes, the queue stays below its bound, and every line is there or counted."""
    monkeypatch.setattr(log_queue, "MOST_CHARACTERS", 50 * log_queue.CHARACTERS_A_LINE)
    queue = LogQueue(lambda: None)
    for one in lines("a", 5000):
        queue.put(one)
    assert len(queue) <= 50
    kept = queue.take()
    assert told(kept) == 5000
    assert (kept[0].message, kept[-1].message) == ("0", "4999")


def test_long_lines_count_by_their_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few of them are as much as many short ones."""
    monkeypatch.setattr(log_queue, "MOST_CHARACTERS", 100_000)
    queue = LogQueue(lambda: None)
    for number in range(1000):
        queue.put(line("a", number, "x" * 8000))
    assert sum(len(one.message) for one in queue.take()) < 200_000


def test_a_line_from_a_signal_handler_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs in the middle of a put, again and again, also of one that thins out."""
    monkeypatch.setattr(log_queue, "MOST_CHARACTERS", 200 * log_queue.CHARACTERS_A_LINE)
    queue = LogQueue(lambda: None)

    def interrupt(*_: Any) -> None:
        queue.put(line("signal", 0))
        signal.setitimer(signal.ITIMER_REAL, 0.0005)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005)
        for number in range(30_000):
            queue.put(line("a", number))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    kept = queue.take()
    assert told([one for one in kept if one.task_id == "a"]) == 30_000


def test_many_threads_and_one_that_takes() -> None:
    """No line is lost and none comes twice, and those of one thread stay in order."""
    woken = threading.Event()
    queue = LogQueue(woken.set)
    taken: list[Logged] = []

    def put_all(name: str) -> None:
        for one in lines(name, 3000):
            queue.put(one)

    threads = [threading.Thread(target=put_all, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    while len(taken) < 12_000:
        assert woken.wait(30)
        woken.clear()
        taken += queue.take()
    for thread in threads:
        thread.join()
    for name in "abcd":
        assert [one.message for one in taken if one.task_id == name] == [str(number) for number in range(3000)]
