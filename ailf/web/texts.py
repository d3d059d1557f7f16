"""Values as a page shows them: lengths of time, sizes, numbers, times; nothing of HTML."""

import math
from datetime import UTC, datetime

from ailf.async_tasks.texts import line

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
KIB = 1024


def length(seconds: float | None) -> str:
    """A length of time, as precise as is of interest."""
    if seconds is None or not math.isfinite(seconds):
        return "" if seconds is None else "for ever"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < MINUTE:
        return f"{seconds:.1f} s"
    if seconds < HOUR:
        return f"{int(seconds // MINUTE)} min {int(seconds % MINUTE):02d} s"
    if seconds < DAY:
        return f"{int(seconds // HOUR)} h {int(seconds % HOUR // MINUTE):02d} min"
    return f"{int(seconds // DAY)} d {int(seconds % DAY // HOUR):02d} h"


def size(number: int) -> str:
    """A number of bytes."""
    value = float(number)
    for unit in ("B", "KiB", "MiB"):
        if value < KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KIB
    return f"{value:.1f} GiB"


def number(value: float) -> str:
    """A number with its thousands apart."""
    return f"{value:,}"


def percent(progress: float) -> str:
    """A progress."""
    return f"{progress:.0f} %" if progress == int(progress) else f"{progress:.1f} %"


def exact(moment: datetime) -> str:
    """A time to the microsecond, in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def clock(moment: datetime, now: datetime) -> str:
    """A time for readers whose zone is not known yet: in UTC, without the day where that is today."""
    here = moment.astimezone(UTC)
    return here.strftime("%H:%M:%S UTC" if here.date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M UTC")


def short_id(task_id: str) -> str:
    """The end of an id, which tells it from its neighbours: a UUID of version 7 begins with the time."""
    return task_id[-12:] if len(task_id) == 36 and task_id.count("-") == 4 else line(task_id, 40)  # noqa: PLR2004 - a UUID's
