"""Run asyncio tasks, and remember everything that happened to them in a SQLite journal."""

from ailf.async_tasks.context import CurrentTask, current_task
from ailf.async_tasks.manager import TaskManager
from ailf.async_tasks.model import Health, TaskEvent, TaskInfo
from ailf.async_tasks.states import EventKind, Reason, ResultFormat, TaskStatus

__all__ = [
    "CurrentTask",
    "EventKind",
    "Health",
    "Reason",
    "ResultFormat",
    "TaskEvent",
    "TaskInfo",
    "TaskManager",
    "TaskStatus",
    "current_task",
]
