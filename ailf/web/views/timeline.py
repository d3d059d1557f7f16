"""Timeline: who waited and ran when, children under their parents, as far out or in as one likes."""

from contextlib import suppress
from datetime import datetime, timedelta

from ailf.async_tasks.journal.reading import reports
from ailf.errors import InvalidArgumentError
from ailf.web.addresses import address, chosen_length, chosen_moment
from ailf.web.charts import ticks, timeline_rows
from ailf.web.texts import exact
from ailf.web.views.asking import Answer, Asking, View

MOST_ROWS = 300
LATEST = 40
"""Of how many tasks a timeline is that nobody named a period for: the last."""

MARGIN = 0.02
FINE = timedelta(seconds=20)
"""Shorter periods have their times to the millisecond."""

LEAST = timedelta(milliseconds=10)
LONGEST = timedelta(days=3650)
SPANS = {"1m": "1 min", "5m": "5 min", "15m": "15 min", "1h": "1 h", "6h": "6 h", "24h": "24 h", "7d": "7 d"}


def _answer(asking: Asking) -> Answer:
    span = chosen_length(asking.pairs, "span")
    until = chosen_moment(asking.pairs, "until", asking.now)
    if span is not None and span > LONGEST:
        raise InvalidArgumentError("span is longer than a journal lives; give 1h, 24h or 7d.")
    if span is None and until is None:
        begin, end, lines = _latest(asking)
    else:
        end = until or asking.now
        try:
            begin = end - (span or timedelta(hours=1))
        except OverflowError:
            raise InvalidArgumentError("The period begins before the calendar does; give a later until.") from None
        lines = reports.period_lines(asking.reader, begin, end, MOST_ROWS + 1)
    rows = timeline_rows(lines[-MOST_ROWS:], begin, end, asking.now)
    return Answer(
        {
            "rows": rows,
            "begin": begin,
            "end": end,
            "ticks": ticks(begin, end),
            "is_fine": end - begin < FINE,
            "has_more": len(lines) > MOST_ROWS,
            "most": MOST_ROWS,
            "latest": LATEST if span is None and until is None else None,
            "spans": [
                (title, _at(word, until), span == chosen_length((("s", word),), "s")) for word, title in SPANS.items()
            ],
            **_steps(begin, end, asking.now),
        },
        is_live=until is None,
    )


def _latest(asking: Asking) -> tuple[datetime, datetime, list[reports.Line]]:
    """The last tasks, in the period that they took."""
    lines = reports.period_lines(asking.reader, datetime(1, 1, 1, tzinfo=asking.now.tzinfo), asking.now, LATEST)
    if not lines:
        return asking.now - timedelta(hours=1), asking.now, []
    begin = min(line.created_at for line in lines)
    end = max(line.completed_at or asking.now for line in lines)
    room = max((end - begin) * MARGIN, LEAST)
    with suppress(OverflowError):
        begin, end = begin - room, end + room
    return begin, end, lines


def _at(word: str, until: datetime | None) -> str:
    return address("timeline", {"span": word, "until": until and exact(until)})


def _steps(begin: datetime, end: datetime, now: datetime) -> dict[str, str | None]:
    """The addresses of the period before, of the one after, and of twice and half as much."""
    length = end - begin
    seconds = max(1, round(length.total_seconds()))
    middle = begin + length / 2

    def period(stop: datetime, span: int) -> str:
        return address("timeline", {"span": f"{max(1, span)}s", "until": exact(stop)})

    try:
        return {
            "earlier": period(begin, seconds),
            "later": period(end + length, seconds) if end < now else None,
            "closer": period(middle + length / 4, seconds // 2) if seconds > 1 else None,
            "wider": period(min(middle + length, max(end, now)), seconds * 2),
        }
    except OverflowError:
        return {"earlier": None, "later": None, "closer": None, "wider": None}


TIMELINE = View("timeline", "Timeline", _answer, ("chart",), every_seconds=2.0)
