"""Messages of one kind: their numbers and ids are taken out, and nothing else."""

import pytest

from ailf.async_tasks.journal.reading.kinds import MOST_CHARACTERS, kind_of

SAME: dict[str, list[str | None]] = {
    "no user <n> in <n> s": ["no user 42 in 3.5 s", "no user 7 in 12 s"],
    "task <id> is gone": [
        "task 01890a5d-ac96-774b-bcce-b302099a8057 is gone",
        "task ABCDEFAB-ac96-774b-bcce-b302099a8057 is gone",
        "task 9f86d081884c is gone",
        "task 01ARZ3NDEKTSV4RRFFQ69G5FAV is gone",
    ],
    "<Lost object at <id>>": ["<Lost object at 0x7f12ab>", "<Lost object at 0x7f>"],
    "worker<n> at <n>": ["worker3 at 10.0.0.1:80", "worker12 at 10.0.0.2:8080"],
    "a b": ["a  b", "a\n\tb"],
    "a decade of facades": ["a decade of facades"],
    "": ["", None],
}


@pytest.mark.parametrize("kind", SAME)
def test_what_differs_in_numbers_and_ids_is_of_one_kind(kind: str) -> None:
    """Words stay, whatever letters they are of."""
    assert {kind_of(message) for message in SAME[kind]} == {kind}


def test_a_long_message_counts_by_its_beginning() -> None:
    """However long: nothing in it is looked at again and again."""
    for letter in "a1-<. _":
        assert len(kind_of(letter * 1_000_000)) <= MOST_CHARACTERS
