"""The error tree: complete, and caught at its root."""

import inspect

from ailf import errors


def test_every_error_is_exported_and_drawn() -> None:
    """Each class of the module is in ``__all__``, in the drawing, and below ``AilfError``."""
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert classes == set(errors.__all__)
    for name in classes:
        assert issubclass(getattr(errors, name), errors.AilfError)
        assert name in (errors.__doc__ or "")


def test_errors_are_what_python_would_raise() -> None:
    """Each is caught by the built-in class that a caller would reach for."""
    assert issubclass(errors.InvalidArgumentError, ValueError)
    assert issubclass(errors.InvalidTypeError, TypeError)
    assert issubclass(errors.ManagerError, RuntimeError)
    assert issubclass(errors.TaskNotFoundError, LookupError)
    assert issubclass(errors.WaitTimeoutError, TimeoutError)
