"""Names: what became of the tasks of each name, and how long they took."""

from ailf.async_tasks.journal.reading import reports
from ailf.web.addresses import address, exactly, one
from ailf.web.views.asking import Answer, Asking, View
from ailf.web.views.periods import chosen_period

MOST_NAMES = 200


def _answer(asking: Asking) -> Answer:
    period = chosen_period("names", asking.pairs, asking.now)
    every = one(asking.pairs, "all") is not None
    found = reports.stats(asking.reader, period.since, reports.EVERY if every else reports.TASKS_LOOKED_AT)
    tasks = sum(stats.tasks for stats in found)
    words = [("since", period.word if period.since else None), ("sort", "created")]
    return Answer(
        {
            "names": [
                (stats, address("tasks", [("name", exactly(stats.name)), *words])) for stats in found[:MOST_NAMES]
            ],
            "more_names": max(0, len(found) - MOST_NAMES),
            "tasks": tasks,
            "is_bounded": not every and tasks >= reports.TASKS_LOOKED_AT,
            "period": period,
            "every": address("names", [("period", period.word), ("all", "yes")]),
        },
        is_live=not every,
    )


NAMES = View("names", "Names", _answer, ("statistics",), every_seconds=5.0)
