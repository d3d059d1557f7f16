"""What ``submit`` takes, and what becomes of what it refuses."""

import asyncio
import contextvars
import functools
import gc
import inspect
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus, current_task
from ailf.errors import (
    AilfError,
    InvalidArgumentError,
    InvalidTypeError,
    ManagerError,
    NotStartedError,
    TaskFailedError,
)
from tests.conftest import until

flavour: contextvars.ContextVar[str] = contextvars.ContextVar("flavour", default="plain")


async def work() -> str:
    """Do nothing but return."""
    return "done"


class Awaited:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Any:
        """Wait for a moment."""
        yield from asyncio.sleep(0).__await__()
        return "awaited"


class Called:
    """A callable object whose call is a coroutine function."""

    async def __call__(self) -> str:
        """Return at once."""
        return "called"


async def assert_refused(manager: TaskManager, error: type[AilfError], /, **options: Any) -> None:
    """Submit a new coroutine that must be refused: it is closed, and there is no row."""
    before = manager.count_tasks()
    coroutine = work()
    with pytest.raises(error):
        await manager.submit(coroutine, **options)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
    assert manager.count_tasks() == before


@pytest.mark.parametrize(
    ("make", "result"),
    [
        (work, "done"),
        (lambda: asyncio.sleep(0, "made"), "made"),
        (functools.partial(asyncio.sleep, 0, "slept"), "slept"),
        (functools.partial(max, 3, 7), 7),
        (Called(), "called"),
        (Awaited, "awaited"),
        (dict, {}),
    ],
    ids=["async function", "lambda that makes a coroutine", "partial of async", "partial", "object", "class", "type"],
)
async def test_a_callable_is_called_when_the_task_starts(
    manager: TaskManager, make: Callable[[], Any], result: object
) -> None:
    """Any callable without arguments is a task; what it returns, awaited if need be, is the result."""
    assert await manager.result(await manager.submit(make)) == result


async def test_awaitables_other_than_coroutines_are_tasks(manager: TaskManager) -> None:
    """An object with ``__await__``, a future and an asyncio task are awaited."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    ids = [await manager.submit(what) for what in (Awaited(), future, loop.create_task(work()))]
    future.set_result("set")
    assert [await manager.result(task_id) for task_id in ids] == ["awaited", "set", "done"]


async def test_a_plain_function_runs_in_a_thread(manager: TaskManager) -> None:
    """The event loop goes on while a plain function runs, and the function knows its task."""
    loop = asyncio.get_running_loop()

    def function() -> tuple[str, int]:
        answer = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 41), loop).result()
        return current_task().id, answer + 1

    task_id = await manager.submit(function)
    assert await manager.result(task_id) == (task_id, 42)


async def test_a_function_that_raises_stop_iteration_fails(manager: TaskManager) -> None:
    """A bare ``next`` in a thread ends the task as it would in a coroutine, instead of never."""
    task_id = await manager.submit(lambda: next(iter(())))
    with pytest.raises(TaskFailedError, match="StopIteration") as caught:
        await manager.result(task_id)
    assert caught.value.error_type == "RuntimeError"


async def test_the_traceback_of_a_function_begins_with_the_function(manager: TaskManager) -> None:
    """What a plain function raises is recorded without the frames that carried it to its thread."""

    def function() -> None:
        raise LookupError("no such leaf")

    task_id = await manager.submit(function)
    await manager.wait_for_task(task_id)
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.traceback is not None
    assert f'"{__file__}"' in info.traceback.splitlines()[1]


async def test_the_caller_has_the_id_before_the_first_line_runs(manager: TaskManager) -> None:
    """A coroutine may use the id that ``submit`` will have returned by then."""
    seen: list[str] = []

    async def reporter() -> None:
        seen.append(task_id)

    task_id = await manager.submit(reporter())
    assert seen == []
    await manager.wait_for_task(task_id)
    assert seen == [task_id]


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="eager tasks came with Python 3.12")
async def test_an_eager_task_factory_changes_nothing(journal: Path) -> None:
    """The first line still comes after the id, and the manager starts, runs and stops."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    seen: list[str] = []

    async def reporter() -> str:
        seen.append(task_id)
        return await asyncio.sleep(0, current_task().id)

    async with TaskManager(journal) as manager:
        task_id = await manager.submit(reporter())
        assert seen == []
        assert await manager.result(task_id) == task_id
    assert seen == [task_id]


