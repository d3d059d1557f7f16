"""Awaiting a Celery task from asyncio."""

import asyncio
import inspect
import sys
from collections.abc import Coroutine
from typing import Any
from uuid import uuid4

from ailf.errors import AilfError, ManagerError, RemoteTaskError, RemoteTimeoutError, WorkerLostError
from ailf.workers.checks import check_call
from ailf.workers.watch import Progress, Watch


def run_celery(
    signature: Any,
    *,
    progress: Progress | None = None,
    timeout: float | None = None,
    worker_timeout: float = 60.0,
) -> Coroutine[Any, Any, Any]:
    """Send a Celery task, and wait for its result without blocking the event loop.

    In a task of a ``TaskManager``, which has the Celery task's name, the progress of the Celery task becomes that
    task's progress, and its failure that task's failure, with the worker's type and traceback::

        await manager.submit(run_celery(process_document.s("doc1")))

    When the wait is cancelled, or is past its time limit, the Celery task is revoked: one that runs is
    terminated, one that waits never starts.

    With ``task_always_eager`` the task runs in a thread of this process, and no server is needed.

    Args:
        signature: what to run, such as ``process_document.s("doc1")``; a chain or a chord too.
        progress: called with (0 to 100, message) for each progress that the task reports, and not awaited; what it
            raises ends the wait, and revokes the task. None tells the task of the ``TaskManager`` that this runs in,
            if any.
        timeout: seconds for all of it; None waits for as long as there is a sign of life.
        worker_timeout: seconds without any sign of life after which the task counts as lost. A worker of
            the pool "solo" on another machine gives none while it works.

    Returns:
        A coroutine, which returns what the Celery task returned.

    Raises:
        RemoteTaskFailedError: the task raised; it also is of the type that the task raised, where that is known here.
        RemoteTaskRevokedError: somebody else revoked it.
        RemoteTimeoutError: ``timeout`` ran out.
        WorkerLostError: the worker died with it, or there is none.
        ResultExpiredError: it ended, and the back-end holds no result of it: not any more, or it never stored one.
        BrokerError: the broker or the result back-end cannot be reached.
        InvalidTypeError: it is no signature, the task does not take these arguments, no message can hold them, or
            ``progress`` is no plain function.
        InvalidArgumentError: it has no single result, as a group has, or none that is kept; or a limit is not above 0.
        WorkerError: it could not be sent for another reason.
    """
    waiting = _run(signature, progress, timeout, worker_timeout)
    # The name of a coroutine is what its task is called.
    waiting.__qualname__ = _name_of(signature)  # type: ignore[attr-defined]
    return waiting


def _name_of(signature: Any = None, **_limits: Any) -> str:
    """What the Celery task is called."""
    name = getattr(signature, "task", None)
    return name if isinstance(name, str) and name else run_celery.__name__


# What is submitted as partial(run_celery, signature) is named by it as well.
run_celery.__task_name__ = _name_of  # type: ignore[attr-defined]
if sys.version_info >= (3, 12):
    inspect.markcoroutinefunction(run_celery)


async def _run(signature: Any, progress: Progress | None, timeout: float | None, worker_timeout: float) -> Any:
    check_call(signature, timeout, worker_timeout, progress)
    celery_id = str(uuid4())
    watch = Watch(signature, celery_id, progress or _progress_of_the_task(), worker_timeout)
    try:
        async with asyncio.timeout(timeout):
            return await watch.run()
    except TimeoutError as error:
        if isinstance(error, RemoteTaskError) or timeout is None:
            raise
        await watch.revoke()
        raise RemoteTimeoutError(
            f"The Celery task {celery_id} was unfinished after {timeout:g} s and was revoked.", celery_id=celery_id
        ) from error
    except AilfError as error:
        if isinstance(error, WorkerLostError):
            # Whoever might still run it should not: nobody waits for it any more.
            await watch.revoke()
        raise
    except BaseException:
        # The same, where the wait was cancelled, or ``progress`` raised.
        await watch.revoke()
        raise


def _progress_of_the_task() -> Progress:
    # Looked up, not imported: where no manager is in use it is not worth the time that its import takes.
    tasks = sys.modules.get("ailf.async_tasks")
    if tasks is None:
        return _tell_nobody
    try:
        progress: Progress = tasks.current_task().update_progress
    except ManagerError:
        return _tell_nobody
    return progress


def _tell_nobody(_progress: float, _message: str | None) -> None:
    """Stand in where nobody wants to know."""
