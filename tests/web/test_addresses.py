"""Addresses: what is put into one comes out of it again."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.async_tasks.journal.reading.reports import Order, Place
from ailf.errors import InvalidArgumentError
from ailf.web.addresses import address, asked, chosen_length, chosen_moment, place_of, place_text

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
AT = "2026-11-24T03:00:00.000000Z"


@given(st.text(), st.integers(0, 2**62), st.integers(0, 2**62))
def test_a_place_by_text_comes_back(key: str, rowid: int, newest: int) -> None:
    """Whatever the key is."""
    place = Place(key, rowid, newest, AT)
    assert place_of(place_text(place), Order.NAME) == place


@given(st.integers(-(2**62), 2**62) | st.floats(-1e15, 1e15), st.integers(0, 2**62))
def test_a_place_by_number_comes_back(key: float, rowid: int) -> None:
    """Whole or not."""
    place = Place(key, rowid, 0, AT)
    assert place_of(place_text(place), Order.PROGRESS) == place


@given(st.text(max_size=200))
def test_a_place_that_is_nonsense_is_said_to_be(text: str) -> None:
    """As an error of ours, never as another."""
    with pytest.raises(InvalidArgumentError, match="first page"):
        place_of(text, Order.CREATED)


def test_a_place_belongs_to_its_order() -> None:
    """A name is none where numbers are sorted."""
    with pytest.raises(InvalidArgumentError):
        place_of(place_text(Place("x", 1, 1, AT)), Order.CREATED)
    with pytest.raises(InvalidArgumentError):
        place_of(place_text(Place(1, 1, 1, AT)), Order.NAME)
    with pytest.raises(InvalidArgumentError):
        place_of(place_text(Place(1, 2**70, 1, AT)), Order.CREATED)


def test_an_address_is_relative_and_leaves_out_what_is_empty() -> None:
    """Of the first view, the folder itself; what no address has room for is left out as well."""
    assert address("") == "./"
    assert address("tasks", {"state": "failed", "name": None, "text": ""}) == "tasks?state=failed"
    assert address("task", {"id": "a/b?c&d #e"}) == "task?id=a%2Fb%3Fc%26d+%23e"
    assert address("tasks", {"name": "x" * 5000}) == "tasks"
    assert address("task", {"id": "\ud800"}) == "task?id=%5Cud800"


def test_times_and_lengths() -> None:
    """How long ago, or when, in UTC where no zone is named."""
    assert chosen_moment((("t", "90s"),), "t", NOW) == NOW - timedelta(seconds=90)
    assert chosen_moment((("t", "2026-11-24T03:00"),), "t", NOW) == NOW
    assert chosen_moment((("t", "2026-11-24T04:00+01:00"),), "t", NOW) == NOW
    assert chosen_moment((), "t", NOW) is None
    assert chosen_length((("s", "7d"),), "s") == timedelta(days=7)
    assert chosen_length((), "s") is None


def test_the_order_that_goes_with_what_is_asked() -> None:
    """By the end where that is asked about, else by the submission; names from A to Z."""
    assert asked((), NOW).order is Order.CREATED
    assert asked((("ended_since", "24h"),), NOW).order is Order.ENDED
    assert not asked((("sort", "name"),), NOW).descending
    assert asked((("state", "failed"), ("after", "")), NOW).pairs == (("state", "failed"),)
    assert asked((("key", "n"), ("value", "NaN")), NOW).wanted.metadata == {"n": "NaN"}
    assert asked((("key", "n"), ("value", "[1]")), NOW).wanted.metadata == {"n": [1]}
