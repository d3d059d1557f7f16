"""Running one piece of work to its outcome, with no manager and no journal."""

import asyncio
import functools
import inspect
from typing import Any

import pytest

from ailf.async_tasks import Reason, TaskStatus
from ailf.async_tasks.model import Outcome
from ailf.async_tasks.running.runner import (
    MAX_ERROR_CHARACTERS,
    MAX_TRACEBACK_CHARACTERS,
    Job,
    Submittable,
    discard,
    error_text,
    execute,
    qualified_name,
    timed_out,
    traceback_text,
)
from ailf.errors import InvalidArgumentError, InvalidTypeError


async def work() -> str:
    """Do nothing but return."""
    return "done"


async def outcome_of(what: Submittable, timeout: float | None = None) -> Outcome:
    """Run something to its outcome."""
    return await execute(Job(what), timeout)


def recursion(levels: int) -> None:
    """Raise from deep down."""
    if levels == 0:
        raise LookupError("at the bottom")
    recursion(levels - 1)


@pytest.mark.parametrize("timeout", [None, 3600])
@pytest.mark.parametrize("what", [work, functools.partial(work), lambda: "done", lambda: work()])  # noqa: PLW0108
async def test_what_returns_has_completed(what: Any, timeout: float | None) -> None:
    """The value is in the outcome, and nothing else is."""
    assert await outcome_of(what, timeout) == Outcome(TaskStatus.COMPLETED, value="done")


@pytest.mark.parametrize("timeout", [None, 3600])
async def test_what_raises_has_failed(timeout: float | None) -> None:
    """Text, type and traceback are in the outcome; nothing is raised."""

    async def fail() -> None:
        raise LookupError("no such leaf")

    outcome = await outcome_of(fail, timeout)
    assert (outcome.status, outcome.reason) == (TaskStatus.FAILED, Reason.ERROR)
    assert (outcome.error, outcome.error_type, outcome.fatal) == ("no such leaf", "LookupError", None)
    assert outcome.traceback is not None
    assert outcome.traceback.splitlines()[1].endswith("in fail")


@pytest.mark.parametrize("error", [KeyboardInterrupt("enough"), SystemExit(3)])
async def test_what_ends_a_program_is_handed_on(error: BaseException) -> None:
    """The outcome carries it, for the caller to raise again; other exceptions are not fatal."""

    def function() -> None:
        raise error

    outcome = await outcome_of(function)
    assert outcome.status is TaskStatus.FAILED
    assert outcome.fatal is error


async def test_what_is_cancelled_says_so() -> None:
    """By whomever; the manager knows better where it was itself."""

    async def cancelled() -> None:
        raise asyncio.CancelledError

    assert await outcome_of(cancelled) == Outcome(TaskStatus.CANCELLED, Reason.CANCELLED)


async def test_what_is_past_its_limit_has_failed() -> None:
    """The outcome tells the limit, with the traceback of where the task was."""
    outcome = await outcome_of(asyncio.Event().wait(), timeout=0.01)
    assert (outcome.status, outcome.reason) == (TaskStatus.FAILED, Reason.TIMEOUT)
    assert (outcome.error, outcome.error_type) == ("Task timed out after 0.01 seconds", "TimeoutError")
    assert "wait" in (outcome.traceback or "")


@pytest.mark.parametrize(
    ("timeout", "words"), [(1, "1 second"), (1.0, "1 second"), (5, "5 seconds"), (0.5, "0.5 seconds")]
)
def test_a_limit_is_said_in_words(timeout: float, words: str) -> None:
    """One second is singular, and a whole number has no point."""
    assert timed_out(timeout, None).error == f"Task timed out after {words}"


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


def test_the_text_of_an_error_is_never_empty_and_bounded() -> None:
    """An error without words is its type's name; one with too many has its middle left out."""
    assert error_text(ValueError("bad")) == "bad"
    assert error_text(ValueError()) == "ValueError"
    long = error_text(ValueError("a" * MAX_ERROR_CHARACTERS + "z"))
    assert long.startswith("aaa")
    assert long.endswith("z")
    assert "1 characters left out" in long
    assert len(long) < MAX_ERROR_CHARACTERS + 100


def test_a_traceback_is_bounded_and_shows_both_ends() -> None:
    """The first frame and the error itself stay, whatever is left out in between."""
    long = ValueError("z" * 10 * MAX_TRACEBACK_CHARACTERS)
    try:
        raise long
    except ValueError as error:
        text = traceback_text(error)
    assert text.startswith("Traceback (most recent call last):")
    assert "characters left out" in text
    assert len(text) < MAX_TRACEBACK_CHARACTERS + 100
    with pytest.raises(LookupError) as caught:
        recursion(50)
    assert traceback_text(caught.value).endswith("LookupError: at the bottom\n")


def test_an_error_that_breaks_its_own_traceback_is_recorded() -> None:
    """An exception whose parts cannot be shown gives a line that says so."""

    class Broken(Exception):  # noqa: N818 - a name that does not say Error
        def __str__(self) -> str:
            raise KeyError

        def __getattribute__(self, name: str) -> Any:
            if name == "__suppress_context__":
                raise RuntimeError
            return super().__getattribute__(name)

    assert traceback_text(Broken("x")).endswith("Broken, whose traceback cannot be shown: RuntimeError\n")


def test_a_type_is_named_with_its_module() -> None:
    """Built-in types go without."""
    assert qualified_name(ValueError) == "ValueError"
    assert qualified_name(InvalidTypeError) == "ailf.errors.InvalidTypeError"
