"""Places in a list as words: what is put into one comes out of it again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.async_tasks.journal.reading.reports import Order, Place, place_of, place_text
from ailf.errors import InvalidArgumentError

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
