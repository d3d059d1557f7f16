"""Ages by a clock that may be set."""

from datetime import UTC, datetime, timedelta

from ailf.async_tasks.journal.care.clock import Ages, Reading, read_clocks

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
YEAR = timedelta(days=365)


def reading(passed: timedelta, ahead: timedelta = timedelta()) -> Reading:
    """The clocks after some time has passed, the time of day set ahead by some more."""
    return Reading(NOON + passed + ahead, passed)


def test_without_a_jump_an_age_is_what_it_seems() -> None:
    """A clock that nobody sets, or that is corrected by seconds, gives the plain difference."""
    ages = Ages(reading(timedelta()))
    assert ages.observe(reading(HOUR, timedelta(seconds=2))) is None
    assert ages.before(HOUR) == NOON + timedelta(seconds=2)


def test_a_jump_ahead_makes_nothing_older() -> None:
    """Right after a jump of a year, an hour ago is what it was before."""
    ages = Ages(reading(timedelta()))
    assert ages.observe(reading(HOUR, YEAR)) == YEAR
    assert ages.before(HOUR) == NOON


def test_a_jump_is_forgiven_once_everything_was_kept_in_full() -> None:
    """An hour after the jump, whatever is from before it is older than an hour; not yet older than a day."""
    ages = Ages(reading(timedelta()))
    ages.observe(reading(HOUR, YEAR))
    assert ages.observe(reading(2 * HOUR, YEAR)) is None
    assert ages.before(HOUR) == NOON + YEAR + HOUR
    assert ages.before(24 * HOUR) == NOON - 22 * HOUR


def test_a_step_back_deletes_nothing_early() -> None:
    """A clock that is set back makes things look younger, which is the safe side."""
    ages = Ages(reading(timedelta()))
    assert ages.observe(reading(HOUR, -YEAR)) is None
    assert ages.before(HOUR) == NOON - YEAR


def test_an_age_beyond_the_calendar_is_none() -> None:
    """Nothing is older than time."""
    assert Ages(reading(timedelta())).before(timedelta.max) is None


def test_the_clocks_of_this_system_agree() -> None:
    """Between two looks the two clocks move alike."""
    ages = Ages(read_clocks())
    assert ages.observe(read_clocks()) is None
