"""Which columns of a table are shown, and how wide, on a terminal of some width: decided from numbers alone.

A table that is too wide first makes the columns narrower that can be, the widest one first, down to what each needs
to be of use. Where that is not enough, columns leave in an order that the table names: what goes last is what the
question was about.
"""

from collections.abc import Sequence
from dataclasses import dataclass

GAP = 2
"""The cells between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    head: str
    """What stands above it, and its name."""
    stays: int = 0
    """How long it stays: of those that can leave, the one with the lowest leaves first."""
    least: int | None = None
    """From how many cells on it is of use; None is as many as its texts take."""
    most: int | None = None
    """How many cells it takes at most; None is as many as its texts take."""
    is_right: bool = False
    """Whether its texts stand at the right side."""
    in_the_middle: bool = False
    """Whether texts are shortened in the middle, where names have least to say, or else at their end."""


def widths(columns: Sequence[Column], natural: Sequence[int], room: int) -> list[int | None]:
    """How many cells each column gets.

    Args:
        columns: the columns.
        natural: how many cells the head and the texts of each take.
        room: how many cells there are.

    Returns:
        The cells of each; None where it has left.
    """
    wanted = [min(cells, column.most or cells) for column, cells in zip(columns, natural, strict=True)]
    least = [min(cells, column.least or cells) for column, cells in zip(columns, wanted, strict=True)]
    shown = list(range(len(columns)))
    while len(shown) > 1 and _taken(shown, least) > room:
        shown.remove(min(shown, key=lambda index: (columns[index].stays, -index)))
    if len(shown) == 1:
        return [max(1, min(wanted[index], room)) if index in shown else None for index in range(len(columns))]
    given = {index: wanted[index] for index in shown}
    for _ in range(_taken(shown, wanted) - room):
        # The widest of those that can become narrower.
        loser = max((index for index in shown if given[index] > least[index]), key=lambda index: given[index])
        given[loser] -= 1
    return [given.get(index) for index in range(len(columns))]


def _taken(shown: Sequence[int], cells: Sequence[int]) -> int:
    return sum(cells[index] for index in shown) + GAP * (len(shown) - 1)
