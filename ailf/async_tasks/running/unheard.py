"""Failures that nobody waits for: where no logging is set up to tell of them, they are told nevertheless.

As asyncio tells of an exception that was never retrieved. Where the application has set up logging, the record that
``TaskLog`` writes of each failure is enough.
"""

import asyncio
import logging
from contextlib import suppress
from types import TracebackType

from ailf.async_tasks.model import Ending
from ailf.async_tasks.running.log_capture import HANDLER

GRACE_SECONDS = 5.0
"""How long after its end a failed task may still find somebody who asks how it ended."""

log = logging.getLogger("ailf.async_tasks")


class Unheard:
    """The tasks that have failed lately, and that nobody has asked for yet."""

    def __init__(self) -> None:
        self._waiting: dict[str, Ending] = {}

    def failed(self, task_id: str, ending: Ending) -> None:
        """A task has failed, and nobody waited for it; somebody still may."""
        if is_logging_set_up():
            return
        self._waiting[task_id] = ending
        # Where the loop is gone, tell_all has the last word.
        with suppress(RuntimeError):
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._tell, task_id, ending)

    def asked(self, task_id: str) -> None:
        """Somebody has been told how a task ended; from any thread."""
        self._waiting.pop(task_id, None)

    def tell_all(self) -> None:
        """Tell of all of them: nobody will ask any more."""
        for task_id, ending in list(self._waiting.items()):
            self._tell(task_id, ending)

    def _tell(self, task_id: str, ending: Ending) -> None:
        if self._waiting.get(task_id) is not ending:
            return
        del self._waiting[task_id]
        if logging.lastResort is not None:
            logging.lastResort.handle(
                log.makeRecord(
                    log.name,
                    logging.ERROR,
                    __file__,
                    0,
                    "Task %r (%s) failed, and nobody has asked how it ended: %s",
                    (ending.name, task_id, ending.outcome.failure),
                    exc_info_of(ending),
                )
            )


def exc_info_of(ending: Ending) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    """The exception of a failed task as a log record has it."""
    error = ending.outcome.exception
    return None if error is None else (type(error), error, error.__traceback__)


def is_logging_set_up() -> bool:
    """Whether a record of ours would reach any handler but those that do nothing."""
    logger: logging.Logger | None = log
    while logger is not None:
        # The one that captures what tasks log shows nothing of it to anybody.
        if any(handler is not HANDLER and not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
