"""The error tree: complete, caught at its root, and whole on the other side of a pickle, a copy, a process."""

import copy
import importlib
import inspect
import multiprocessing
import pickle
import pkgutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NoReturn

import pytest

import ailf
from ailf import errors
from ailf.workers.failure import failure
from ailf.workers.reply import Reply, Stage

ASKED_FOR: dict[str, Any] = {
    "bool": True,
    "int": 7,
    "float": 0.5,
    "str": "text",
    "str | None": None,
    "tuple[str, ...]": ("one", "two"),
}
"""A value for each annotation that an error's ``__init__`` has."""


def every_class(root: type[errors.AilfError] = errors.AilfError) -> Iterator[type[errors.AilfError]]:
    """The whole tree, with whatever any module of ailf adds to it."""
    for module in pkgutil.walk_packages(ailf.__path__, "ailf."):
        if "__main__" not in module.name and "migrations" not in module.name:
            importlib.import_module(module.name)
    waiting = [root]
    while waiting:
        kind = waiting.pop()
        if kind.__module__.startswith("ailf") and "_is_made_for_a_worker" not in vars(kind):
            yield kind
            waiting += kind.__subclasses__()


def made(kind: type[errors.AilfError]) -> errors.AilfError:
    """An error of a class, with a value of its own for whatever its ``__init__`` asks for, and a note."""
    asked = list(inspect.signature(kind.__init__).parameters.values())[2:]
    given = {
        one.name: ASKED_FOR.get(str(one.annotation).strip("'"), "given")
        for one in asked
        if one.kind is one.KEYWORD_ONLY or (one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD)
    }
    error = kind("what happened; what to do", **given)
    error.add_note("a note")
    return error


def everything(error: BaseException) -> tuple[Any, ...]:
    """What makes an error up."""
    return type(error).__module__, type(error).__qualname__, str(error), error.args, vars(error)


class MadeOfOursError(errors.TaskFailedError, ConnectionError):
    """An error of an application's, which asks for more than ours does."""

    def __init__(self, first: str, second: int) -> None:
        super().__init__(f"{first} {second}", task_id="t1", reason="error")
        self.second = second


TREE = sorted(set(every_class()), key=lambda kind: kind.__name__)
EXAMPLES = [
    *map(made, TREE),
    MadeOfOursError("first", 2),
    failure(Reply(Stage.FAILED, error="why", error_type="KeyError", traceback="tb"), "c1"),
    failure(Reply(Stage.FAILED, error="why", error_type="ConnectionError"), "c1"),
    failure(Reply(Stage.FAILED, error="why", error_type="nowhere.NoSuchError"), "c1"),
    failure(Reply(Stage.FAILED, error="why", error_type="ExceptionGroup"), "c1"),
    failure(Reply(Stage.FAILED, error="why", error_type="json.decoder.JSONDecodeError"), "c1"),
]
NAMES = [type(example).__name__ for example in EXAMPLES]


def raise_example(index: int) -> NoReturn:
    """Raise one of the examples, in whatever process this is."""
    raise EXAMPLES[index]


def test_every_error_is_exported_and_drawn() -> None:
    """Each class of the module is in ``__all__``, in the drawing, and below ``AilfError``."""
    classes = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert classes == set(errors.__all__)
    assert classes == {kind.__name__ for kind in TREE}
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


@pytest.mark.parametrize("error", EXAMPLES, ids=NAMES)
def test_an_error_is_whole_after_a_pickle_and_a_copy(error: errors.AilfError) -> None:
    """Type, text, arguments, attributes and notes are there, by every protocol, and after two rounds."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        once = pickle.loads(pickle.dumps(error, protocol))
        assert everything(once) == everything(error)
        assert everything(pickle.loads(pickle.dumps(once, protocol))) == everything(error)
    for copied in (copy.copy(error), copy.deepcopy(error)):
        assert copied is not error
        assert everything(copied) == everything(error)


def test_every_error_comes_whole_out_of_another_process() -> None:
    """Through ``multiprocessing`` and ``ProcessPoolExecutor``, which would wait for ever or break their pool."""
    spawning = multiprocessing.get_context("spawn")
    with spawning.Pool(1) as pool:
        waiting = [pool.apply_async(raise_example, (index,)) for index in range(len(EXAMPLES))]
        for example, one in zip(EXAMPLES, waiting, strict=True):
            with pytest.raises(type(example).__mro__[1]) as caught:
                one.get(60)
            assert everything(caught.value)[:4] == everything(example)[:4]
    with ProcessPoolExecutor(1, mp_context=spawning) as executor:
        futures = [executor.submit(raise_example, index) for index in range(len(EXAMPLES))]
        for example, future in zip(EXAMPLES, futures, strict=True):
            error = future.exception(60)
            assert error is not None
            assert everything(error) == everything(example)
