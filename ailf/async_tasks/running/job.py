"""What is submitted: an awaitable, or a callable that makes one or runs in a thread; looked at before it is taken.

Nothing here knows of the journal. What cannot be run as a task is refused at once where that can be seen.
"""

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from types import AsyncGeneratorType, BuiltinFunctionType, CoroutineType, FunctionType, GeneratorType, MethodType
from typing import Any

from ailf.async_tasks.guard import PROGRAM_ENDS
from ailf.async_tasks.running.threads import Threads
from ailf.errors import InvalidArgumentError, InvalidTypeError

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
            InvalidTypeError: it is neither, is a generator or makes one, or needs arguments.
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
        elif not self._is_awaitable:
            _assert_can_be_called(work)

    @property
    def name(self) -> str:
        """The qualified name of what runs."""
        work: Any = self._work
        return _name_of(work.get_coro() if isinstance(work, asyncio.Task) else work)

    def begin(self, threads: Threads) -> Awaitable[Any]:
        """Begin it; what it returns comes from awaiting this.

        Args:
            threads: where plain functions run.
        """
        work: Any = self._work
        if self._is_awaitable:
            # Once it runs, its own state says so.
            _taken.discard(self._held)
            return work  # type: ignore[no-any-return]
        if inspect.iscoroutinefunction(work) or inspect.iscoroutinefunction(_function_of(work)):
            return work()  # type: ignore[no-any-return]
        return _in_thread(work, threads)

    def discard(self) -> None:
        """Throw it away unrun, without a warning that it was never awaited."""
        _taken.discard(self._held)
        discard(self._work)

    def __del__(self, taken: set[int] = _taken) -> None:
        """Let go of the coroutine: another one may get its id()."""
        # By then the module may be gone, with the interpreter.
        taken.discard(self._held)


class ThreadExit(Exception):  # noqa: N818 - it is none: it carries one from where it means the thread alone
    """A function in a thread called ``sys.exit``, which there ends the function and not the program."""

    def __init__(self, error: SystemExit) -> None:
        super().__init__(error)
        self.error = error


def _assert_can_be_called(work: Any) -> None:
    """Refuse what is no work, as far as that can be seen without calling it.

    Raises:
        InvalidTypeError: it cannot be called, needs arguments, or makes a generator, not a line of which would run.
    """
    function = _function_of(work)
    makes_generator = inspect.isasyncgenfunction(function) or (
        # What types.coroutine marks is a generator to Python and yet can be awaited.
        inspect.isgeneratorfunction(function) and not _code_flags(function) & inspect.CO_ITERABLE_COROUTINE
    )
    if makes_generator or isinstance(work, _GENERATORS):
        raise _no_generator(_name_of(work))
    if not callable(work):
        raise InvalidTypeError(
            f"{type(work).__qualname__} cannot be submitted: give a coroutine, another awaitable, "
            "or a callable without arguments."
        )
    if needed := _needed_arguments(work):
        name = _name_of(work)
        or_call = f", or {name}(...)" if inspect.iscoroutinefunction(work) else ""
        raise InvalidTypeError(
            f"{name} needs arguments ({', '.join(needed)}), and would be called without any; "
            f"submit functools.partial({name}, ...){or_call}."
        )


_GENERATORS = (GeneratorType, AsyncGeneratorType)


def _no_generator(name: str) -> InvalidTypeError:
    return InvalidTypeError(
        f"{name} makes a generator, which cannot be awaited: not a line of it would run. "
        "Submit a coroutine or a function that goes through it."
    )


def _function_of(work: Any) -> Any:
    """The function that runs when something is called: of a partial what it is of, of an object its ``__call__``."""
    while isinstance(work, functools.partial):
        work = work.func
    is_function = isinstance(work, FunctionType | MethodType | BuiltinFunctionType | type)
    # On the type: calling a class makes an object, and does not call what its objects have.
    return work if is_function else getattr(type(work), "__call__", None)  # noqa: B004 - which function it is


def _code_flags(function: Any) -> int:
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return 0 if code is None else int(code.co_flags)


NAMING = "__task_name__"
"""An attribute of a function that says, from what it is called with, what a task of it is called."""


def _name_of(work: Any) -> str:
    while isinstance(work, functools.partial):
        if (naming := getattr(work.func, NAMING, None)) is not None:
            return str(naming(*work.args, **work.keywords))
        work = work.func
    name = getattr(work, "__qualname__", None)
    return name if isinstance(name, str) else type(work).__qualname__


def _needed_arguments(work: Any) -> list[str]:
    """The parameters without which something cannot be called; none where that cannot be told."""
    if type(work) is FunctionType and not work.__code__.co_argcount and not work.__code__.co_kwonlyargcount:
        return []
    try:
        # What a decorator wraps is not what is called.
        parameters = inspect.signature(work, follow_wrapped=False).parameters.values()
    except PROGRAM_ENDS:
        raise
    except BaseException:  # noqa: BLE001 - built-in functions have none, and a signature is whatever somebody made it
        return []
    return [
        one.name
        for one in parameters
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]


async def _in_thread(function: Callable[[], Any], threads: Threads) -> Any:
    value, error = await threads.call(functools.partial(_call, function))
    if isinstance(error, SystemExit):
        raise ThreadExit(error)
    if error is not None:
        raise error
    # A lambda that makes a coroutine is a plain function to everybody but its author.
    if inspect.isawaitable(value):
        return await value
    if isinstance(value, _GENERATORS):
        raise _no_generator(_name_of(function))
    return value


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
