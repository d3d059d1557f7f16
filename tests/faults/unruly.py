"""What a program brings along that embeds a manager: observers and handlers that raise, garbage that calls back in."""

import asyncio
import gc
import logging
from collections.abc import Callable
from contextlib import suppress
from random import Random

from ailf.async_tasks import Observer, Outcome
from ailf.errors import AilfError

RAISED: tuple[type[BaseException], ...] = (RuntimeError, MemoryError, RecursionError, asyncio.CancelledError)

ALLOCATIONS_A_COLLECTION = 50


class UnrulyObserver(Observer):
    """Raises, half of the time, whatever comes to its mind."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def _raise(self) -> None:
        if self._random.random() < 0.5:
            raise self._random.choice(RAISED)

    def submitted(self, task_id: str, name: str) -> None:
        """A task is in the journal."""
        self._raise()

    def started(self, task_id: str, name: str) -> None:
        """A task begins to run."""
        self._raise()

    def ended(self, task_id: str, name: str, outcome: Outcome) -> None:
        """A task has ended."""
        self._raise()


class UnrulyHandler(logging.Handler):
    """The same of a log."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record, or raise."""
        raise self._random.choice(RAISED)


class Leftover:
    """Garbage that calls back in when it is collected, which may be in the middle of anything."""

    def __init__(self, come_back: Callable[[], object]) -> None:
        self._come_back = come_back
        # In a circle with itself, so that the collector alone finds it.
        self._itself = self

    def __del__(self) -> None:
        """Be collected."""
        # After a stop, or in a forked child, it is told that nobody listens.
        with suppress(AilfError):
            self._come_back()


def collect_often() -> None:
    """Have the collector run after every few allocations of this process."""
    gc.set_threshold(ALLOCATIONS_A_COLLECTION)
