"""Running one job to its outcome.

Nothing here knows of the journal. A task's work ends in exactly one ``Outcome``, whatever it does.
"""

import asyncio
import traceback

from ailf.async_tasks.guard import PROGRAM_ENDS
from ailf.async_tasks.model import Outcome, failure_text
from ailf.async_tasks.running.job import Job, ThreadExit
from ailf.async_tasks.running.threads import Threads
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.async_tasks.texts import bounded

MAX_TRACEBACK_CHARACTERS = 20_000
MAX_ERROR_CHARACTERS = 1_000_000


async def execute(job: Job, threads: Threads, timeout: float | None, limit: asyncio.Timeout | None = None) -> Outcome:
    """Run a job to its outcome; never raises.

    Args:
        job: the job.
        threads: where plain functions run.
        timeout: its time limit in seconds.
        limit: the same, for a caller who wants to know whether it has passed.

    Returns:
        The outcome; ``fatal`` in it is a KeyboardInterrupt or SystemExit, which the caller raises again.
    """
    if timeout is not None and limit is None:
        limit = asyncio.timeout(timeout)
    try:
        if limit is None:
            value = await job.begin(threads)
        else:
            async with limit:
                value = await job.begin(threads)
    except GeneratorExit:
        # The loop is gone and the coroutine is being torn down: nothing can be said about its end.
        raise
    except asyncio.CancelledError:
        return Outcome(TaskStatus.CANCELLED, Reason.CANCELLED)
    except ThreadExit as exit_:
        return failed(exit_.error)._replace(fatal=None)
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
        exception=error,
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
        exception=error,
    )


def error_text(error: BaseException) -> str:
    """The text of an exception; the name of its type where it has none or cannot say it.

    A group of exceptions says as well which is the first of them, and how many more there are.
    """
    text = _text(error)
    if isinstance(error, BaseExceptionGroup):
        first, more = _first_of(error)
        text += f": {failure_text(qualified_name(type(first)), _text(first))}" + (f", and {more} more" if more else "")
    return bounded(text, MAX_ERROR_CHARACTERS)


def _text(error: BaseException) -> str:
    try:
        text = str(error)
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001 - an exception may define any __str__
        text = ""
    return text or type(error).__qualname__


def _first_of(group: BaseExceptionGroup[BaseException]) -> tuple[BaseException, int]:
    """The first exception in a group, whatever groups it lies in, and the number of the others."""
    waiting: list[BaseException] = [group]
    found: list[BaseException] = []
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting += reversed(error.exceptions)
        else:
            found.append(error)
    return found[0], len(found) - 1


def qualified_name(kind: type) -> str:
    """A type's name with its module, as a traceback shows it."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(error: BaseException) -> str:
    """The traceback of an exception, without the frames that ran the task, and bounded."""
    own_files = {__file__, Job.begin.__code__.co_filename, asyncio.timeouts.__file__}
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in own_files:
        frames = frames.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, frames))
    except PROGRAM_ENDS:
        raise
    except BaseException as trouble:  # noqa: BLE001 - an exception may define anything
        text = f"{qualified_name(type(error))}, whose traceback cannot be shown: {qualified_name(type(trouble))}\n"
    return bounded(text, MAX_TRACEBACK_CHARACTERS)
