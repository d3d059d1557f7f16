"""Run asyncio tasks, and remember everything that happened to them in a SQLite journal."""

import logging

from ailf.async_tasks.conditions import Conditions
from ailf.async_tasks.history import History
from ailf.async_tasks.manager import TaskManager
from ailf.async_tasks.model import Deletion, Health, LogLine, Outcome, TaskEvent, TaskInfo
from ailf.async_tasks.running import CurrentTask, Observer, current_task
from ailf.async_tasks.states import EventKind, Reason, ResultFormat, TaskStatus

__all__ = [
    "Conditions",
    "CurrentTask",
    "Deletion",
    "EventKind",
    "Health",
    "History",
    "LogLine",
    "Observer",
    "Outcome",
    "Reason",
    "ResultFormat",
    "TaskEvent",
    "TaskInfo",
    "TaskManager",
    "TaskStatus",
    "current_task",
]

# An application that does not configure logging is told nothing: what happens is in the journal.
logging.getLogger("ailf.async_tasks").addHandler(logging.NullHandler())
