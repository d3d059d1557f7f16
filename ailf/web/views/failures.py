"""Failures: a line for each error, however many tasks it has cost."""

from dataclasses import asdict

from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.reports import NO_TYPE, Failure
from ailf.web.addresses import address, one
from ailf.web.views.asking import Answer, Asking, View
from ailf.web.views.periods import Period, chosen_period

MOST_GROUPS = 100


def _answer(asking: Asking) -> Answer:
    period = chosen_period("failures", asking.pairs, asking.now)
    every = one(asking.pairs, "all") is not None
    most = reports.EVERY if every else reports.FAILURES_LOOKED_AT
    found = reports.failures(asking.reader, period.since, most)
    return Answer(
        {
            "groups": [asdict(group) | {"list": _list(group, period)} for group in found.groups[:MOST_GROUPS]],
            "more_groups": max(0, len(found.groups) - MOST_GROUPS),
            "found": found,
            "period": period,
            "every": address("failures", [("period", period.word), ("all", "yes")]),
        },
        # To go through them all takes as long as there are many.
        is_live=not every,
    )


def _list(group: Failure, period: Period) -> str:
    words = {"state": "failed", "name": group.name, "error_type": group.error_type or NO_TYPE, "kind": group.kind}
    return address("tasks", words | {"ended_since": period.word if period.since else None, "sort": "ended"})


FAILURES = View("failures", "Failures", _answer, ("groups",), every_seconds=2.0)
