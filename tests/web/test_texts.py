"""Values as text: harmless, cut, as precise as is of interest."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ailf.web import texts


@pytest.mark.parametrize(
    ("text", "shown"),
    {
        "plain": "plain",
        "a\x1b[2Jb": r"a\x1b[2Jb",
        "\u202egnp.exe": r"\u202egnp.exe",
        "\x9b31m": r"\x9b31m",
        "zero\u200bwidth": r"zero\u200bwidth",
        "half \ud800": r"half \ud800",
        "lines\r\nstay\n\there": "lines\nstay\n\there",
        "한국어 العربية ✓": "한국어 العربية ✓",
    }.items(),
)
def test_what_would_do_something_is_spelled(text: str, shown: str) -> None:
    """And everything else is as it was."""
    assert texts.block(text) == shown


def test_a_line_is_one_and_cut() -> None:
    """However long and of however many lines it was."""
    assert texts.line("a\n  b\tc") == "a b c"
    assert texts.line(None) == ""
    assert texts.line("x" * 1_000_000, 10) == "x" * 9 + "…"
    assert texts.line("x" * 10, 10) == "x" * 10
    assert texts.line(" " * 100 + "x", 10) == "…"


def test_lengths_sizes_numbers() -> None:
    """As people read them."""
    lengths = [texts.length(seconds) for seconds in (None, 0.0012, 9.99, 75, 3700, 90_000)]
    assert lengths == ["", "1 ms", "10.0 s", "1 min 15 s", "1 h 01 min", "1 d 01 h"]
    assert [texts.size(number) for number in (7, 2048, 3 * 2**20, 5 * 2**30)] == [
        "7 B",
        "2.0 KiB",
        "3.0 MiB",
        "5.0 GiB",
    ]
    assert (texts.number(1234567), texts.percent(40), texts.percent(40.25)) == ("1,234,567", "40 %", "40.2 %")


def test_times() -> None:
    """Exact in UTC; short without the day of today."""
    moment = datetime(2026, 11, 24, 4, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    assert texts.exact(moment) == "2026-11-24T03:00:00.123456Z"
    assert texts.clock(moment, datetime(2026, 11, 24, 9, tzinfo=UTC)) == "03:00:00 UTC"
    assert texts.clock(moment, datetime(2026, 11, 25, 9, tzinfo=UTC)) == "2026-11-24 03:00 UTC"


def test_short_ids() -> None:
    """The end of a UUID, the whole of anything else."""
    assert texts.short_id("01890a5d-ac96-774b-bcce-b302099a8057") == "b302099a8057"
    assert texts.short_id("job 7") == "job 7"
