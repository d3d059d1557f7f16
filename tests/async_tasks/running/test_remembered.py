"""What a process keeps in memory: bounded in bytes, of one submission each, the least recently read first to go."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from ailf.async_tasks.encoding import encode_result
from ailf.async_tasks.model import Ending, Outcome, TaskInfo
from ailf.async_tasks.running.remembered import RECENT_EXCEPTIONS, Remembered, size_of
from ailf.async_tasks.states import Reason, ResultFormat, TaskStatus

AT = 1_700_000_000_000_001


def info_of(task_id: str, at: int = AT) -> TaskInfo:
    """A completed task as the journal has it."""
    created_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    values: dict[str, Any] = dict.fromkeys(TaskInfo.__dataclass_fields__)
    kept = {"id": task_id, "created_at": created_at, "status": TaskStatus.COMPLETED, "result": "text"}
    return TaskInfo(**values | kept)


def test_the_least_recently_read_goes_first() -> None:
    """And what was read lately stays, up to the number of bytes."""
    remembered = Remembered(3_500_000)
    for name in "abc":
        remembered.keep_result(name, AT, bytes(1_000_000))
    assert remembered.laid_over(info_of("a")).result == bytes(1_000_000)
    remembered.keep_result("d", AT, bytes(1_000_000))
    assert remembered.result_ids() == ["c", "a", "d"]
    assert remembered.laid_over(info_of("b")).result == "text"


def test_the_last_result_stays_however_large() -> None:
    """Whoever waits for it is to have it."""
    remembered = Remembered(1000)
    for name in "ab":
        remembered.keep_result(name, AT, bytes(10_000))
    assert remembered.result_ids() == ["b"]


def test_many_small_results_are_bounded_too() -> None:
    """What it takes to keep one counts."""
    remembered = Remembered(1_000_000)
    for number in range(10_000):
        remembered.keep_result(str(number), AT, (number,))
    assert len(remembered.result_ids()) < 2000


def test_another_submission_of_the_same_id_is_another_task() -> None:
    """Whatever is kept is for the one submission alone."""
    remembered = Remembered(1_000_000)
    remembered.keep_result("a", AT, {1})
    assert remembered.laid_over(info_of("a")).result == {1}
    assert remembered.laid_over(info_of("a", AT + 1)).result == "text"
    remembered.forget("a", AT + 1)
    assert remembered.laid_over(info_of("a")).result == {1}
    remembered.forget("a", AT)
    assert remembered.laid_over(info_of("a")).result == "text"


def test_an_end_is_kept_without_what_may_be_large() -> None:
    """Values that JSON does not hold, long texts, and tracebacks are read from the journal."""
    remembered = Remembered(1_000_000)
    for name, value in {"number": 1, "text": "x" * 1000, "set": {1}, "object": object()}.items():
        ending = Ending("work", Outcome(TaskStatus.COMPLETED, value=value))
        remembered.keep_ending(name, AT, ending, encode_result(value))
    assert remembered.ending("number") == (AT, Ending("work", Outcome(TaskStatus.COMPLETED, value=1)))
    assert not any(remembered.ending(name) for name in ("text", "set", "object"))


def test_only_the_latest_exceptions_are_kept() -> None:
    """Each holds on to whatever its functions had in hand."""
    remembered = Remembered(1_000_000)
    for number in range(RECENT_EXCEPTIONS + 1):
        outcome = Outcome(TaskStatus.FAILED, Reason.ERROR, traceback="tb", exception=ValueError(number))
        remembered.keep_ending(str(number), AT, Ending("work", outcome), None)
    assert remembered.exception_of(info_of("0")) is None
    assert str(remembered.exception_of(info_of("1"))) == "1"
    assert remembered.exception_of(info_of("1", AT + 1)) is None


def test_the_size_of_a_value_counts_what_is_in_it() -> None:
    """At any depth, each object once, and of very many about so much."""
    data = bytes(1_000_000)
    assert size_of([data, data]) < 1_100_000
    assert size_of({"a": [{"b": (data,)}]}) > 1_000_000
    many = [bytes(1000) for _ in range(100_000)]
    assert 0.9 < size_of(many) / (sys.getsizeof(many) + 100_000 * sys.getsizeof(many[0])) < 1.1
    assert size_of(set(range(100_000))) < 10_000_000


def test_the_size_of_what_says_nothing_of_itself() -> None:
    """Neither a class that lies nor the module of a function is counted."""

    class Odd:
        def __sizeof__(self) -> int:
            raise RuntimeError

    assert size_of(Odd()) < 10_000
    assert size_of(size_of) == 0
    assert encode_result(Odd()).format is ResultFormat.REPR
