"""Addresses: what is put into one comes out of it again."""

from datetime import UTC, datetime, timedelta

from ailf.async_tasks.journal.reading.reports import Order
from ailf.web.addresses import address, asked, chosen_length, chosen_moment, exactly

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


def test_metadata_is_keys_each_with_the_value_behind_it() -> None:
    """Several of them, values that are empty, fields that nobody has filled in; what is kept is understood as well."""
    pairs = (("key", "n"), ("value", "x"), ("key", ""), ("value", "lost"), ("key", "m"), ("key", "n"), ("value", "1"))
    found = asked((*pairs, ("after", "")), NOW)
    assert found.wanted.metadata == {"n": ("x", 1, "1"), "m": ("",)}
    assert asked(found.pairs, NOW).wanted == found.wanted
    assert ("value", "lost") not in found.pairs


def test_names_and_reasons_may_be_several() -> None:
    """In the order in which they are given; none is no condition."""
    found = asked((("name", "a*"), ("name", ""), ("name", "b"), ("reason", "Error"), ("reason", "timeout")), NOW).wanted
    assert (found.name, found.reasons) == (("a*", "b"), ("error", "timeout"))
    assert (asked((), NOW).wanted.name, asked((), NOW).wanted.reasons) == (None, None)
    assert exactly("50 * 2") == r"50 \* 2"
