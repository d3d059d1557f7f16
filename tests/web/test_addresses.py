"""Addresses: what is put into one comes out of it again."""

from datetime import UTC, datetime, timedelta

from ailf.async_tasks.journal.reading.reports import Order
from ailf.web.addresses import address, asked, chosen_length, chosen_moment

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


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
