"""Running one piece of work to an outcome: an awaitable, or a callable that makes one or runs in a thread.

Nothing here knows of the journal. A task's work ends in exactly one ``Outcome``, whatever it does.
"""

import asyncio
import functools
import inspect
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from types import CoroutineType
from typing import Any

from ailf.async_tasks.model import Outcome
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.async_tasks.texts import bounded
from ailf.errors import InvalidArgumentError, InvalidTypeError

MAX_TRACEBACK_CHARACTERS = 20_000
MAX_ERROR_CHARACTERS = 1_000_000

Submittable = Awaitable[Any] | Callable[[], Any]

_taken: set[int] = set()
"""The id() of each coroutine that a job holds: one that waits for its turn looks as new as one that nobody has."""


class Job:
    """What was submitted, ready to be run once or to be thrown away."""

    __slots__ = ("_held", "_is_awaitable", "_work")

    def __init__(self, work: Submittable) -> None:
        """Take in the work.

        Args:
            work: an awaitable, or a callable without arguments.

        Raises:
            InvalidTypeError: it is neither.
            InvalidArgumentError: it is a coroutine that was awaited or submitted already, or runs elsewhere.
        """
        self._work = work
        self._held = 0
        self._is_awaitable = isinstance(work, CoroutineType) or inspect.isawaitable(work)
        if isinstance(work, CoroutineType):
            if not _is_new(work):
                raise InvalidArgumentError(
                    f"The coroutine {work.__qualname__} was awaited or submitted already, or runs elsewhere; "
                    "call its function again for a new one."
                )
            self._held = id(work)
            _taken.add(self._held)
        elif not self._is_awaitable and not callable(work):
            raise InvalidTypeError(
                f"{type(work).__qualname__} cannot be submitted: give a coroutine, another awaitable, "
                "or a callable without arguments."
            )

    @property
    def name(self) -> str:
        """The qualified name of what runs."""
        work: Any = self._work
        if isinstance(work, asyncio.Task):
            work = work.get_coro()
        while isinstance(work, functools.partial):
            work = work.func
        name = getattr(work, "__qualname__", None)
        return name if isinstance(name, str) else type(work).__qualname__

    def begin(self) -> Awaitable[Any]:
        """Begin it; what it returns comes from awaiting this."""
        work: Any = self._work
        if self._is_awaitable:
            # Once it runs, its own state says so.
            _taken.discard(self._held)
            return work  # type: ignore[no-any-return]
        if inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(getattr(work, "__call__", None)):  # noqa: B004
            return work()  # type: ignore[no-any-return]
        return _in_thread(work)

    def discard(self) -> None:
        """Throw it away unrun, without a warning that it was never awaited."""
        _taken.discard(self._held)
        discard(self._work)

    def __del__(self, taken: set[int] = _taken) -> None:
        """Let go of the coroutine: another one may get its id()."""
        # By then the module may be gone, with the interpreter.
        taken.discard(self._held)


async def _in_thread(function: Callable[[], Any]) -> Any:
    value, error = await asyncio.to_thread(_call, function)
    if error is not None:
        raise error
    # A lambda that makes a coroutine is a plain function to everybody but its author.
    return await value if inspect.isawaitable(value) else value


def _call(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Call a function in a thread; what it raises is handed over as a value.

    The future between thread and loop takes no StopIteration, so that nobody would ever hear of the
    end, and makes a new TimeoutError, without a traceback.
    """
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001 - it is raised again on the loop
        return None, error


def discard(work: object) -> None:
    """Close a coroutine that nobody will run; leave alone one that a job holds, and whatever else it is."""
    if isinstance(work, CoroutineType) and _is_new(work):
        work.close()


def _is_new(work: Coroutine[Any, Any, Any]) -> bool:
    """Whether a coroutine was neither awaited nor taken by a job."""
    return inspect.getcoroutinestate(work) == inspect.CORO_CREATED and id(work) not in _taken


async def execute(job: Job, timeout: float | None, limit: asyncio.Timeout | None = None) -> Outcome:
    """Run a job to its outcome; never raises.

    Args:
        job: the job.
        timeout: its time limit in seconds.
        limit: the same, for a caller who wants to know whether it has passed.

    Returns:
        The outcome; ``fatal`` in it is a KeyboardInterrupt or SystemExit, which the caller raises again.
    """
    if timeout is not None and limit is None:
        limit = asyncio.timeout(timeout)
    try:
        if limit is None:
            value = await job.begin()
        else:
            async with limit:
                value = await job.begin()
    except GeneratorExit:
        # The loop is gone and the coroutine is being torn down: nothing can be said about its end.
        raise
    except asyncio.CancelledError:
        return Outcome(TaskStatus.CANCELLED, Reason.CANCELLED)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is how the task ended
        return timed_out(timeout, error) if _is_past(limit) else failed(error)
    if _is_past(limit):
        return timed_out(timeout, None)
    return Outcome(TaskStatus.COMPLETED, None, value)


def _is_past(limit: asyncio.Timeout | None) -> bool:
    return limit is not None and limit.expired()


def timed_out(timeout: float | None, error: BaseException | None) -> Outcome:
    """The outcome of a task that was past its limit, however it took the cancellation."""
    unit = "second" if timeout == 1 else "seconds"
    return Outcome(
        TaskStatus.FAILED,
        Reason.TIMEOUT,
        error=f"Task timed out after {timeout:g} {unit}",
        error_type=TimeoutError.__qualname__,
        traceback=None if error is None else traceback_text(error),
    )


def failed(error: BaseException) -> Outcome:
    """The outcome of a task that raised."""
    return Outcome(
        TaskStatus.FAILED,
        Reason.ERROR,
        error=error_text(error),
        error_type=qualified_name(type(error)),
        traceback=traceback_text(error),
        fatal=error if isinstance(error, KeyboardInterrupt | SystemExit) else None,
    )


def error_text(error: BaseException) -> str:
    """The text of an exception; the name of its type where it has none or cannot say it."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception may define any __str__
        text = ""
    return bounded(text, MAX_ERROR_CHARACTERS) or type(error).__qualname__


def qualified_name(kind: type) -> str:
    """A type's name with its module, as a traceback shows it."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(error: BaseException) -> str:
    """The traceback of an exception, without the frames that ran the task, and bounded."""
    own_files = {__file__, asyncio.timeouts.__file__}
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in own_files:
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except Exception as trouble:  # noqa: BLE001 - an exception may define anything
        text = f"{qualified_name(type(error))}, whose traceback cannot be shown: {qualified_name(type(trouble))}\n"
    return bounded(text, MAX_TRACEBACK_CHARACTERS)
