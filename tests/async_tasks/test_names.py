"""The ids and names that tasks may have."""

import asyncio
import functools
import inspect
from typing import Any

import pytest

from ailf.async_tasks import TaskManager
from ailf.errors import AilfError, DuplicateTaskError, InvalidArgumentError


async def work() -> str:
    """Do nothing but return."""
    return "done"


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


@pytest.mark.parametrize("ended", [False, True])
async def test_an_id_is_used_once(manager: TaskManager, *, ended: bool) -> None:
    """A second task with the id of a task that runs, or has ended, is refused; the first is left as it is."""
    gate = asyncio.Event()
    await manager.submit(gate.wait(), task_id="one", name="first")
    if ended:
        gate.set()
        await manager.wait_for_task("one")
    await assert_refused(manager, DuplicateTaskError, task_id="one")
    gate.set()
    assert await manager.wait_for_task("one") is True
    assert [info.name for info in manager.list_tasks()] == ["first"]


async def test_a_waiter_of_a_refused_id_gets_the_task_that_has_it(manager: TaskManager) -> None:
    """Who waits for an id while a duplicate of it is refused hears of the task that is in the journal."""
    await manager.submit(asyncio.sleep(0, "first"), task_id="one")
    await manager.wait_for_task("one")
    refused = asyncio.ensure_future(manager.submit(work(), task_id="one"))
    await asyncio.sleep(0)
    assert await manager.result("one") == "first"
    with pytest.raises(DuplicateTaskError):
        await refused


@pytest.mark.parametrize("task_id", ["", "a\0b", "a\nb", "\ud800", "x" * 256, "\x1b[31m"])
async def test_an_id_is_legible_text(manager: TaskManager, task_id: str) -> None:
    """An id that a shell could not show is refused."""
    await assert_refused(manager, InvalidArgumentError, task_id=task_id)


@pytest.mark.parametrize("task_id", ["x", 'it\'s "quoted"; DROP TABLE tasks; --', "日本語 🍃", "y" * 255])
async def test_any_legible_id_will_do(manager: TaskManager, task_id: str) -> None:
    """Quotes and any script are fine in an id, which comes back as it was given."""
    assert await manager.submit(work(), task_id=task_id) == task_id
    assert await manager.result(task_id) == "done"
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.id == task_id


async def test_a_name_is_any_text(manager: TaskManager) -> None:
    """NUL and lone surrogates are spelled out, everything else comes back as it was, a megabyte too."""
    names = {"": "", "a\0b": "a\\x00b", "\ud800": "\\ud800", 'it\'s "x"': 'it\'s "x"', "n" * 1_000_000: "n" * 1_000_000}
    for given, kept in names.items():
        info = manager.get_task_info(await manager.submit(work(), name=given))
        assert info is not None
        assert info.name == kept
        assert len(manager.list_tasks(name=given)) == 1


async def test_the_name_is_by_default_what_runs(manager: TaskManager) -> None:
    """A coroutine, a partial and an object each give the qualified name of what they run."""
    for what, name in ((work(), "work"), (functools.partial(work), "work"), (Called(), "Called")):
        info = manager.get_task_info(await manager.submit(what))
        assert info is not None
        assert info.name == name


async def test_chosen_ids_differ(manager: TaskManager) -> None:
    """Tasks without an id of the caller's choice get one each."""
    ids = await asyncio.gather(*(manager.submit(work()) for _ in range(200)))
    assert len(set(ids)) == 200
    assert [info.id for info in manager.list_tasks()] == ids
