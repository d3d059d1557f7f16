"""One guard for every call of what is not ours: handlers of the log, observers, callbacks.

What they raise is told to ``sys.unraisablehook``, Python's own last resort, and disturbs nobody: no neighbour
that waits to be told, no thread of ours. That is so for all that can be raised, a CancelledError included, which
somebody has got from a future of his own and which cancels nothing of ours.
"""

import logging
import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

PROGRAM_ENDS = (KeyboardInterrupt, SystemExit)
"""What is meant for the whole program, and so goes through every guard; in the main thread, where it comes from."""


def guarded(call: Callable[..., object], *arguments: Any, **keywords: Any) -> None:
    """Call what may raise anything.

    Args:
        call: what to call.
        arguments: with these.
        keywords: and these.
    """
    try:
        call(*arguments, **keywords)
    except BaseException as error:
        if isinstance(error, PROGRAM_ENDS) and threading.current_thread() is threading.main_thread():
            raise
        unraisable(error, call)


def unraisable(error: BaseException, where: object) -> None:
    """Tell of an error that nobody can be given, however the hook itself behaves.

    Args:
        error: what was raised.
        where: by what.
    """
    # The interpreter's own type of this cannot be made in Python.
    told: Any = SimpleNamespace(
        exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__, err_msg=None, object=where
    )
    try:
        sys.unraisablehook(told)
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001, S110 - there is nobody left to tell
        pass


class GuardedLog:
    """A logger whose handlers and filters may raise: what they do stays theirs."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)
        self.is_enabled_for = self._logger.isEnabledFor
        """Whether anybody wants a level, so that nothing is put into words for nobody."""

    def debug(self, message: str, *values: Any, **keywords: Any) -> None:
        """At level DEBUG."""
        self._log(logging.DEBUG, message, values, keywords)

    def info(self, message: str, *values: Any, **keywords: Any) -> None:
        """At level INFO."""
        self._log(logging.INFO, message, values, keywords)

    def warning(self, message: str, *values: Any, **keywords: Any) -> None:
        """At level WARNING."""
        self._log(logging.WARNING, message, values, keywords)

    def error(self, message: str, *values: Any, **keywords: Any) -> None:
        """At level ERROR."""
        self._log(logging.ERROR, message, values, keywords)

    def exception(self, message: str, *values: Any, **keywords: Any) -> None:
        """At level ERROR, with the exception that is being handled."""
        self._log(logging.ERROR, message, values, {"exc_info": True} | keywords)

    def _log(self, level: int, message: str, values: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        # The record names the line that called, not this one.
        guarded(self._logger.log, level, message, *values, stacklevel=4, **keywords)


log = GuardedLog("ailf.async_tasks")
"""What the task manager says."""
