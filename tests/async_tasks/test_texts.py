"""Texts of anybody's: harmless, cut."""

import pytest

from ailf.async_tasks import texts


@pytest.mark.parametrize(
    ("text", "shown"),
    {
        "plain": "plain",
        "a\x1b[2Jb": r"a\x1b[2Jb",
        "\u202egnp.exe": r"\u202egnp.exe",
        "\x9b31m": r"\x9b31m",
        "zero\u200bwidth": r"zero\u200bwidth",
        "half \ud800": r"half \ud800",
        "seen\U000e0041\U000e0100": r"seen\U000e0041\U000e0100",
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
