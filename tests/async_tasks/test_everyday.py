"""Things of every day: an id that may be there, many cancellations at once, a task as a dict, a manager in words."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import ailf
from ailf.async_tasks import TaskInfo, TaskManager, TaskStatus
from ailf.errors import DuplicateTaskError, InvalidArgumentError
from tests.async_tasks.journal.support import python


def test_the_package_has_what_one_begins_with() -> None:
    """Without its weight for those who want something else of it."""
    assert ailf.TaskManager is TaskManager
    assert {"TaskManager", "TaskInfo", "TaskStatus", "current_task"} <= set(dir(ailf))
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = ailf.NoSuchThing  # type: ignore[attr-defined]
    program = "import sys, ailf.errors; print('sqlalchemy' in sys.modules); from ailf import TaskManager as M; print(M)"
    assert python(program).splitlines() == ["False", "<class 'ailf.async_tasks.manager.TaskManager'>"]


async def test_a_submission_may_ask_for_the_task_that_is_there(manager: TaskManager) -> None:
    """Whether it runs or has ended: one task, one row, and no coroutine that nobody awaited."""
    gate, ran = asyncio.Event(), []

    async def work(number: int) -> int:
        ran.append(number)
        await gate.wait()
        return number

    ids = await asyncio.gather(
        *(manager.submit(work(number), task_id="nightly", if_exists="return") for number in range(5))
    )
    gate.set()
    assert ids == ["nightly"] * 5
    assert await manager.result("nightly") == 0
    assert await manager.submit(work(5), task_id="nightly", if_exists="return") == "nightly"
    assert await manager.submit(lambda: 1, if_exists="return") != "nightly"
    assert (ran, manager.count_tasks()) == ([0], 2)
    with pytest.raises(DuplicateTaskError):
        await manager.submit(work(6), task_id="nightly", if_exists="raise")
    with pytest.raises(InvalidArgumentError, match="if_exists"):
        await manager.submit(work(7), task_id="other", if_exists="replace")


async def test_the_task_that_is_there_may_be_one_whose_submitter_has_gone(manager: TaskManager) -> None:
    """It is there, cancelled, and answers for itself."""
    first = asyncio.create_task(manager.submit(asyncio.sleep(0), task_id="x"))
    await asyncio.sleep(0)
    first.cancel()
    assert await manager.submit(asyncio.sleep(0), task_id="x", if_exists="return") == "x"
    await asyncio.gather(first, return_exceptions=True)
    info = manager.get_task_info("x")
    assert info is not None
    assert info.status is TaskStatus.CANCELLED


async def test_tasks_are_cancelled_by_what_they_are(journal: Path) -> None:
    """Those that fit and have not ended, waiting ones and those of another manager included; the others go on."""
    async with TaskManager(journal, max_concurrency=2) as manager, TaskManager(journal) as other:
        await manager.result(await manager.submit(asyncio.sleep(0), name="batch"))
        ids = [await manager.submit(asyncio.Event().wait(), name="batch") for _ in range(4)]
        ids.append(await other.submit(asyncio.Event().wait(), name="batch"))
        kept = await other.submit(asyncio.Event().wait(), name="kept")
        assert await manager.cancel_tasks(name="batch") == 5
        assert {info.id for info in manager.list_tasks("cancelled")} == set(ids)
        assert all(info.started_at is None for info in manager.list_tasks("cancelled") if info.id in ids[2:4])
        assert await manager.cancel_tasks("completed") == 0
        assert await other.cancel_tasks() == 1
        assert [info.id for info in other.list_tasks("cancelled", name="kept")] == [kept]


async def test_a_task_may_cancel_all_that_it_is_one_of(manager: TaskManager) -> None:
    """Itself included; the rest is cancelled all the same."""
    ids = [await manager.submit(asyncio.Event().wait(), name="all") for _ in range(3)]
    ids.append(await manager.submit(lambda: manager.cancel_tasks(name="all"), name="all"))
    await asyncio.gather(*map(manager.wait_for_task, ids))
    assert {info.status for info in manager.list_tasks(name="all")} == {TaskStatus.CANCELLED}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": [1]}, {"a": [1]}),
        ((1, {2}), [1, [2]]),
        (datetime(2026, 11, 24, tzinfo=UTC), "2026-11-24T00:00:00+00:00"),
        ({1: "a", "1": "b"}, "{1: 'a', '1': 'b'}"),
    ],
)
async def test_a_task_is_a_dict_that_json_takes(journal: Path, value: Any, shown: Any) -> None:
    """The same in the process that ran it and after a restart, whatever it returned."""
    async with TaskManager(journal) as manager:
        await manager.result(await manager.submit(asyncio.sleep(0, value), task_id="x", metadata={"user": "u1"}))
        info = manager.get_task_info("x")
        assert info is not None
        here = info.to_dict()
    async with TaskManager(journal) as manager:
        again = manager.get_task_info("x")
        assert again is not None
        assert again.to_dict() == here
    assert json.loads(json.dumps(here, allow_nan=False)) == here
    assert here["result"] == shown
    assert (here["status"], here["metadata"], here["duration"]) == ("completed", {"user": "u1"}, info.duration)
    assert here["created_at"].endswith("Z")
    assert info.is_ended
    assert here.keys() == {*TaskInfo.__dataclass_fields__, "duration"}


async def test_a_manager_says_what_it_is(journal: Path) -> None:
    """Its journal, whether it is started, and how many tasks run and wait."""
    manager = TaskManager(journal, max_concurrency=1)
    assert repr(manager) == f"<TaskManager of {str(journal)!r}, stopped>"
    async with manager:
        for _ in range(3):
            await manager.submit(asyncio.Event().wait())
        assert repr(manager) == f"<TaskManager of {str(journal)!r}, started, 1 running, 2 pending>"
    assert repr(manager).endswith("stopped>")
    assert repr(TaskManager(":memory:")) == "<TaskManager of a private journal, stopped>"
