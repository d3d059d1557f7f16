"""Times as people and agents write them."""

from datetime import UTC, datetime, timedelta

import pytest

from ailf.async_tasks.moments import length_of, moment_of
from ailf.errors import InvalidArgumentError

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)


def test_times() -> None:
    """How long ago, when, in UTC where no zone is named, or a day by the clock of the machine."""
    assert moment_of("90s", "since", NOW) == NOW - timedelta(seconds=90)
    assert moment_of(" 2026-11-24T03:00 ", "since", NOW) == NOW
    assert moment_of("2026-11-24T04:00+01:00", "since", NOW) == NOW
    today, yesterday = (moment_of(word, "since", NOW) for word in ("today", "yesterday"))
    assert yesterday < today <= datetime.now(UTC)
    assert timedelta(hours=22) < today - yesterday < timedelta(hours=26)


@pytest.mark.parametrize("text", ["", "soon", "7", "99999999d", "2026-13-01", "\x1b[2J", "x" * 10_000])
def test_what_is_no_time_is_said_to_be(text: str) -> None:
    """With what to write instead, harmless and short."""
    with pytest.raises(InvalidArgumentError, match=r"since is .* 24h") as caught:
        moment_of(text, "since", NOW)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_lengths() -> None:
    """A number and a unit; nothing lasts no time at all."""
    assert length_of("5m", "span") == timedelta(minutes=5)
    for wrong in ("0s", "5", "m", "999999999w"):
        with pytest.raises(InvalidArgumentError, match="span"):
            length_of(wrong, "span")
