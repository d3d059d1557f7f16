"""The exception that the waiter of a failed task gets: ours, and of the type that the task raised."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ailf.errors import RemoteTaskError, RemoteTaskFailedError, RemoteTaskRevokedError
from ailf.workers.reply import Reply, Stage

_HEAP_TYPE = 1 << 9
"""The flag of a class that is written in Python."""
_CONTROL_FLOW = (StopIteration, StopAsyncIteration)
"""What no coroutine or asynchronous generator can raise: Python makes a RuntimeError of it."""


class RemoteTracebackError(Exception):
    """Stands in the traceback of a failure for the part that happened in the worker."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        """Show the worker's traceback as such."""
        return f'\n"""\n{self.text.rstrip()}\n"""'


def failure(reply: Reply, celery_id: str) -> RemoteTaskError:
    """Make the exception of a task that failed or was revoked.

    A failure is a :class:`RemoteTaskFailedError`, and also of the type that the task raised, where that type
    is known in this process and can be built; it is called like that type either way, so that a journal shows it.

    Args:
        reply: the answer that says so.
        celery_id: the task's id.

    Returns:
        The exception, with the worker's traceback as its cause.
    """
    if reply.stage is Stage.REVOKED:
        return RemoteTaskRevokedError(f"The Celery task {celery_id} was revoked: {reply.error}.", celery_id=celery_id)
    return build(reply.error, celery_id, reply.error_type, reply.traceback, reply.raised)


def build(
    text: str, celery_id: str, error_type: str, traceback: str | None, raised: BaseException | None = None
) -> RemoteTaskFailedError:
    """Make the exception of a task that failed, of the nearest type that can be built.

    Args:
        text: what it says.
        celery_id: the task's id.
        error_type: the qualified name of what was raised.
        traceback: the worker's traceback.
        raised: the exception itself, where the back-end holds it (with pickle); its attributes are taken over.

    Returns:
        The exception, with the worker's traceback as its cause.
    """
    ours = {"celery_id": celery_id, "error_type": error_type, "remote_traceback": traceback}
    known: Any = _known_type(error_type)
    error = None
    if known is not None:
        error = _instance(known, text, ours, raised)
    if error is None:
        error = _named_alike(error_type, text, ours)
    if traceback is not None:
        error.__cause__ = RemoteTracebackError(traceback)
    return error


def _instance(
    known: Any, text: str, ours: Mapping[str, Any], raised: BaseException | None
) -> RemoteTaskFailedError | None:
    """Make an instance of ours and of a known type; None where that type does not go with ours.

    Neither ``__new__`` nor ``__init__`` of the type runs: they take who knows what.
    """
    try:
        native = next(base for base in known.__mro__ if not base.__flags__ & _HEAP_TYPE)
        # A group is nothing without its members, which only pickle keeps.
        members = (raised.exceptions,) if isinstance(raised, BaseExceptionGroup) else ()
        error: RemoteTaskFailedError = native.__new__(_mixed(known), text, *members)
        vars(error).update({**getattr(raised, "__dict__", {}), **ours})
        error.args = (text,)
        is_whole = str(error) == text and all(getattr(error, name) == value for name, value in ours.items())
    except Exception:  # noqa: BLE001  a class of the user's may refuse in any way
        return None
    return error if is_whole else None


def _named_alike(error_type: str, text: str, ours: Mapping[str, Any]) -> RemoteTaskFailedError:
    module, _, name = error_type.rpartition(".")
    try:
        alike: type[RemoteTaskFailedError] = type(
            name, (RemoteTaskFailedError,), {**_COMMON, "__module__": module or "builtins"}
        )
    except (ValueError, UnicodeError):
        # No class can be called that.
        alike = RemoteTaskFailedError
    return alike(text, **ours)


def _reduce(error: RemoteTaskFailedError, _protocol: object = None) -> tuple[Any, ...]:
    """Pickle by parts: the class is made anew where it is read."""
    return build, (error.args[0], error.celery_id, error.error_type, error.remote_traceback)


def _copy(error: RemoteTaskFailedError, _memo: object = None) -> RemoteTaskFailedError:
    return build(str(error.args[0]), error.celery_id, error.error_type, error.remote_traceback, error)


class _Own:
    """An attribute of ours, whatever the other type has under its name."""

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    def __get__(self, error: BaseException, _owner: type) -> Any:
        return vars(error)[self._name]

    def __set__(self, error: BaseException, value: object) -> None:
        vars(error)[self._name] = value


_COMMON: Mapping[str, Any] = {"__reduce_ex__": _reduce, "__copy__": _copy, "__deepcopy__": _copy}


@lru_cache(maxsize=256)
def _mixed(known: Any) -> type[RemoteTaskFailedError]:
    """Make the class that is ours and the known one; once, because a class may keep account of its subclasses."""
    names = ("celery_id", "error_type", "remote_traceback")
    namespace = {
        **_COMMON,
        **{name: _Own() for name in names},
        "__module__": known.__module__,
        "__qualname__": known.__qualname__,
        "__new__": BaseException.__new__,
        "__init__": lambda *_args, **_options: None,
        "__setattr__": BaseException.__setattr__,
        "__hash__": BaseException.__hash__,
        "__eq__": BaseException.__eq__,
    }
    return type(known.__name__, (RemoteTaskFailedError, known), namespace)


def _known_type(error_type: str) -> type[Exception] | None:
    """Find a type among what is imported already: a name that came over the wire imports nothing."""
    parts = error_type.split(".")
    for cut in range(len(parts) - 1, -1, -1):
        known: Any = sys.modules.get(".".join(parts[:cut]) or "builtins")
        for name in parts[cut:]:
            known = getattr(known, name, None)
        if isinstance(known, type) and issubclass(known, Exception) and not issubclass(known, RemoteTaskFailedError):
            return None if issubclass(known, _CONTROL_FLOW) else known
    return None
