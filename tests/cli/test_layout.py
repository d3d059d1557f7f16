"""Which columns are shown and how wide: what was asked goes last, and every width is kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.cli.layout import GAP, Column, widths

NAME = Column("name", stays=3, least=8, most=20, in_the_middle=True)
COUNT = Column("count", stays=2)
ERROR = Column("error", stays=1, least=10)


@pytest.mark.parametrize(
    ("room", "given"),
    [
        (100, [20, 5, 60]),
        (80, [20, 5, 51]),
        (40, [15, 5, 16]),
        (27, [8, 5, 10]),
        (26, [19, 5, None]),
        (15, [8, 5, None]),
        (14, [14, None, None]),
        (3, [3, None, None]),
        (0, [1, None, None]),
    ],
)
def test_columns_shrink_and_then_leave(room: int, given: list[int | None]) -> None:
    """The widest gives first; whatever is left when a column has gone goes to the others."""
    assert widths([NAME, COUNT, ERROR], [30, 5, 60], room) == given


@given(
    st.lists(
        st.tuples(
            st.builds(
                Column,
                st.just("head"),
                stays=st.integers(0, 5),
                least=st.none() | st.integers(1, 30),
                most=st.none() | st.integers(1, 60),
            ),
            st.integers(0, 90),
        ),
        min_size=1,
        max_size=10,
    ),
    st.integers(1, 200),
)
def test_a_row_is_never_wider_than_there_is_room(table: list[tuple[Column, int]], room: int) -> None:
    """Whatever the columns and the texts are; one column always stays, and of the others those that stay longest."""
    columns, natural = [column for column, _ in table], [cells for _, cells in table]
    given = widths(columns, natural, room)
    shown = [cells for cells in given if cells is not None]
    assert shown
    assert sum(shown) + GAP * (len(shown) - 1) <= max(room, 1)
    left = [column.stays for column, cells in zip(columns, given, strict=True) if cells is None]
    stayed = [column.stays for column, cells in zip(columns, given, strict=True) if cells is not None]
    assert max(left, default=0) <= min(stayed) or not left
