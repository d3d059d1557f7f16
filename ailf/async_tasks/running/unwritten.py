"""Rows as this process knows them: with progress that was not written when they were read, with the very results."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ailf.async_tasks.model import TaskInfo, microseconds_of
from ailf.async_tasks.running.live_task import LiveTask
from ailf.async_tasks.running.remembered import Remembered
from ailf.async_tasks.states import TaskStatus


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What one read is completed with, taken before it; for any thread."""

    before: Mapping[str, LiveTask]
    """The tasks as of the moment before the read: each is the latest word on itself, then and later."""
    tasks: Mapping[str, LiveTask]
    """The tasks as they come and go."""
    remembered: Remembered

    def laid_over(self, info: TaskInfo) -> TaskInfo:
        """A task that was read, as this process knows it."""
        if info.status is TaskStatus.COMPLETED:
            return self.remembered.laid_over(info)
        task = self.tasks.get(info.id) or self.before.get(info.id)
        # An id may come again, as another process's task, while the first one here has not noticed yet.
        if task is None or info.status.is_ended or task.created_at != microseconds_of(info.created_at):
            return info
        progress, message = task.reported
        return replace(info, progress=progress, progress_message=message)
