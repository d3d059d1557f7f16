"""What is logged inside of tasks, taken to the journal: one handler on the root logger for all managers.

It is there while any manager captures. It takes no lock, since who logs may be a signal handler or a finalizer in
the middle of anything; it never raises, and it never logs.

Nobody else is to notice it. The root logger's level is lowered where it would keep records from tasks, and then the
handlers that are there hear what they heard before. And where there are no handlers at all, Python writes warnings
to standard error, which it does not do where there is this one: so this one does it.
"""

import logging
import os
import threading
from typing import ClassVar

from ailf.async_tasks.guard import PROGRAM_ENDS
from ailf.async_tasks.running.context import running_in
from ailf.async_tasks.running.log_lines import line_of_record

OWN = "ailf.async_tasks"


class Capture(logging.Handler):
    """Takes each record that is logged inside of a task whose manager captures."""

    def createLock(self) -> None:  # noqa: N802 - logging's own name
        """None: a signal handler could wait for it for ever."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record, or leave it; whatever it is, nobody who logs hears of it."""
        try:
            task = running_in()
            if task is not None:
                desk = task._desk  # noqa: SLF001 - of this room
                if desk.log_level is not None and record.levelno >= desk.log_level and not _is_own(record.name):
                    taken = line_of_record(task.id, record)
                    if taken is not None:
                        desk.log(taken)
            if record.levelno >= logging.WARNING:
                _as_without(record)
        except PROGRAM_ENDS:
            raise
        except BaseException:  # noqa: BLE001, S110 - a line that is lost is no reason to disturb who logs
            pass
        return True


def _is_own(name: object) -> bool:
    # A record that somebody made up may have anything for a name.
    return isinstance(name, str) and name.startswith(OWN) and (name == OWN or name.startswith(f"{OWN}."))


def _as_without(record: logging.LogRecord) -> None:
    """Do what Python does with a record that no handler hears."""
    last = logging.lastResort
    if last is None or record.levelno < last.level:
        return
    logger: logging.Logger | None = logging.getLogger(record.name)
    while logger is not None:
        if any(handler is not HANDLER for handler in logger.handlers):
            return
        logger = logger.parent if logger.propagate else None
    last.handle(record)


class AsBefore(logging.Filter):
    """Keeps from a handler what it heard nothing of before the root logger's level was lowered."""

    def __init__(self, level: int) -> None:
        super().__init__()
        self.level = level

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it would have been heard: a logger below the root with a level of its own decides for itself."""
        if record.levelno >= self.level:
            return True
        logger: logging.Logger | None = logging.getLogger(record.name)
        while logger is not None and logger.parent is not None:
            if logger.level:
                return True
            logger = logger.parent
        return False


HANDLER = Capture()


class Capturing:
    """Which managers capture from which level on, and what that has changed about the root logger."""

    _lock: ClassVar = threading.RLock()
    _levels: ClassVar[list[int]] = []
    _lowered: ClassVar[tuple[int, int, AsBefore, list[logging.Handler]] | None] = None

    @classmethod
    def begin(cls, level: int) -> None:
        """A manager captures from this level on."""
        with cls._lock:
            cls._levels.append(level)
            cls._arrange()

    @classmethod
    def end(cls, level: int) -> None:
        """One that did so does it no more."""
        with cls._lock:
            if level in cls._levels:
                cls._levels.remove(level)
            cls._arrange()

    @classmethod
    def assure(cls) -> None:
        """Be there again, where the application has configured its logging anew meanwhile."""
        if HANDLER not in logging.getLogger().handlers:
            with cls._lock:
                cls._arrange()

    @classmethod
    def forget(cls) -> None:
        """In a forked child, where the parent's managers are at work no more."""
        cls._lock = threading.RLock()
        cls._levels.clear()
        cls._arrange()

    @classmethod
    def _arrange(cls) -> None:
        root = logging.getLogger()
        cls._restore(root)
        if not cls._levels:
            root.removeHandler(HANDLER)
            return
        wanted = min(cls._levels)
        HANDLER.setLevel(min(wanted, logging.WARNING))
        if root.level > wanted:
            others = [handler for handler in root.handlers if handler is not HANDLER]
            as_before = AsBefore(root.level)
            for handler in others:
                handler.addFilter(as_before)
            cls._lowered = root.level, wanted, as_before, others
            root.setLevel(wanted)
        if HANDLER not in root.handlers:
            root.addHandler(HANDLER)

    @classmethod
    def _restore(cls, root: logging.Logger) -> None:
        """Give the root logger its level back, unless somebody has chosen another meanwhile."""
        if cls._lowered is None:
            return
        before, lowered, as_before, others = cls._lowered
        cls._lowered = None
        for handler in others:
            handler.removeFilter(as_before)
        if root.level == lowered:
            root.setLevel(before)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Capturing.forget)
