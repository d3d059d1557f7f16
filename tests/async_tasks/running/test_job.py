"""What can be submitted and what cannot, looked at without a manager and without being called."""

import asyncio
import functools
import inspect
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.async_tasks.running.job import Job, discard
from ailf.async_tasks.running.runner import execute
from ailf.async_tasks.running.threads import Threads
from ailf.errors import InvalidArgumentError, InvalidTypeError


async def work() -> str:
    """Do nothing but return."""
    return "done"


def test_a_job_has_the_name_of_what_runs() -> None:
    """Coroutine, function, partial of a partial, lambda, object: the qualified name of each."""

    class Called:
        def __call__(self) -> None:
            """Do nothing."""

    here = "test_a_job_has_the_name_of_what_runs.<locals>"
    coroutine = work()
    for what, name in (
        (coroutine, "work"),
        (work, "work"),
        (functools.partial(functools.partial(work)), "work"),
        (lambda: None, f"{here}.<lambda>"),
        (Called(), f"{here}.Called"),
    ):
        assert Job(what).name == name
    coroutine.close()


async def test_the_name_of_a_task_is_that_of_its_coroutine() -> None:
    """An asyncio task that is submitted is called after what it runs."""
    task = asyncio.create_task(work(), name="another name")
    assert Job(task).name == "work"
    await task


@pytest.mark.parametrize("what", [None, 1, "text", [], b""])
def test_what_is_no_work_is_refused(what: Any) -> None:
    """Neither awaitable nor callable: the error names the type."""
    with pytest.raises(InvalidTypeError, match=type(what).__name__):
        Job(what)


def test_a_coroutine_has_one_job() -> None:
    """A second job for it is refused until the first lets go of it, which closes it."""
    coroutine = work()
    job = Job(coroutine)
    with pytest.raises(InvalidArgumentError, match="submitted already"):
        Job(coroutine)
    discard(coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED
    job.discard()
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_what_is_not_a_new_coroutine_is_not_discarded() -> None:
    """A coroutine that runs elsewhere, a future and a function are left alone."""
    gate = asyncio.Event()
    coroutine = gate.wait()
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    future = asyncio.get_running_loop().create_future()
    for what in (coroutine, task, future, work):
        discard(what)
    assert not future.cancelled()
    gate.set()
    assert await task is True


def pages(_number: int = 1) -> Iterator[int]:
    """A generator: calling it runs not a line of it."""
    yield 1


async def apages(_number: int = 1) -> AsyncIterator[int]:
    """The same for an asynchronous one."""
    yield 1


class Maker:
    """Has each kind of generator as a method."""

    def __call__(self) -> Iterator[int]:
        """Make one when it is called itself."""
        yield 1

    def pages(self) -> Iterator[int]:
        """Make one."""
        yield 1

    async def apages(self) -> AsyncIterator[int]:
        """Make an asynchronous one."""
        yield 1

    @classmethod
    def class_pages(cls) -> Iterator[int]:
        """Make one of the class's."""
        yield 1


class AsyncCall:
    """An object that is called as an async function is."""

    async def __call__(self) -> str:
        """Return."""
        return "done"


GENERATORS: list[Callable[[], Any]] = [
    *(pages, apages, functools.partial(pages), functools.partial(functools.partial(apages), 2)),
    *(Maker().pages, Maker().apages, Maker.class_pages, Maker(), functools.partial(Maker())),
    *(lambda: (yield), pages(), apages()),  # type: ignore[list-item]
]
HIDDEN: list[Callable[[], Any]] = [
    *(lambda: pages(), lambda: apages(), lambda: (one for one in "a"), functools.cache(pages)),  # noqa: PLW0108
]


@pytest.mark.parametrize("what", GENERATORS, ids=range(len(GENERATORS)))
async def test_what_makes_a_generator_is_refused(manager: TaskManager, what: Any) -> None:
    """At once, where that can be seen, and nothing is in the journal: not a line of it would have run."""
    with pytest.raises(InvalidTypeError, match="generator, which cannot be awaited"):
        await manager.submit(what)
    assert manager.count_tasks() == 0


@pytest.mark.parametrize("what", HIDDEN, ids=range(len(HIDDEN)))
async def test_what_turns_out_to_make_a_generator_has_failed(manager: TaskManager, what: Any) -> None:
    """A plain function that returns one: COMPLETED would say that it had run."""
    task_id = await manager.submit(what)
    assert await manager.wait_for_task(task_id) is None
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.status is TaskStatus.FAILED
    assert info.error_type == "ailf.errors.InvalidTypeError"
    assert "not a line of it would run" in (info.error or "")


async def test_what_only_looks_like_a_generator_runs(threads: Threads) -> None:
    """An old-style coroutine, and a generator as a coroutine's own result."""

    @types.coroutine
    def old() -> Generator[None, None, str]:
        yield from asyncio.sleep(0)
        return "done"

    async def opens() -> Iterator[int]:
        return pages()

    assert (await execute(Job(old), threads, None)).value == "done"
    assert (await execute(Job(old()), threads, None)).value == "done"
    assert next((await execute(Job(opens), threads, None)).value) == 1


@pytest.mark.parametrize("what", [AsyncCall(), functools.partial(AsyncCall()), AsyncCall().__call__])
async def test_an_object_that_is_called_as_an_async_function(what: Any, threads: Threads) -> None:
    """It runs on the loop, and its value is what it returns."""
    assert (await execute(Job(what), threads, None)).value == "done"


async def test_a_class_is_called_for_an_object(threads: Threads) -> None:
    """Whatever its objects do when they are called."""
    assert isinstance((await execute(Job(AsyncCall), threads, None)).value, AsyncCall)
    assert (await execute(Job(dict), threads, None)).value == {}


class NeedsOne:
    """Cannot be made without an argument."""

    def __init__(self, number: int) -> None:
        self.number = number

    def method(self, other: int) -> int:
        """Cannot be called without one."""
        return other


async def needs_two(_first: int, *, second: int) -> None:
    """Cannot be called without two."""


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that gives arguments to what it wraps."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args, 1)

    return wrapper


@decorated
def wants_one(number: int) -> int:
    """Get the argument from the decorator."""
    return number


@pytest.mark.parametrize(
    ("what", "needed"),
    [
        (needs_two, "_first, second"),
        (functools.partial(needs_two, 1), "second"),
        (lambda number: number, "number"),
        (NeedsOne, "number"),
        (NeedsOne(1).method, "other"),
        (divmod, "x, y"),
    ],
)
async def test_a_function_that_needs_arguments_is_refused(manager: TaskManager, what: Any, needed: str) -> None:
    """At once, with the names of what it needs and the word that helps."""
    with pytest.raises(InvalidTypeError, match=rf"\({needed}\).*functools\.partial\("):
        await manager.submit(what)
    assert manager.count_tasks() == 0


@pytest.mark.parametrize(
    "what", [wants_one, functools.partial(NeedsOne, 1), lambda *_: 1, lambda number=1: number, max]
)
def test_what_may_be_called_without_arguments_is_taken(what: Any) -> None:
    """Defaults, stars, what a decorator gives, and what does not say what it needs."""
    Job(what).discard()
