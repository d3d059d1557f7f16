"""The periods that a view may be about."""

from dataclasses import dataclass
from datetime import datetime

from ailf.errors import InvalidArgumentError
from ailf.web.addresses import Pairs, address, chosen_moment, one

PERIODS = {"1h": "Hour", "24h": "Day", "7d": "Week", "30d": "Month", "all": "All"}


@dataclass(frozen=True, slots=True)
class Period:
    """A period that goes up to now."""

    word: str
    since: datetime | None
    """When it begins; None is with the journal."""
    choices: list[tuple[str, str, bool]]
    """The title and the address of each, and whether it is this one."""


def chosen_period(view: str, pairs: Pairs, now: datetime) -> Period:
    """The period that an address asks for; all there is, where it asks for none.

    Raises:
        InvalidArgumentError: there is no such one.
    """
    word = one(pairs, "period") or "all"
    choices = [(title, address(view, {"period": short}), short == word) for short, title in PERIODS.items()]
    try:
        since = None if word == "all" else chosen_moment((("period", word),), "period", now)
    except InvalidArgumentError:
        raise InvalidArgumentError(f"period is {word[:60]!r}; give one of {', '.join(PERIODS)}.") from None
    return Period(word, since, choices)
