"""Texts for people: lengths of time, sizes, columns, and nothing that a terminal would obey."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import ResultFormat, TaskStatus
from ailf.cli import gantt
from ailf.cli.options import seconds_of
from ailf.cli.words import cells, columns, fitted, harmless, length, short_id, shortened, size

START = datetime(2026, 11, 24, 3, tzinfo=UTC)


@given(st.text(st.characters()))
def test_nothing_reaches_a_terminal_but_text(text: str) -> None:
    """Whatever the text, every character is printable, or a line break where these are wanted."""
    assert harmless(text).isprintable()
    assert harmless(text, lines=True).replace("\n", "").replace("\t", "").isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ✓", "plain ✓"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\r\nb\tc", "a  b c"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    """As Python spells them; what was harmless stays as it is."""
    assert harmless(text) == shown


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("1.5m", 90),
        ("1h30m", 5400),
        ("7d", 604800),
        ("2w", 1209600),
        ("250ms", 0.25),
        ("0s", 0),
    ],
)
def test_lengths_of_time_are_read(text: str, seconds: float) -> None:
    """A number and its unit, or several of these."""
    assert seconds_of(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "-1", "1y", "h", "1 h", "1h-", "nan", "inf", "1e3"])
def test_what_is_no_length_of_time(text: str) -> None:
    """It is refused rather than guessed at."""
    with pytest.raises(ValueError, match="is no length of time"):
        seconds_of(text)


@pytest.mark.parametrize(("text", "said"), [("5", "write 5s or 5d"), ("0", "write 0s or 0d"), ("1.5", "1.5s or 1.5d")])
def test_a_length_without_a_unit(text: str, said: str) -> None:
    """Five days may have been meant, or five seconds: both spellings are named."""
    with pytest.raises(ValueError, match=said):
        seconds_of(text, ("s", "d"))


@pytest.mark.parametrize(
    ("text", "most", "at_the_end", "in_the_middle"),
    [
        ("abcdef", 6, "abcdef", "abcdef"),
        ("abcdef", 4, "abc…", "ab…f"),
        ("abcdef", 5, "abcd…", "ab…ef"),
        ("abcdef", 1, "…", "…"),
        ("日本語", 6, "日本語", "日本語"),
        ("日本語", 5, "日本…", "日…語"),
        ("日本語", 4, "日…", "日…"),
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301", "e\u0301e\u0301e\u0301"),
    ],
)
def test_texts_are_fitted_in_cells(text: str, most: int, at_the_end: str, in_the_middle: str) -> None:
    """An ellipsis for what is left out; a wide character is never cut in two."""
    assert fitted(text, most) == at_the_end
    assert fitted(text, most, in_the_middle=True) == in_the_middle


@given(st.text(st.characters(exclude_categories=["C"])), st.integers(1, 40))
def test_a_fitted_text_fits(text: str, most: int) -> None:
    """Whatever is in it, with its middle or its end left out."""
    for in_the_middle in (False, True):
        assert cells(fitted(text, most, in_the_middle=in_the_middle)) <= most


@given(st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["C"])))
def test_most_texts_are_measured_without_rich(text: str) -> None:
    """And come out as rich has them."""
    assert cells(text) == cell_len(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0.000s"), (1.5, "1.500s"), (12.34, "12.3s"), (61, "1m01s"), (3700, "1h01m"), (90000, "1d01h")],
)
def test_lengths_of_time_are_written(seconds: float | None, text: str) -> None:
    """As precise as is of interest."""
    assert length(seconds) == text


def test_sizes_and_short_texts() -> None:
    """Units of 1024; an ellipsis for what is left out; the end of a UUID, and other ids whole."""
    assert [size(number) for number in (0, 1023, 1024, 1536 * 1024, 3 * 1024**3)] == [
        *("0 B", "1023 B", "1.0 KiB", "1.5 MiB", "3.0 GiB")
    ]
    assert (shortened("abcdef", 4), shortened("abcd", 4)) == ("abc…", "abcd")
    assert short_id("01a20bfb-6aba-7394-a693-a43062c589ee") == "a43062c589ee"
    assert short_id("my-own-id") == "my-own-id"


def test_columns_are_as_wide_as_they_need_to_be() -> None:
    """Without blanks at the ends of lines."""
    assert columns(("a", "long"), [("xyz", "1"), ("", "2")]) == "a    long\nxyz  1\n     2"
    assert columns(("a", "b"), [("日本語", "1"), ("xyz", "2")]) == "a       b\n日本語  1\nxyz     2"


def task(started: float | None, ended: float | None) -> TaskInfo:
    """A task submitted at the start, that began and ended so many seconds later."""

    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else START + timedelta(seconds=seconds)

    return TaskInfo(
        *("id", "name", TaskStatus.RUNNING, None, 0, None, START, at(started), at(ended), None, {}, None),
        *(ResultFormat.JSON, None, None, None, "o1"),
    )


@pytest.mark.parametrize(
    ("started", "ended", "drawn"),
    [
        (2, 5, "··▒▒▒▒    "),
        (0, 0, "▒         "),
        (2, None, "··▒▒▒▒▒▒▒▶"),
        (None, None, "··········"),
        (None, 4, "····      "),
        (0, 9, "▒▒▒▒▒▒▒▒▒▒"),
    ],
)
def test_a_bar_shows_where_a_task_waited_and_ran(started: float | None, ended: float | None, drawn: str) -> None:
    """Dots, then blocks; what runs on has an arrow."""
    period = gantt.Period(START, START + timedelta(seconds=10), 10)
    assert gantt.bar(task(started, ended), period, START + timedelta(seconds=9.5)) == drawn


@given(*[st.floats(-100, 100)] * 2, st.none() | st.floats(0, 100), st.none() | st.floats(0, 100), st.integers(1, 50))
def test_a_bar_is_as_wide_as_the_period(
    begin: float, long: float, waited: float | None, ran: float | None, width: int
) -> None:
    """Wherever a task lies, before, in, over or after it."""
    period = gantt.Period(START + timedelta(seconds=begin), START + timedelta(seconds=begin + abs(long) + 1), width)
    ended = None if ran is None else (waited or 0) + ran
    now = START + timedelta(seconds=201)
    assert len(gantt.bar(task(waited, ended), period, now)) == width


def test_the_axis_fills_its_width() -> None:
    """The times stand at the ends, where there is room for them."""
    for width in range(20, 120):
        line = gantt.axis(gantt.Period(START, START + timedelta(hours=1), width))
        assert len(line) == width or width < len(line) < 30