async def test_context_variables_go_along(manager: TaskManager) -> None:
    """A task sees the submitter's context, and what it sets stays with it."""

    async def coroutine() -> str:
        before = flavour.get()
        flavour.set("changed")
        return before

    flavour.set("sweet")
    ids = [await manager.submit(coroutine()), await manager.submit(flavour.get)]
    flavour.set("sour")
    assert [await manager.result(task_id) for task_id in ids] == ["sweet", "sweet"]
    assert flavour.get() == "sour"


async def test_the_context_is_that_of_the_call(manager: TaskManager) -> None:
    """What somebody else sets in the same context while the submission waits does not show."""
    flavour.set("sweet")
    context = contextvars.copy_context()
    submission = asyncio.create_task(manager.submit(flavour.get), context=context)
    await asyncio.sleep(0)
    context.run(flavour.set, "sour")
    assert await manager.result(await submission) == "sweet"


@pytest.mark.parametrize("given", [None, 0, "text", [1], {"a": 1}])
async def test_what_cannot_be_awaited_or_called_is_refused(manager: TaskManager, given: Any) -> None:
    """The error says what to give instead."""
    with pytest.raises(InvalidTypeError, match="give a coroutine"):
        await manager.submit(given)
    assert manager.count_tasks() == 0


async def test_a_used_coroutine_is_refused(manager: TaskManager) -> None:
    """A coroutine that has been awaited, or that waits in another task, is no new work."""
    finished = work()
    await finished
    elsewhere = asyncio.sleep(3600)
    runner = asyncio.create_task(elsewhere)
    await asyncio.sleep(0)
    for coroutine in (finished, elsewhere):
        with pytest.raises(InvalidArgumentError, match="awaited"):
            await manager.submit(coroutine)
    assert manager.count_tasks() == 0
    runner.cancel()
    with pytest.raises(asyncio.CancelledError):
        await runner


async def test_a_coroutine_is_submitted_once(manager: TaskManager) -> None:
    """A second submission of a coroutine that waits for its turn is refused and does not harm the first."""
    coroutine = work()
    task_id = await manager.submit(coroutine)
    with pytest.raises(InvalidArgumentError, match="submitted already"):
        await manager.submit(coroutine)
    assert await manager.result(task_id) == "done"
    assert manager.count_tasks() == 1


@pytest.mark.parametrize(
    "options", [{"task_id": 7}, {"name": 7}, {"timeout": "5"}, {"timeout": True}, {"metadata": [1]}, {"metadata": "x"}]
)
async def test_arguments_of_a_wrong_type_are_refused(manager: TaskManager, options: dict[str, Any]) -> None:
    """Each is a TypeError of ours; nothing has begun."""
    await assert_refused(manager, InvalidTypeError, **options)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), timedelta(0), timedelta(seconds=-1), 1e300])
async def test_a_time_limit_is_above_zero(manager: TaskManager, timeout: Any) -> None:
    """A time limit that is no length of time is refused."""
    await assert_refused(manager, InvalidArgumentError, timeout=timeout)


@pytest.mark.parametrize("started", [False, True], ids=["before start", "after stop"])
async def test_a_manager_that_is_not_started_takes_nothing(journal: Path, *, started: bool) -> None:
    """Submitting before ``start`` or after ``stop`` is an error, and closes the coroutine."""
    manager = TaskManager(journal)
    if started:
        await manager.start()
        await manager.stop()
    coroutine = work()
    with pytest.raises(NotStartedError, match="start"):
        await manager.submit(coroutine)
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


async def test_another_event_loop_is_refused(manager: TaskManager) -> None:
    """A manager works on the loop on which it was started, and says so elsewhere."""

    async def elsewhere() -> None:
        await assert_refused(manager, ManagerError)
        calls: list[Coroutine[Any, Any, Any]] = [
            manager.start(),
            manager.stop(),
            manager.cancel_task("x"),
            manager.wait_for_task("x"),
            manager.result("x"),
            manager.cleanup(),
            manager.aget_task_info("x"),
            manager.alist_tasks(),
        ]
        for call in calls:
            with pytest.raises(ManagerError, match="another event loop"):
                await call

    await asyncio.to_thread(asyncio.run, elsewhere())


async def test_a_refused_submission_leaves_no_warning(manager: TaskManager) -> None:
    """Coroutines are closed, not forgotten: collecting them says nothing."""
    await manager.submit(asyncio.Event().wait(), task_id="one")
    for options in ({"task_id": "one"}, {"timeout": 0}, {"metadata": {"x": {1, 2}}}, {"name": 1}):
        with pytest.raises(AilfError):
            await manager.submit(work(), **options)
    gc.collect()
    await until(lambda: manager.count_tasks() == 1)
    assert manager.count_tasks(TaskStatus.RUNNING) == 1
