"""Many values, made beside an event loop."""

import gc

import pytest

from ailf.async_tasks.journal.reading import considerate
from ailf.async_tasks.journal.reading.considerate import MANY_VALUES, VALUES_A_TURN, Values


def test_others_have_their_turn_every_few_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that makes thousands of values stops again and again."""
    turns: list[float] = []
    monkeypatch.setattr("ailf.async_tasks.journal.reading.considerate.time.sleep", turns.append)
    values = Values(lambda row: row[0])
    for number in range(10 * VALUES_A_TURN):
        values.add(None, (number,))
    values.end()
    assert values.found == list(range(10 * VALUES_A_TURN))
    assert turns == [considerate.TURN_SECONDS] * 10


def test_no_full_collection_is_made_of_many_values() -> None:
    """Only for as long as somebody makes that many, however many do at a time; few change nothing."""
    before = gc.get_threshold()
    few, many, more = (Values(lambda row: row) for _ in range(3))
    for number in range(MANY_VALUES):
        many.add(None, (number,))
        if number == MANY_VALUES // 2:
            assert gc.get_threshold() == before
    more_rows = [(number,) for number in range(MANY_VALUES)]
    for row in more_rows:
        more.add(None, row)
    few.add(None, (1,))
    few.end()
    assert gc.get_threshold() == (*before[:2], considerate._FullCollections.NEVER)
    many.end()
    many.end()
    assert gc.get_threshold() != before
    more.end()
    assert gc.get_threshold() == before


def test_a_threshold_that_the_program_sets_meanwhile_stays() -> None:
    """It knows better."""
    before = gc.get_threshold()
    values = Values(lambda row: row)
    try:
        for number in range(MANY_VALUES):
            values.add(None, (number,))
        gc.set_threshold(700, 10, 77)
        values.end()
        assert gc.get_threshold() == (700, 10, 77)
    finally:
        gc.set_threshold(*before)
