"""Values as text, as precise as is of interest."""

from datetime import UTC, datetime, timedelta, timezone

from ailf.web import texts


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
