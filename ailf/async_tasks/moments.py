"""Times and lengths of time as people and agents write them."""

import re
from datetime import UTC, datetime, time, timedelta

from ailf.async_tasks.texts import line
from ailf.errors import InvalidArgumentError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LENGTH = re.compile(r"(\d{1,9})([smhdw])")
_DAYS_AGO = {"today": 0, "yesterday": 1}


def moment_of(text: str, name: str, now: datetime) -> datetime:
    """The time that a text names: how long ago, when (in UTC where no zone is named), or a day's first moment here.

    Args:
        text: ``90s``, ``24h``, ``7d``, ``today``, ``yesterday``, ``2026-11-24T03:00``.
        name: what the text is the value of, for the error.
        now: when that is.

    Raises:
        InvalidArgumentError: it names none.
    """
    word = text.strip()
    try:
        if word in _DAYS_AGO:
            return midnight(_DAYS_AGO[word])
        if ago := _LENGTH.fullmatch(word):
            return now - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        moment = datetime.fromisoformat(word)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidArgumentError(
            f"{name} is {line(text, 60)!r}, which is no time; give 90s, 24h or 7d (ago), or 2026-11-24T03:00 (UTC)."
        ) from None


def midnight(days_ago: int) -> datetime:
    """When a day began by the local clock, which may have been set since then."""
    day = datetime.now().astimezone().date() - timedelta(days=days_ago)
    return datetime.combine(day, time()).astimezone(UTC)


def length_of(text: str, name: str) -> timedelta:
    """The length of time that a text names: ``5m``, ``1h``, ``7d``.

    Raises:
        InvalidArgumentError: it names none.
    """
    found = _LENGTH.fullmatch(text.strip())
    if found and int(found[1]):
        try:
            return timedelta(seconds=int(found[1]) * _UNITS[found[2]])
        except OverflowError:
            pass
    raise InvalidArgumentError(f"{name} is {line(text, 60)!r}, which is no length of time; give 5m, 1h or 7d.")
