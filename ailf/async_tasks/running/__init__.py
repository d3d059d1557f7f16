"""What this process runs: slots and their queue, each task, one piece of work to its outcome, context, observers.

It records changes and is told when they are committed; it knows no SQL. It may import the values, the checks of
arguments and what the journal says of a result and of a record, and nothing of who reads, who is alive or who manages.
"""

from ailf.async_tasks.running.context import CurrentTask, Desk, current_id, current_task, parent_at
from ailf.async_tasks.running.job import Job, Submittable, discard
from ailf.async_tasks.running.live import LiveTasks
from ailf.async_tasks.running.live_task import LiveTask
from ailf.async_tasks.running.log_capture import Capturing
from ailf.async_tasks.running.observing import Observer, Observers, TaskLog
from ailf.async_tasks.running.phases import Phase
from ailf.async_tasks.running.remembered import RESULT_MEMORY_BYTES
from ailf.async_tasks.running.unwritten import Unwritten

__all__ = [
    "RESULT_MEMORY_BYTES",
    "Capturing",
    "CurrentTask",
    "Desk",
    "Job",
    "LiveTask",
    "LiveTasks",
    "Observer",
    "Observers",
    "Phase",
    "Submittable",
    "TaskLog",
    "Unwritten",
    "current_id",
    "current_task",
    "discard",
    "parent_at",
]
