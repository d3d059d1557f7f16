"""What run_celery refuses before anything is sent."""

import inspect
from typing import Any

from ailf.errors import InvalidArgumentError, InvalidTypeError
from ailf.workers.address import is_whole

_READABLE = "set $CELERY_RESULT_BACKEND to a Redis (redis://...) or to a database (db+postgresql://...)"


def check_call(signature: Any, timeout: float | None, worker_timeout: float, progress: object = None) -> None:
    """Refuse a call that cannot work, without asking anybody.

    Raises:
        InvalidTypeError: it is no signature, a limit is no number, or ``progress`` is no plain function.
        InvalidArgumentError: a limit is not above 0, or the task's result is kept nowhere, or where only one process
            reads it.
    """
    if not all(hasattr(signature, name) for name in ("freeze", "apply_async", "clone", "app")):
        raise InvalidTypeError(
            f"run_celery takes a signature, such as process_document.s('doc1'), not {type(signature).__qualname__}."
        )
    if progress is not None and (not callable(progress) or inspect.iscoroutinefunction(progress)):
        raise InvalidTypeError(f"progress is {progress!r}: it takes a plain function, which is called and not awaited.")
    for name, limit in {"timeout": timeout, "worker_timeout": worker_timeout}.items():
        if limit is None and name == "timeout":
            continue
        if not isinstance(limit, int | float):
            raise InvalidTypeError(f"{name} is {limit!r}: it takes a number of seconds.")
        if not limit > 0:
            raise InvalidArgumentError(f"{name} is {limit!r}: it has to be above 0 (seconds).")
    if signature.app.conf.task_always_eager:
        return
    _check_addresses(signature.app)
    if str(signature.app.conf.result_backend or "disabled").startswith(("disabled", "rpc")):
        raise _unreadable()
    _check_ignored(signature)


def check_backend(backend: Any) -> None:
    """Refuse a result back-end that other processes cannot read, whatever it was called in the settings.

    Raises:
        InvalidArgumentError: it is one.
    """
    kind = type(backend)
    is_in_memory = kind.__module__ == "celery.backends.cache" and getattr(backend, "backend", "") == "memory"
    url = str(getattr(backend, "url", "") or "") if kind.__module__.startswith("celery.backends.database") else ""
    if url.startswith("sqlite") and "creator" not in backend.engine_options:
        path = url.partition("://")[2].strip("/")
        is_in_memory = not path or ":memory:" in path or "mode=memory" in path
    if is_in_memory or kind.__name__ in {"DisabledBackend", "RPCBackend"}:
        raise _unreadable()


def _unreadable() -> InvalidArgumentError:
    return InvalidArgumentError(f"run_celery needs a result back-end that every process can read: {_READABLE}.")


def _check_addresses(app: Any) -> None:
    for setting in ("broker_url", "result_backend"):
        urls = getattr(app.conf, setting)
        urls = urls if isinstance(urls, list | tuple) else str(urls or "").split(";")
        if not all(is_whole(str(url)) for url in urls):
            raise InvalidArgumentError(
                f"The setting {setting} does not parse as an address, and is not shown, since it may hold a password. "
                "Write #, /, ?, @ and : in a user's name or password as %23, %2F, %3F, %40 and %3A."
            )


def _check_ignored(signature: Any) -> None:
    last = _last(signature)
    task = signature.app.tasks.get(last["task"])
    ignored = last.options.get("ignore_result")
    if ignored is None:
        ignored = task.ignore_result if task is not None else signature.app.conf.task_ignore_result
    if ignored:
        raise InvalidArgumentError(
            f"The Celery task {last['task']} keeps no result (ignore_result), so that nobody can wait for it: send it "
            "with delay(), or set ignore_result=False, on this call with .set(ignore_result=False)."
        )


def _last(signature: Any) -> Any:
    """Give the task whose result is that of all: the last of a chain, what takes the results of a chord."""
    while True:
        body, tasks = getattr(signature, "body", None), getattr(signature, "tasks", None)
        inner = body if body is not None else tasks[-1] if isinstance(tasks, list | tuple) and tasks else None
        # What a group has several of is refused elsewhere.
        if inner is None or not hasattr(inner, "options"):
            return signature
        signature = inner
