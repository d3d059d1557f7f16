"""Awaiting a Celery task from asyncio."""

import asyncio
from typing import Any
from uuid import uuid4

from ailf.errors import (
    InvalidArgumentError,
    InvalidTypeError,
    ManagerError,
    RemoteTaskError,
    RemoteTimeoutError,
    WorkerLostError,
)
from ailf.workers.watch import Progress, Watch


async def run_celery(
    signature: Any,
    *,
    progress: Progress | None = None,
    timeout: float | None = None,
    worker_timeout: float = 60.0,
) -> Any:
    """Send a Celery task, and wait for its result without blocking the event loop.

    In a task of a ``TaskManager`` the progress of the Celery task becomes that task's progress, and its failure
    that task's failure, with the worker's type and traceback::

        await manager.submit(run_celery(process_document.s("doc1")))

    When the wait is cancelled, or is past its time limit, the Celery task is revoked: one that runs is
    terminated, one that waits never starts.

    Args:
        signature: what to run, such as ``process_document.s("doc1")``; a chain or a chord too.
        progress: called with (0 to 100, message) for each progress that the task reports; None tells the task of
            the ``TaskManager`` that this runs in, if any.
        timeout: seconds for all of it; None waits for as long as there is a sign of life.
        worker_timeout: seconds without any sign of life after which the task counts as lost. A worker of
            the pool "solo" on another machine gives none while it works.

    Returns:
        What the Celery task returned.

    Raises:
        RemoteTaskFailedError: the task raised; it also is of the type that the task raised, where that is known here.
        RemoteTaskRevokedError: somebody else revoked it.
        RemoteTimeoutError: ``timeout`` ran out.
        WorkerLostError: the worker died with it, or there is none.
        ResultExpiredError: the back-end no longer holds its result.
        BrokerError: the broker or the result back-end cannot be reached.
        InvalidTypeError: it is no signature.
        InvalidArgumentError: it has no single result, as a group has, or a limit is not above 0.
    """
    _check(signature, timeout, worker_timeout)
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
    except (asyncio.CancelledError, WorkerLostError):
        # Whoever might still run it should not: nobody waits for it any more.
        await watch.revoke()
        raise


def _check(signature: Any, timeout: float | None, worker_timeout: float) -> None:
    if not all(hasattr(signature, name) for name in ("freeze", "apply_async", "clone", "app")):
        raise InvalidTypeError(
            f"run_celery takes a signature, such as process_document.s('doc1'), not {type(signature).__qualname__}."
        )
    for name, limit in {"timeout": timeout, "worker_timeout": worker_timeout}.items():
        if limit is not None and not limit > 0:
            raise InvalidArgumentError(f"{name} is {limit!r}: it has to be above 0 (seconds).")
    if str(signature.app.conf.result_backend or "disabled").startswith(("disabled", "rpc")):
        raise InvalidArgumentError(
            "run_celery needs a result back-end that every process can read: set $CELERY_RESULT_BACKEND to a Redis "
            "(redis://...) or to a database (db+postgresql://...)."
        )


def _progress_of_the_task() -> Progress:
    # Imported here: it is wanted only where a manager is in use, which has imported it.
    from ailf.async_tasks import current_task  # noqa: PLC0415

    try:
        return current_task().update_progress
    except ManagerError:
        return lambda _progress, _message: None
