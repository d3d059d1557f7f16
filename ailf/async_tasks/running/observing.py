"""Those who want to hear of each task of a manager: the log, and whoever an application adds."""

import logging
from collections.abc import Sequence

from ailf.async_tasks.guard import PROGRAM_ENDS, log
from ailf.async_tasks.model import Outcome
from ailf.async_tasks.states import TaskStatus


class Observer:
    """Hears of the tasks of a manager; a subclass has those of the methods that it cares about.

    They are called on the event loop and must return at once. What they raise is logged, and disturbs no task.
    """

    def submitted(self, task_id: str, name: str) -> None:
        """A task is in the journal; called in the context of whoever submits it."""

    def started(self, task_id: str, name: str) -> None:
        """A task begins to run; called in its own context, before its first line."""

    def ended(self, task_id: str, name: str, outcome: Outcome) -> None:
        """A task has ended, and its end is in the journal."""


class TaskLog(Observer):
    """Writes to the logger ``ailf.async_tasks``; each record has the task's id as ``task_id``."""

    def submitted(self, task_id: str, name: str) -> None:
        """At level DEBUG."""
        if log.is_enabled_for(logging.DEBUG):
            log.debug("Task %r (%s) was submitted.", name, task_id, extra={"task_id": task_id})

    def started(self, task_id: str, name: str) -> None:
        """At level DEBUG."""
        if log.is_enabled_for(logging.DEBUG):
            log.debug("Task %r (%s) started.", name, task_id, extra={"task_id": task_id})

    def ended(self, task_id: str, name: str, outcome: Outcome) -> None:
        """At level INFO; of one that failed at WARNING, with its error and the traceback."""
        if outcome.status is TaskStatus.FAILED:
            log.warning(
                "Task %r (%s) failed: %s",
                name,
                task_id,
                outcome.failure,
                exc_info=outcome.exception,
                extra={"task_id": task_id},
            )
        elif log.is_enabled_for(logging.INFO):
            log.info("Task %r (%s) %s.", name, task_id, outcome.status, extra={"task_id": task_id})


class Observers:
    """All of them, none of whom can disturb a task or another observer."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def submitted(self, task_id: str, name: str) -> None:
        """A task is in the journal."""
        for observer in self._observers:
            try:
                observer.submitted(task_id, name)
            except PROGRAM_ENDS:
                raise
            except BaseException:  # noqa: BLE001 - whatever an observer raises
                _say(task_id)

    def started(self, task_id: str, name: str) -> None:
        """A task begins to run."""
        for observer in self._observers:
            try:
                observer.started(task_id, name)
            except PROGRAM_ENDS:
                raise
            except BaseException:  # noqa: BLE001 - whatever an observer raises
                _say(task_id)

    def ended(self, task_id: str, name: str, outcome: Outcome) -> None:
        """A task has ended."""
        for observer in self._observers:
            try:
                observer.ended(task_id, name, outcome)
            except PROGRAM_ENDS:
                raise
            except BaseException:  # noqa: BLE001 - whatever an observer raises
                _say(task_id)


def _say(task_id: str) -> None:
    log.exception("An observer failed, of which task %s knows nothing.", task_id, extra={"task_id": task_id})
