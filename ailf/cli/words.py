"""Values as text for people: harmless on a terminal, times by the reader's clock, lengths of time, sizes, columns."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from ailf.async_tasks.journal.care.retention import in_words
from ailf.async_tasks.states import ENDED

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
KIB = 1024

_NARROW = re.compile(r"[ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u2026]*")
"""Characters of one cell each, as nearly all are."""


def harmless(text: str, *, lines: bool = False) -> str:
    """The text with nothing in it that a terminal would obey: control characters are spelled out.

    Args:
        text: anything that somebody else wrote.
        lines: whether line breaks and tabs stay; else they become blanks.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else _spelled(letter, lines=lines) for letter in text)


def _spelled(letter: str, *, lines: bool) -> str:
    if letter in "\n\t":
        return letter if lines else " "
    if letter == "\r":
        return "" if lines else " "
    return letter.encode("unicode_escape").decode("ascii")


def shortened(text: str, most: int) -> str:
    """The text, with an ellipsis where it is longer than so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def cells(text: str) -> int:
    """How many cells of a terminal a text takes: a Chinese character takes two, an accent of its own takes none."""
    if _NARROW.fullmatch(text):
        return len(text)
    from rich.cells import cell_len  # noqa: PLC0415 - what most texts need not wait for

    return cell_len(text)


def fitted(text: str, most: int, *, in_the_middle: bool = False) -> str:
    """The text, with an ellipsis for what does not fit into so many cells.

    Args:
        text: a harmless text of one line.
        most: how many cells; 1 or more.
        in_the_middle: whether its middle is left out, so that the beginning and the end tell it from others.
    """
    if cells(text) <= most:
        return text
    end = (most - 1) // 2 if in_the_middle else 0
    return f"{_beginning(text, most - 1 - end)}…{_beginning(text[::-1], end)[::-1]}"


def _beginning(text: str, most: int) -> str:
    taken = 0
    for place, letter in enumerate(text):
        taken += cells(letter)
        if taken > most:
            return text[:place]
    return text


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text with as many blanks after it, or before it, as it takes to fill so many cells."""
    blanks = " " * (width - cells(text))
    return blanks + text if right else text + blanks


def local(moment: datetime | None) -> str:
    """A time as the reader's clock shows it."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def recent(moment: datetime, now: datetime) -> str:
    """A time, short: of today without the day, of another day without the seconds."""
    here = moment.astimezone()
    return here.strftime("%H:%M:%S" if here.date() == now.astimezone().date() else "%Y-%m-%d %H:%M")


def clock(moment: datetime, *, day: bool = False, fine: bool = False) -> str:
    """The time of day as the reader's clock shows it.

    Args:
        moment: the time.
        day: with the day.
        fine: to the millisecond.
    """
    text = moment.astimezone().strftime("%m-%d %H:%M:%S.%f" if day else "%H:%M:%S.%f")
    return text[:-3] if fine else text[:-7]


def length(seconds: float | None) -> str:
    """A length of time, as precise as is of interest."""
    if seconds is None or not math.isfinite(seconds):
        return "" if seconds is None else "for ever"
    if seconds < 10:  # noqa: PLR2004 - where a reader still cares for milliseconds
        return f"{seconds:.3f}s"
    if seconds < MINUTE:
        return f"{seconds:.1f}s"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)}m{int(seconds % MINUTE):02d}s"
    if seconds < DAY:
        return f"{int(seconds // HOUR)}h{int(seconds % HOUR // MINUTE):02d}m"
    return f"{int(seconds // DAY)}d{int(seconds % DAY // HOUR):02d}h"


def size(number: int) -> str:
    """A number of bytes."""
    value = float(number)
    for unit in ("B", "KiB", "MiB"):
        if value < KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KIB
    return f"{value:.1f} GiB"


def kept(policy: Mapping[str, float] | None) -> str:
    """For how long a manager's tasks are kept.

    Args:
        policy: seconds by end state, one that is missing for ever; None is not known.
    """
    if policy is None:
        return "as long as whoever cleans up does"
    words = {
        str(status): f"for {in_words(timedelta(seconds=policy[status]))}" if status in policy else "for ever"
        for status in sorted(ENDED)
    }
    if len(set(words.values())) == 1:
        return next(iter(words.values()))
    return ", ".join(f"{status} {how_long}" for status, how_long in words.items())


def counted(tasks: Mapping[str, int]) -> str:
    """How many tasks there are of each state."""
    return ", ".join(f"{number} {status}" for status, number in tasks.items())


def number(how_many: int, what: str) -> str:
    """So many of something, in words."""
    return f"{how_many} {what}" if how_many == 1 else f"{how_many} {what}s"


def short_id(task_id: str) -> str:
    """The end of an id, which tells it from its neighbours: a UUID of version 7 begins with the time."""
    return task_id[-12:] if len(task_id) == 36 and task_id.count("-") == 4 else task_id  # noqa: PLR2004 - a UUID's


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows below a head, in columns that are as wide as they need to be; for pipes and files."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(cells(line[index]) for line in lines) for index in range(len(head))]
    return "\n".join(
        "  ".join(padded(text, width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
