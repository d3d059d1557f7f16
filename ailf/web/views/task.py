"""One task: all that the journal knows of it."""

import logging
from typing import Any

from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.reports import Text
from ailf.async_tasks.texts import line
from ailf.errors import InvalidArgumentError, TaskNotFoundError
from ailf.web.addresses import address, one
from ailf.web.charts import progress_points, ticks
from ailf.web.trees import tree
from ailf.web.views.asking import Answer, Asking, View

MOST_EVENTS = 100
MOST_LOGS = 200
MOST_RELATIVES = 100

LEVELS = {"": "All", "10": "Debug", "20": "Info", "30": "Warning", "40": "Error"}


def _answer(asking: Asking) -> Answer:
    task_id = one(asking.pairs, "id")
    if task_id is None:
        raise InvalidArgumentError("No task is named: open one from the list of tasks.")
    sheet = reports.sheet(asking.reader, task_id)
    if sheet is None:
        raise TaskNotFoundError(
            f"No task {line(task_id, 80)!r} is in the journal: it never was, or clean-up has deleted it.",
            task_id=task_id,
        )
    level = _level(asking)
    logs = reports.last_logs(asking.reader, task_id, level=level, most=MOST_LOGS)
    progress = reports.reports_of(asking.reader, task_id)
    family = reports.family(asking.reader, task_id, MOST_RELATIVES)
    shown = sheet.line
    end = shown.completed_at or asking.now
    begin = shown.started_at or shown.created_at
    return Answer(
        {
            "sheet": sheet,
            "task": shown,
            "events": reports.last_events(asking.reader, task_id, MOST_EVENTS),
            "most_events": MOST_EVENTS,
            "points": progress_points(progress, begin, end) if progress else None,
            "ticks": ticks(begin, end, 2),
            "reports": len(progress),
            "last_progress": progress[-1] if progress else None,
            "metadata": _shown(sheet.metadata, is_json=True),
            "result": _shown(sheet.result, is_json=sheet.result_format != "repr"),
            "logs": logs,
            "levels": [
                (title, address("task", {"id": task_id, "level": word}), word == (one(asking.pairs, "level") or ""))
                for word, title in LEVELS.items()
            ],
            "level_name": None if not level else logging.getLevelName(level),
            "most_logs": MOST_LOGS,
            "family": family,
            "children": address("tasks", {"parent": task_id}),
            "unfinished_children": any(not one.line.status.is_ended for one in family.descendants),
            "owner": asking.source.owner(sheet.owner_id),
            "downloads": {
                name: address("download", {"id": task_id, "part": name})
                for name in ("result", "metadata", "error", "traceback", "log")
            },
        },
        # Once it has ended, and all that it had submitted, nothing of it changes.
        is_live=not shown.status.is_ended or any(not one.line.status.is_ended for one in family.descendants),
        logs=tuple(logs),
    )


def _level(asking: Asking) -> int:
    text = one(asking.pairs, "level")
    if text is None:
        return 0
    if not text.isdecimal() or len(text) > 4:  # noqa: PLR2004 - no level of logging's has more digits
        raise InvalidArgumentError(f"level is {line(text, 60)!r}; give a number as logging has them: 20, 30, 40.")
    return int(text)


def _shown(text: Text | None, *, is_json: bool) -> dict[str, Any] | None:
    """A text with its tree, where it is JSON and not cut."""
    if text is None:
        return None
    return {"text": text, "tree": tree(text.begin) if is_json and text.is_whole else None}


TASK = View("task", "Task", _answer, ("head", "progress", "outcome", "family", "events"))
