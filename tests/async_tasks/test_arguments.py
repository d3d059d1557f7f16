"""What callers hand in, checked and made into values."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from ailf.async_tasks import TaskStatus, arguments
from ailf.async_tasks.conditions import task_filter
from ailf.errors import AilfError, InvalidArgumentError, InvalidTypeError


class Silent:
    """A value whose ``repr`` raises."""

    def __repr__(self) -> str:
        """Refuse."""
        raise RuntimeError


CHECKS: list[Callable[[Any], object]] = [
    lambda value: arguments.real(value, "x"),
    arguments.percentage,
    lambda value: arguments.seconds(value, "x"),
    arguments.new_task_id,
    arguments.known_task_id,
    arguments.task_name,
    arguments.message,
    arguments.metadata_text,
    lambda value: arguments.count(value, "x"),
    arguments.retention_policy,
    task_filter,
    lambda value: task_filter(created_after=value),
    lambda value: arguments.one_of(TaskStatus, value, "x"),
]


@pytest.mark.parametrize("check", CHECKS, ids=range(len(CHECKS)))
def test_a_message_is_short_whatever_the_value_is(check: Callable[[Any], object]) -> None:
    """Each check refuses a strange value with an error of ours, even one that cannot be shown."""
    for value in (Silent(), b"x" * 1_000_000, range(1_000_000)):
        with pytest.raises(AilfError) as caught:
            check(value)
        assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("value", "number"),
    [(5, 5.0), (0.5, 0.5), (Fraction(1, 2), 0.5), (timedelta(minutes=1), 60.0), (timedelta(milliseconds=1), 0.001)],
)
def test_a_length_of_time_is_a_number_of_seconds(value: Any, number: float) -> None:
    """Numbers and timedeltas alike become a float."""
    seconds = arguments.seconds(value, "x")
    assert seconds == number
    assert type(seconds) is float


@pytest.mark.parametrize(
    "value", [0, -1, float("nan"), float("inf"), -float("inf"), 1e300, timedelta(-1), timedelta.max]
)
def test_what_is_no_length_of_time_is_refused(value: Any) -> None:
    """Zero, negative, endless and immense lengths are; zero is one where that is allowed."""
    with pytest.raises(InvalidArgumentError, match="x is"):
        arguments.seconds(value, "x")
    assert arguments.seconds(0, "x", zero=True) == 0
    assert arguments.optional_seconds(None, "x") is None


@pytest.mark.parametrize("value", [True, "1", None, Decimal(1), 1j])
def test_what_is_no_number_is_refused(value: Any) -> None:
    """A bool is none here, nor is what SQLite has no type for."""
    with pytest.raises(InvalidTypeError):
        arguments.real(value, "x")


@pytest.mark.parametrize("value", [0, 100, 50.5])
def test_a_percentage_keeps_its_type(value: float) -> None:
    """An int stays an int, a float a float."""
    assert arguments.percentage(value) == value
    assert type(arguments.percentage(value)) is type(value)


def test_metadata_is_canonical_json() -> None:
    """Equal metadata is equal text, whatever the order of its keys; none is an empty object."""
    assert arguments.metadata_text({"b": 1, "a": {"d": [1], "c": None}}) == '{"a":{"c":null,"d":[1]},"b":1}'
    assert arguments.metadata_text(None) == arguments.metadata_text({}) == "{}"


def test_a_naive_time_is_local() -> None:
    """It becomes the same moment in UTC; an aware one too."""
    naive = datetime(2026, 11, 24, 3, 0)  # noqa: DTZ001 - what this is about
    for given in (naive, naive.astimezone(), naive.astimezone(UTC)):
        chosen = task_filter(created_after=given, created_before=given)
        assert chosen.created_after == chosen.created_before == naive.astimezone(UTC)
        assert chosen.created_after is not None
        assert chosen.created_after.tzinfo is UTC


def test_states_come_in_their_own_order() -> None:
    """However they are given, so that one question is one query."""
    for given in (["failed", TaskStatus.PENDING], ("Pending", "FAILED", "failed"), {TaskStatus.FAILED, "pending"}):
        chosen = task_filter(given).statuses
        assert chosen == (TaskStatus.PENDING, TaskStatus.FAILED)
    assert task_filter().statuses is None
    assert task_filter([]).statuses == ()


def test_a_condition_that_is_not_there_is_refused() -> None:
    """A word that was misspelled must not find everything."""
    with pytest.raises(InvalidTypeError, match="there is no condition nmae"):
        task_filter(nmae="x")  # type: ignore[call-arg]


def test_a_retention_is_a_time_for_each_end_state() -> None:
    """One time is that of all; a mapping has those that it names; None is for ever."""
    hour = timedelta(hours=1)
    every = dict.fromkeys(("cancelled", "completed", "failed"), hour)
    assert arguments.retention_policy(3600) == arguments.retention_policy(hour) == every
    assert arguments.retention_policy(None) == arguments.retention_policy({"failed": None}) == {}
    assert arguments.retention_policy({"FAILED": 3600, TaskStatus.COMPLETED: 0}) == {
        TaskStatus.FAILED: hour,
        TaskStatus.COMPLETED: timedelta(0),
    }


def test_a_count_is_what_sqlite_counts() -> None:
    """Up to 2**63 - 1, and from the least that makes sense."""
    assert arguments.count(2**63 - 1, "x") == 2**63 - 1
    for value, least in ((2**63, 0), (-1, 0), (0, 1)):
        with pytest.raises(InvalidArgumentError, match="whole number"):
            arguments.count(value, "x", least=least)


def test_one_of_some_words_is_told_which_there_are() -> None:
    """The error lists the words."""
    assert arguments.one_of(TaskStatus, "failed", "x") is TaskStatus.FAILED
    with pytest.raises(InvalidArgumentError, match="'pending', 'running'"):
        arguments.one_of(TaskStatus, "paused", "x")
