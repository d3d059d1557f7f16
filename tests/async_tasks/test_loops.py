"""A manager of a module, in notebooks, scripts and tests: each ``asyncio.run`` has a loop of its own."""

import asyncio
import gc
import weakref
from functools import partial
from pathlib import Path

import pytest

from ailf.async_tasks import History, TaskManager
from ailf.async_tasks.journal.care import upkeep
from ailf.errors import ManagerError
from tests.conftest import until


def test_a_manager_goes_on_on_the_next_loop(journal: Path) -> None:
    """Without a stop on the one before, which has ended what ran on it; the stop at the end works as well."""
    manager = TaskManager(journal, retention=None)

    async def square(number: int) -> int:
        await manager.start()
        return int(await manager.result(await manager.submit(lambda: number * number, task_id=str(number))))

    async def leave() -> None:
        await manager.start()
        await manager.submit(asyncio.Event().wait(), task_id="left")

    assert [asyncio.run(square(number)) for number in (2, 3)] == [4, 9]
    asyncio.run(leave())
    asyncio.run(manager.stop())
    asyncio.run(manager.stop())
    assert asyncio.run(square(4)) == 16
    asyncio.run(manager.stop())
    with History(journal) as history:
        ended = {info.id: str(info.status) for info in history.list_tasks()}
    assert ended == dict.fromkeys(("2", "3", "4"), "completed") | {"left": "cancelled"}
    assert upkeep.owner_states(journal) == []


def test_a_closed_loop_is_told_with_the_way_out(journal: Path) -> None:
    """Where nobody has started it on this one; what any thread may do works meanwhile."""
    manager = TaskManager(journal, retention=None)
    asyncio.run(manager.start())

    async def submit() -> None:
        await manager.submit(asyncio.sleep(0))

    with pytest.raises(ManagerError, match=r"is closed; call `await manager.start\(\)` on this one"):
        asyncio.run(submit())
    assert manager.list_tasks() == []
    asyncio.run(manager.stop())


@pytest.mark.parametrize("forgotten", ["after its loop", "before its loop"])
def test_a_forgotten_manager_frees_its_lock(journal: Path, forgotten: str) -> None:
    """Once nobody has it any more and its loop is closed; what waited for a slot has ended as well."""
    managers = [TaskManager(journal, retention=None, max_concurrency=1)]
    gone = weakref.ref(managers[0])

    async def leave() -> None:
        await managers[0].start()
        for name in ("runs", "waits"):
            await managers[0].submit(partial(asyncio.sleep, 3600), task_id=name)
        if forgotten == "before its loop":
            managers.clear()

    asyncio.run(leave())
    managers.clear()
    gc.collect()
    assert gone() is None
    asyncio.run(until(lambda: upkeep.owner_states(journal) == []))
    with History(journal) as history:
        assert {info.status for info in history.list_tasks()} == {"cancelled"}
    assert list(journal.parent.glob("*.owners/*.lock")) == list(journal.parent.glob("*.owners/migration.lock"))


def test_a_manager_that_nobody_has_goes_on_with_its_tasks(journal: Path) -> None:
    """As long as its loop is at work."""

    async def leave() -> None:
        done = asyncio.Event()
        manager = TaskManager(journal, retention=None)
        await manager.start()
        await manager.submit(done.wait(), task_id="at work")
        gone = weakref.ref(manager)
        del manager
        gc.collect()
        assert gone() is None
        done.set()
        with History(journal) as history:
            await until(lambda: history.count_tasks("completed") == 1)

    asyncio.run(leave())
    asyncio.run(until(lambda: upkeep.owner_states(journal) == []))
