"""Errors arrive as what they were: with real workers, and whatever was raised there."""

import asyncio
import copy
import pickle
import sys
from dataclasses import dataclass
from typing import Any, Self

import pytest
from celery.utils.serialization import UnpickleableExceptionWrapper
from hypothesis import given
from hypothesis import strategies as st

from ailf.errors import RemoteTaskError, RemoteTaskFailedError, RemoteTaskRevokedError, WorkerLostError
from ailf.workers import run_celery
from ailf.workers.failure import failure
from ailf.workers.reply import read_reply
from tests.workers.worker_process import Worker

WRAPPER = f"{UnpickleableExceptionWrapper.__module__}.{UnpickleableExceptionWrapper.__qualname__}"


class NewError(Exception):
    """A type that is made of two things."""

    def __new__(cls, left: int, right: int) -> Self:
        """Insist on both."""
        return super().__new__(cls, left, right)


class ReadOnlyError(Exception):
    """A type whose attributes are called as ours are, and cannot be set."""

    @property
    def celery_id(self) -> str:
        """Something else."""
        return "its own"

    @property
    def error_type(self) -> str:
        """Something else."""
        return "its own"


@dataclass(frozen=True)
class FrozenError(Exception):
    """A type that nothing can be set on."""

    code: int


class RefusingError(Exception):
    """A type that no other may be made of."""

    def __init_subclass__(cls, **_options: Any) -> None:
        """Refuse."""
        raise TypeError("final")


class ShyError(Exception):
    """A type whose text cannot be had."""

    @property
    def args(self) -> Any:  # type: ignore[override]  # which is its point
        """Nothing."""
        raise RuntimeError("no")


TYPES = [NewError, ReadOnlyError, FrozenError, RefusingError, ShyError]


def stored(error_type: str, *arguments: object, module: str = __name__) -> dict[str, Any]:
    """What Celery stores of a failure."""
    return {
        "status": "FAILURE",
        "result": {"exc_type": error_type, "exc_message": list(arguments), "exc_module": module},
        "traceback": "Traceback (most recent call last):\n  in the worker\n",
    }


