"""How old things are, by a clock that may be set: what a jump ahead must not delete."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

JUMP_TOLERANCE = timedelta(minutes=1)
"""By how much the time of day may run ahead of the time that passes before it counts as set."""

_STEADY_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Passes steadily, where the system has it through a suspension as well (clock_gettime(2))."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Both clocks at one moment."""

    wall: datetime
    """The time of day, which somebody may set."""
    steady: timedelta
    """The time that has passed since some fixed moment."""


def read_clocks() -> Reading:
    """Both clocks now."""
    return Reading(datetime.now(UTC), timedelta(seconds=time.clock_gettime(_STEADY_CLOCK)))


class Ages:
    """Says which time is of an age, though the time of day may jump.

    A jump ahead makes everything look older than it is. For an age, only the time that has really
    passed counts: until a task has been kept for its time after a jump, the jump is taken off again.
    """

    def __init__(self, now: Reading) -> None:
        self._last = now
        self._jumps: list[tuple[timedelta, timedelta]] = []

    def observe(self, now: Reading) -> timedelta | None:
        """Take note of the clocks; returns by how much the time of day has jumped ahead, if it has."""
        ahead = (now.wall - self._last.wall) - (now.steady - self._last.steady)
        self._last = now
        if ahead <= JUMP_TOLERANCE:
            return None
        self._jumps.append((now.steady, ahead))
        return ahead

    def before(self, age: timedelta) -> datetime | None:
        """The time before which something must have happened to be of an age, as of the last observation.

        Args:
            age: the age.

        Returns:
            The time; None where no calendar goes back so far.
        """
        jumps = (size for seen, size in self._jumps if self._last.steady - seen < age)
        try:
            return self._last.wall - age - sum(jumps, timedelta())
        except OverflowError:
            return None
