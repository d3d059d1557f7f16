"""Tasks: filters, an order, pages by key."""

from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.reports import Order
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.web.addresses import Asked, address, asked, metadata_items, several
from ailf.web.views.asking import Answer, Asking, View

TASKS_A_PAGE = 50

COLUMNS = {
    Order.NAME: "Task",
    Order.STATUS: "State",
    Order.PROGRESS: "Progress",
    Order.CREATED: "Submitted",
    Order.ENDED: "Ended",
    Order.DURATION: "Took",
}

FIELDS = (
    "text",
    "since",
    "until",
    "ended_since",
    "ended_until",
    "parent",
    "error_type",
    "kind",
)


def _answer(asking: Asking) -> Answer:
    question = asked(asking.pairs, asking.now)
    page = reports.page(
        asking.reader,
        question.wanted,
        question.order,
        descending=question.descending,
        limit=TASKS_A_PAGE,
        after=question.after,
        at=asking.now,
    )
    following = page.following
    return Answer(
        {
            "page": page,
            "reach": reports.REACH,
            "columns": [_column(order, question) for order in COLUMNS],
            "states": [_state(status, question) for status in TaskStatus],
            "reasons": [(reason, reason in (question.wanted.reasons or ())) for reason in Reason],
            # Each with an empty one behind it, for one more.
            "names": [*several(question.pairs, "name"), ""],
            "items": [*metadata_items(question.pairs), ("", "")],
            "fields": {name: next((value for key, value in question.pairs if key == name), "") for name in FIELDS},
            "sort": question.order,
            "descending": question.descending,
            "is_filtered": any(key not in ("sort", "order") for key, _ in question.pairs),
            "is_first": question.after is None,
            "first": address("tasks", question.pairs),
            "following": following and address("tasks", [*question.pairs, ("after", reports.place_text(following))]),
        },
        is_live=question.after is None,
    )


def _column(order: Order, question: Asked) -> dict[str, object]:
    """A column's head: its address sorts by it, and the other way round where that is so already."""
    is_chosen = order is question.order
    descending = not question.descending if is_chosen else order is not Order.NAME
    kept = [pair for pair in question.pairs if pair[0] not in ("sort", "order")]
    way = "desc" if descending else "asc"
    return {
        "order": order,
        "title": COLUMNS[order],
        "address": address("tasks", [*kept, ("sort", order), ("order", way)]),
        "sorted": ("descending" if question.descending else "ascending") if is_chosen else None,
    }


def _state(status: TaskStatus, question: Asked) -> dict[str, object]:
    return {"status": status, "is_chosen": status in (question.wanted.statuses or ())}


TASKS = View("tasks", "Tasks", _answer, ("list",), every_seconds=1.0)