@pytest.mark.parametrize("kind", TYPES)
def test_whatever_was_raised_is_a_failure_of_ours(kind: type[Exception]) -> None:
    """With type, text, id and traceback, as text, raised, pickled and copied; of its own type where that can be."""
    error = failure(read_reply(stored(kind.__qualname__, "what", 2)), "the id")
    for same in (error, pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert isinstance(same, RemoteTaskFailedError)
        assert (str(same), same.celery_id) == ("what, 2", "the id")
        assert same.error_type == f"{__name__}.{kind.__qualname__}"
        assert "in the worker" in str(same.remote_traceback)
        assert "in the worker" in str(same.__cause__)
        assert type(same).__name__ == kind.__name__
        assert isinstance(same, kind) == (kind not in {RefusingError, ShyError})
        with pytest.raises(RemoteTaskFailedError):
            raise same


@pytest.mark.parametrize("kind", [StopIteration, StopAsyncIteration])
async def test_what_no_coroutine_can_raise_is_a_failure_as_well(kind: type[Exception]) -> None:
    """Python would make a RuntimeError of it, without the text, the id and the traceback."""
    error = failure(read_reply(stored(kind.__name__, "the end", module="builtins")), "the id")

    async def waiter() -> None:
        raise error

    with pytest.raises(RemoteTaskFailedError, match="the end") as caught:
        await waiter()
    assert (type(caught.value).__name__, caught.value.error_type) == (kind.__name__, kind.__name__)


def test_an_exception_that_was_pickled_keeps_what_it_was() -> None:
    """A group has its members, and an exception its attributes."""
    group = ExceptionGroup("several", [ValueError("one"), KeyError("two")])
    error = failure(read_reply({"status": "FAILURE", "result": group, "traceback": None}), "id")
    assert isinstance(error, RemoteTaskFailedError)
    assert isinstance(error, ExceptionGroup)
    assert (str(error), error.error_type) == ("several (2 sub-exceptions)", "ExceptionGroup")
    assert [type(one) for one in error.exceptions] == [ValueError, KeyError]
    told = OSError(2, "no such file")
    told.add_note("said so")
    error = failure(read_reply({"status": "FAILURE", "result": told, "traceback": None}), "id")
    assert isinstance(error, OSError)
    assert str(error) == "[Errno 2] no such file"
    assert pickle.loads(pickle.dumps(error)).error_type == "FileNotFoundError"


def test_a_wrapper_is_taken_off() -> None:
    """Celery puts one around what it cannot pickle."""
    wrapped = stored(
        "UnpickleableExceptionWrapper", "app.errors", "Odd", ["1/2"], "Odd('1/2')", module="celery.utils.serialization"
    )
    error = failure(read_reply(wrapped), "id")
    assert isinstance(error, RemoteTaskFailedError)
    assert (str(error), error.error_type, type(error).__name__) == ("1/2", "app.errors.Odd", "Odd")


def test_a_wrapper_that_was_pickled_is_taken_off_as_well() -> None:
    """The text is what the exception said, in the worker's traceback too."""
    wrapper = UnpickleableExceptionWrapper("app.errors", "Odd", ("1/2",), "Odd('1/2')")
    traceback = f"Traceback (most recent call last):\n  in the worker\n{WRAPPER}: Odd('1/2')\n"
    error = failure(read_reply({"status": "FAILURE", "result": wrapper, "traceback": traceback}), "id")
    assert isinstance(error, RemoteTaskFailedError)
    assert (str(error), error.error_type) == ("1/2", "app.errors.Odd")
    assert error.remote_traceback == "Traceback (most recent call last):\n  in the worker\napp.errors.Odd: 1/2\n"


@given(st.text(max_size=20), st.text(max_size=20), st.lists(st.integers() | st.text(max_size=5), max_size=3))
def test_any_name_makes_an_error(module: str, name: str, arguments: list[Any]) -> None:
    """Also one that no class can have."""
    error = failure(read_reply(stored(name, *arguments, module=module)), "id")
    assert isinstance(error, RemoteTaskFailedError)
    assert str(error)


@pytest.mark.parametrize("kind", [RemoteTaskError, RemoteTaskRevokedError, WorkerLostError])
def test_the_other_endings_pickle_and_copy(kind: type[RemoteTaskError]) -> None:
    """With their text and their id."""
    error = kind("why", celery_id="id")
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(same), str(same), same.celery_id) == (kind, "why", "id")


async def test_what_is_hard_to_carry_arrives(redis_worker: Worker) -> None:
    """A group's cause, a text that the constructor made, a file's name, two lines without the note."""
    errors: dict[str, Any] = {}
    for kind in ("group", "formatting", "os", "note"):
        with pytest.raises(RemoteTaskFailedError) as caught:
            await run_celery(redis_worker.app.signature("test.raise_odd", args=[kind]))
        errors[kind] = caught.value
    assert "tests.workers.worker_app" not in sys.modules
    assert errors["group"].error_type == "ExceptionGroup"
    assert "the real cause" in str(errors["group"])
    assert "the real cause" in errors["group"].remote_traceback
    assert str(errors["formatting"]) == "1/2"
    assert errors["formatting"].error_type == "tests.workers.worker_app.FormattingError"
    assert isinstance(errors["os"], FileNotFoundError)
    assert "/nowhere/at/all" in str(errors["os"])
    assert isinstance(errors["note"], ValueError)
    assert str(errors["note"]) == "two\nlines"


async def test_a_large_result_holds_up_nobody(redis_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is decoded in another thread than the event loop's."""
    import threading

    from ailf.workers import reply, sources

    threads: set[str] = set()
    read_reply_of = reply.read_reply

    def noted(meta: Any) -> Any:
        if meta is not None and meta.get("status") == "SUCCESS":
            threads.add(threading.current_thread().name)
        return read_reply_of(meta)

    monkeypatch.setattr(sources, "read_reply", noted)
    result = await run_celery(redis_worker.app.signature("test.rows", args=[5000]))
    assert len(result) == 5000
    assert threads
    assert threading.main_thread().name not in threads


async def test_a_tasks_own_time_limit_counts(redis_worker: Worker) -> None:
    """Below the soft limit that every task has as well."""
    async with asyncio.timeout(20):
        with pytest.raises(RemoteTaskFailedError) as caught:
            await run_celery(redis_worker.app.signature("test.endless"))
    assert caught.value.error_type.endswith("TimeLimitExceeded")
