"""What a task raised, as a result back-end holds it, read into its type and its text: pure functions."""

from collections.abc import Mapping
from typing import Any

_WRAPPER = "UnpickleableExceptionWrapper"
"""What Celery puts around an exception that it cannot pickle: its module, name, arguments and text."""


def read_raised(stored: object, traceback: str | None) -> tuple[str, str]:
    """Read what was raised.

    Args:
        stored: what Celery stored: ``exc_type``, ``exc_module`` and ``exc_message``, or, with pickle, the exception.
        traceback: the worker's traceback, which has the text as the worker would have shown it.

    Returns:
        The qualified name of the type, and the text: ``str`` of the exception, or its type's name where it has none.
    """
    module, name, arguments = _parts(stored)
    qualified = name if module in {"", "builtins"} else f"{module}.{name}"
    text = _joined(arguments)
    shown = _shown(traceback or "", (qualified, name))
    # Notes come after the text in a traceback, and are none of it.
    if shown and not (len(arguments) == 1 and text and shown.startswith(text)):
        text = shown
    if isinstance(stored, BaseException) and not shown and type(stored).__name__ != _WRAPPER:
        text = _text_of(stored) or text
    return qualified, text or name.rpartition(".")[2]


def unwrapped(traceback: str, error_type: str, text: str) -> str:
    """Give a worker's traceback as Python would have shown it, where it ends with what Celery put around the exception.

    Args:
        traceback: the worker's.
        error_type: the qualified name of the type that was raised.
        text: what it said.

    Returns:
        The same, with the exception itself in its last line.
    """
    start, wrapper, _shown_wrapper = f"\n{traceback}".rpartition(f"\ncelery.utils.serialization.{_WRAPPER}: ")
    return f"{start}\n{error_type}: {text}\n".removeprefix("\n") if wrapper else traceback


def _parts(stored: object) -> tuple[str, str, list[Any]]:
    """Give module, name and arguments of what was raised."""
    if isinstance(stored, BaseException):
        if type(stored).__name__ == _WRAPPER:
            return _unwrapped(list(stored.args))
        return type(stored).__module__, type(stored).__qualname__, _listed(stored.args)
    details = stored if isinstance(stored, Mapping) else {}
    name = str(details.get("exc_type") or "Exception")
    arguments = _listed(details.get("exc_message", ""))
    if name == _WRAPPER:
        return _unwrapped(arguments)
    return str(details.get("exc_module") or ""), name, arguments


def _unwrapped(arguments: list[Any]) -> tuple[str, str, list[Any]]:
    module, name, inner, *_ = [*arguments, "", "", ""]
    return str(module), str(name or "Exception"), _listed(inner)


def _listed(arguments: object) -> list[Any]:
    return list(arguments) if isinstance(arguments, list | tuple) else [arguments]


def _joined(arguments: list[Any]) -> str:
    return ", ".join(map(_text_of, arguments))


def _text_of(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  the text of an exception is code of the user's
        return ""


def _shown(traceback: str, names: tuple[str, ...]) -> str:
    """Find the text at the end of a traceback: what follows the type's name, on one line or on several."""
    for name in names:
        at = f"\n{traceback}".rfind(f"\n{name}: ")
        if at >= 0:
            return traceback[at + len(name) + 2 :].rstrip()
    return ""
