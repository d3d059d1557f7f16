"""Running one piece of work to its outcome, with no manager and no journal."""

import asyncio
import functools
import sys
from typing import Any

import pytest

from ailf.async_tasks import Reason, TaskStatus
from ailf.async_tasks.model import Outcome
from ailf.async_tasks.running.job import Job, Submittable
from ailf.async_tasks.running.runner import (
    MAX_ERROR_CHARACTERS,
    MAX_TRACEBACK_CHARACTERS,
    error_text,
    execute,
    qualified_name,
    timed_out,
    traceback_text,
)
from ailf.async_tasks.running.threads import Threads
from ailf.errors import InvalidTypeError


async def work() -> str:
    """Do nothing but return."""
    return "done"


async def outcome_of(what: Submittable, timeout: float | None = None) -> Outcome:
    """Run something to its outcome."""
    threads = Threads("ailf test", 1)
    try:
        return await execute(Job(what), threads, timeout)
    finally:
        threads.close()


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

    async def coroutine() -> None:
        raise error

    outcome = await outcome_of(coroutine)
    assert outcome.status is TaskStatus.FAILED
    assert outcome.fatal is outcome.exception is error


@pytest.mark.parametrize("timeout", [None, 3600])
async def test_an_exit_from_a_thread_is_the_thread_s_own(timeout: float | None) -> None:
    """A function that calls ``sys.exit`` has failed, and asks for the end of nothing else."""
    outcome = await outcome_of(lambda: sys.exit("enough"), timeout)
    assert (outcome.status, outcome.reason, outcome.fatal) == (TaskStatus.FAILED, Reason.ERROR, None)
    assert (outcome.error, outcome.error_type) == ("enough", "SystemExit")
    assert isinstance(outcome.exception, SystemExit)
    assert (outcome.traceback or "").splitlines()[1].endswith("in <lambda>")


async def test_what_a_thread_hands_to_the_loop_ends_the_program() -> None:
    """A coroutine that a plain function made runs on the loop, as any other does."""

    async def coroutine() -> None:
        sys.exit(3)

    assert isinstance((await outcome_of(lambda: coroutine())).fatal, SystemExit)  # noqa: PLW0108


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


def test_the_text_of_an_error_is_never_empty_and_bounded() -> None:
    """An error without words is its type's name; one with too many has its middle left out."""
    assert error_text(ValueError("bad")) == "bad"
    assert error_text(ValueError()) == "ValueError"
    long = error_text(ValueError("a" * MAX_ERROR_CHARACTERS + "z"))
    assert long.startswith("aaa")
    assert long.endswith("z")
    assert "1 characters left out" in long
    assert len(long) < MAX_ERROR_CHARACTERS + 100


@pytest.mark.parametrize(
    ("group", "text"),
    [
        (ExceptionGroup("all", [ValueError("a")]), "all (1 sub-exception): ValueError: a"),
        (ExceptionGroup("all", [KeyError("a"), OSError()]), "all (2 sub-exceptions): KeyError: 'a', and 1 more"),
        (
            ExceptionGroup("all", [ExceptionGroup("inner", [OSError("a"), OSError("b")]), OSError("c")]),
            "all (2 sub-exceptions): OSError: a, and 2 more",
        ),
        (BaseExceptionGroup("all", [KeyboardInterrupt()]), "all (1 sub-exception): KeyboardInterrupt"),
    ],
    ids=["one", "two", "nested", "base"],
)
def test_a_group_names_its_first_exception(group: BaseException, text: str) -> None:
    """And how many more there are, however deep in other groups."""
    assert error_text(group) == text


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
