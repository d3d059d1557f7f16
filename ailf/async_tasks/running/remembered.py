"""What a process remembers of the tasks that it ran: the latest ends, results that JSON cannot hold, exceptions.

All of it belongs to one submission, and not to an id, which may come again once somebody has deleted its task:
whoever looks something up says of which submission, by the time of it.
"""

import sys
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from gc import get_referents
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple, TypeVar

from ailf.async_tasks.encoding import EncodedResult
from ailf.async_tasks.guard import PROGRAM_ENDS
from ailf.async_tasks.model import Ending, Microseconds, TaskInfo, microseconds_of
from ailf.async_tasks.states import ResultFormat

T = TypeVar("T")

RECENT_ENDINGS = 10_000
"""How many ends are remembered, for those who wait for a task that has ended: a burst of tasks, say."""

SMALL_RESULT_CHARACTERS = 200
"""Up to which length of its text a result is remembered that way."""

RESULT_MEMORY_BYTES = 100_000_000
"""How much is kept of results that JSON cannot hold, unless the application says so."""

RECENT_EXCEPTIONS = 100
"""How many exceptions are remembered: each holds on to what the functions had in hand that it came through."""

BYTES_A_RESULT = 500
"""What it takes to keep one at all."""

OBJECTS_LOOKED_AT = 2_000
"""Of how many objects in one value the size is taken; each one beyond counts as the average of those that hold none."""

_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType)
"""What belongs to the program and not to a value that refers to it."""


class _Kept(NamedTuple):
    """A result that the journal has only a text of."""

    created_at: Microseconds
    value: Any
    size: int


class Remembered:
    """The results that only this process has, and the ends that it need not read in the journal.

    Results are kept up to a number of bytes, and the ones that were least recently read go first; what was kept last
    stays, however large it is, so that whoever waits for it can have it.
    """

    def __init__(self, most_bytes: int) -> None:
        """Remember nothing yet.

        Args:
            most_bytes: how much to keep of the results, as far as their size can be told.
        """
        self._most_bytes = most_bytes
        self._bytes = 0
        self._results: OrderedDict[str, _Kept] = OrderedDict()
        self._endings: OrderedDict[str, tuple[Microseconds, Ending]] = OrderedDict()
        self._exceptions: OrderedDict[str, tuple[Microseconds, BaseException]] = OrderedDict()

    def keep_result(self, task_id: str, created_at: Microseconds, value: Any) -> None:
        """Keep a result that its text does not give back as it was.

        Args:
            task_id: the task.
            created_at: when it was submitted.
            value: what it returned.
        """
        self._drop(task_id)
        size = BYTES_A_RESULT + size_of(value)
        self._results[task_id] = _Kept(created_at, value, size)
        self._bytes += size
        while self._bytes > self._most_bytes and len(self._results) > 1:
            self._drop(next(iter(self._results)))

    def _drop(self, task_id: str) -> None:
        if (kept := self._results.pop(task_id, None)) is not None:
            self._bytes -= kept.size

    def keep_ending(self, task_id: str, created_at: Microseconds, ending: Ending, result: EncodedResult | None) -> None:
        """Keep an end that is committed for a while, unless it is large.

        Args:
            task_id: the task.
            created_at: when it was submitted.
            ending: how it ended.
            result: its result as text.
        """
        outcome = ending.outcome
        if outcome.exception is not None:
            _put(self._exceptions, task_id, (created_at, outcome.exception), RECENT_EXCEPTIONS)
        if outcome.traceback is not None:
            return
        # A value that JSON cannot hold may be large, whatever its text is.
        if result is None or (result.format is ResultFormat.JSON and len(result.text) <= SMALL_RESULT_CHARACTERS):
            _put(self._endings, task_id, (created_at, ending), RECENT_ENDINGS)

    def ending(self, task_id: str) -> tuple[Microseconds, Ending] | None:
        """How the last task of this process with an id ended, where that was lately, and when it was submitted."""
        return self._endings.get(task_id)

    def laid_over(self, info: TaskInfo) -> TaskInfo:
        """A completed task with the very result that it returned, where the journal has only its text."""
        kept = self._results.get(info.id)
        if kept is None or kept.created_at != microseconds_of(info.created_at):
            return info
        # Any thread may read; meanwhile the loop may let go of it.
        with suppress(KeyError):
            self._results.move_to_end(info.id)
        return replace(info, result=kept.value)

    def exception_of(self, info: TaskInfo) -> BaseException | None:
        """What a task raised that failed, where this process ran it, and lately."""
        created_at, exception = self._exceptions.get(info.id, (0, None))
        return exception if created_at == microseconds_of(info.created_at) else None

    def result_ids(self) -> list[str]:
        """The ids of the tasks whose results are kept."""
        return list(self._results)

    def forget(self, task_id: str, created_at: Microseconds | None = None) -> None:
        """Let go of a task that the journal has no more, or not with this end.

        Args:
            task_id: the task.
            created_at: when it was submitted; None is whenever.
        """
        if (kept := self._results.get(task_id)) is not None and created_at in (None, kept.created_at):
            self._drop(task_id)
        if created_at is None:
            self._endings.pop(task_id, None)
            self._exceptions.pop(task_id, None)


def _put(kept: OrderedDict[str, T], task_id: str, thing: T, most: int) -> None:
    kept.pop(task_id, None)
    kept[task_id] = thing
    if len(kept) > most:
        # Of a plain dict, to find the first is to go past all that were taken out before it.
        kept.popitem(last=False)


def size_of(value: Any) -> int:
    """About how many bytes an object takes, with all that it refers to; what is shared with others is counted too."""
    size = leaves = size_of_leaves = 0
    seen: set[int] = set()
    waiting = [value]
    while waiting and len(seen) < OBJECTS_LOOKED_AT:
        one = waiting.pop()
        # Of the type: what a value says of its class may be anything, or raise.
        if id(one) in seen or issubclass(type(one), _SHARED):
            continue
        seen.add(id(one))
        try:
            own = sys.getsizeof(one)
        except PROGRAM_ENDS:
            raise
        except BaseException:  # noqa: BLE001 - a class may say anything of its size
            own = 0
        size += own
        if inner := get_referents(one):
            waiting += inner
        else:
            leaves, size_of_leaves = leaves + 1, size_of_leaves + own
    return size + len(waiting) * size_of_leaves // max(leaves, 1)
