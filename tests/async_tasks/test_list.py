"""``list_tasks``, ``count_tasks`` and their conditions, over the whole history."""

import asyncio
import gc
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.async_tasks.journal.reading.areader import MOST_CONNECTIONS
from ailf.errors import InvalidArgumentError, InvalidTypeError, NotStartedError
from tests.conftest import until


async def submit(manager: TaskManager, **options: Any) -> str:
    """Submit a task that ends at once."""
    return await manager.submit(asyncio.sleep(0), **options)


async def one_of_each(manager: TaskManager) -> dict[TaskStatus, str]:
    """A task in each state; the manager runs three at a time."""
    ids = {TaskStatus.COMPLETED: await submit(manager, name="good")}

    async def fail() -> None:
        raise ValueError("bad")

    ids[TaskStatus.FAILED] = await manager.submit(fail(), name="bad")
    await manager.wait_for_task(ids[TaskStatus.FAILED])
    ids[TaskStatus.CANCELLED] = await manager.submit(asyncio.Event().wait(), name="stopped")
    await manager.cancel_task(ids[TaskStatus.CANCELLED])
    ids[TaskStatus.RUNNING] = await manager.submit(asyncio.Event().wait(), name="busy")
    for _ in range(2):
        await manager.submit(asyncio.Event().wait(), name="filler")
    ids[TaskStatus.PENDING] = await manager.submit(asyncio.Event().wait(), name="waiting")
    return ids


async def test_a_status_is_named_in_many_ways(journal: Path) -> None:
    """A state, its name in any case, or several of these choose tasks; counting them agrees."""
    async with TaskManager(journal, max_concurrency=3) as manager:
        ids = await one_of_each(manager)
        for status, task_id in ids.items():
            for spelling in (status, status.name, status.name.lower(), status.name.title(), [status], {str(status)}):
                found = [info.id for info in manager.list_tasks(spelling)]
                assert task_id in found
                assert {info.status for info in manager.list_tasks(spelling)} == {status}
                assert manager.count_tasks(spelling) == len(found)
        ended = manager.list_tasks(["COMPLETED", TaskStatus.FAILED, "cancelled"])
        assert [info.id for info in ended] == list(ids.values())[:3]
        assert manager.list_tasks(iter([TaskStatus.PENDING])) == manager.list_tasks(TaskStatus.PENDING)
        assert manager.count_tasks() == 7


async def test_no_status_at_all_fits_no_task(manager: TaskManager) -> None:
    """An empty list of states is a choice of none, not of all."""
    await submit(manager)
    assert manager.list_tasks([]) == []
    assert manager.count_tasks(()) == 0
    assert manager.count_tasks(None) == 1


@pytest.mark.parametrize(
    ("conditions", "error"),
    [
        ({"status": "done"}, InvalidArgumentError),
        ({"status": ""}, InvalidArgumentError),
        ({"status": ["running", "done"]}, InvalidArgumentError),
        ({"status": 1}, InvalidTypeError),
        ({"status": [None]}, InvalidTypeError),
        ({"name": 1}, InvalidTypeError),
        ({"metadata": "x"}, InvalidTypeError),
        ({"metadata": {1: 2}}, InvalidTypeError),
        ({"metadata": {"x": object()}}, InvalidTypeError),
        ({"metadata": {"x": float("nan")}}, InvalidArgumentError),
        ({"created_after": "2026-01-01"}, InvalidTypeError),
        ({"created_before": 5}, InvalidTypeError),
        ({"created_after": datetime.max.replace(tzinfo=UTC) - timedelta(1), "created_before": 1}, InvalidTypeError),
    ],
)
async def test_conditions_that_make_no_sense_are_refused(
    manager: TaskManager, conditions: dict[str, Any], error: type[Exception]
) -> None:
    """Each of the three calls refuses them alike."""
    for call in (manager.list_tasks, manager.count_tasks):
        with pytest.raises(error):
            call(**conditions)
    with pytest.raises(error):
        await manager.alist_tasks(**conditions)


@pytest.mark.parametrize("value", [-1, 1.5, "1", True, 2**63])
@pytest.mark.parametrize("argument", ["limit", "offset"])
async def test_a_page_is_counted_in_whole_numbers(manager: TaskManager, argument: str, value: Any) -> None:
    """Negative, broken and immense numbers are refused."""
    with pytest.raises((InvalidArgumentError, InvalidTypeError)):
        manager.list_tasks(**{argument: value})


async def test_tasks_come_in_order_of_submission_in_pages(manager: TaskManager) -> None:
    """Pages, from either end, put together are the whole list."""
    ids = [await submit(manager) for _ in range(7)]
    assert [info.id for info in manager.list_tasks()] == ids
    assert [info.id for info in manager.list_tasks(newest_first=True)] == ids[::-1]
    paged = [info.id for start in range(0, 9, 3) for info in manager.list_tasks(limit=3, offset=start)]
    assert paged == ids
    assert [info.id for info in manager.list_tasks(newest_first=True, limit=2, offset=1)] == [ids[5], ids[4]]
    assert manager.list_tasks(limit=0) == []
    assert [info.id for info in manager.list_tasks(offset=5)] == ids[5:]


async def test_the_order_is_kept_whatever_ends_first(journal: Path) -> None:
    """Concurrent submissions are listed in the order in which they were made, beside a restart too."""
    async with TaskManager(journal, max_concurrency=2) as manager:
        ids = await asyncio.gather(*(submit(manager, task_id=f"{9 - n}") for n in range(8)))
        await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
    async with TaskManager(journal) as manager:
        ids.append(await submit(manager, task_id="0"))
        assert [info.id for info in manager.list_tasks()] == ids
        assert [info.id for info in await manager.alist_tasks()] == ids


async def test_times_of_submission_choose_tasks(manager: TaskManager) -> None:
    """``created_after`` includes its time, ``created_before`` does not; naive times are local ones."""
    first = await submit(manager)
    await until(lambda: datetime.now(UTC) > created(manager, first))
    second = await submit(manager)
    moment = created(manager, second)
    naive = moment.astimezone().replace(tzinfo=None)
    elsewhere = moment.astimezone().astimezone(tz=None)
    for time in (moment, naive, elsewhere):
        assert [info.id for info in manager.list_tasks(created_after=time)] == [second]
        assert [info.id for info in manager.list_tasks(created_before=time)] == [first]
        assert manager.count_tasks(created_after=time, created_before=time) == 0
    assert manager.count_tasks(created_after=datetime.min.replace(tzinfo=UTC)) == 2


def created(manager: TaskManager, task_id: str) -> datetime:
    """When a task was submitted."""
    info = manager.get_task_info(task_id)
    assert info is not None
    return info.created_at


async def test_conditions_are_met_together(manager: TaskManager) -> None:
    """A task is listed where it fits every condition."""
    wanted = await submit(manager, name="a", metadata={"user": "u1", "n": 1})
    await submit(manager, name="b", metadata={"user": "u1", "n": 1})
    await submit(manager, name="a", metadata={"user": "u2", "n": 1})
    await submit(manager, name="a", metadata={"user": "u1"})
    await manager.wait_for_task(wanted)
    fits: dict[str, Any] = {"name": "a", "metadata": {"user": "u1", "n": 1}}
    assert [info.id for info in manager.list_tasks(status="completed", **fits)] == [wanted]
    assert [info.id for info in await manager.alist_tasks(status="completed", **fits)] == [wanted]
    assert manager.count_tasks(["running", "completed"], **fits) == 1


async def test_reads_see_every_run_and_every_process(journal: Path) -> None:
    """Tasks of an earlier run, and rows that another connection deletes, show in the next read."""
    async with TaskManager(journal) as manager:
        earlier = await submit(manager, name="earlier")
    async with TaskManager(journal) as manager:
        later = await submit(manager, name="later")
        await manager.wait_for_task(later)
        assert [info.name for info in manager.list_tasks()] == ["earlier", "later"]
        other = sqlite3.connect(journal)
        other.execute("PRAGMA foreign_keys=ON")
        other.execute("DELETE FROM tasks WHERE id = ?", (earlier,))
        other.commit()
        other.close()
        assert [info.name for info in manager.list_tasks()] == ["later"]
        assert manager.get_task_info(earlier) is None
        assert manager.get_task_events(earlier) == []


async def test_the_awaitable_twins_agree(journal: Path) -> None:
    """Each awaitable read gives what its blocking twin gives."""
    async with TaskManager(journal, max_concurrency=3) as manager:
        ids = await one_of_each(manager)
        assert await manager.alist_tasks() == manager.list_tasks()
        assert await manager.alist_tasks("failed", newest_first=True) == manager.list_tasks("failed", newest_first=True)
        for task_id in ids.values():
            assert await manager.aget_task_info(task_id) == manager.get_task_info(task_id)
        assert await manager.aget_task_info("unknown") is None


async def test_nothing_is_read_before_start(journal: Path) -> None:
    """Every read of a manager that is not started says so."""
    manager = TaskManager(journal)
    for call in (manager.list_tasks, manager.count_tasks):
        with pytest.raises(NotStartedError):
            call()
    for look_up in (manager.get_task_info, manager.get_task_events):
        with pytest.raises(NotStartedError):
            look_up("x")
    with pytest.raises(NotStartedError):
        await manager.alist_tasks()
    with pytest.raises(NotStartedError):
        await manager.aget_task_info("x")
    assert not journal.exists()


@pytest.mark.parametrize("task_id", ["unknown", "", "a\0b", "\ud800", "x" * 1_000_000, "' OR 1=1 --"])
async def test_an_unknown_id_finds_nothing(manager: TaskManager, task_id: str) -> None:
    """Whatever text an unknown id is, nothing is found, and nothing is raised."""
    await submit(manager)
    assert manager.get_task_info(task_id) is None
    assert manager.get_task_events(task_id) == []
    assert manager.update_progress(task_id, 5) is False
    assert await manager.cancel_task(task_id) is False
    assert await manager.wait_for_task(task_id) is None


async def test_an_id_is_text(manager: TaskManager) -> None:
    """An id of another type is refused by every call that takes one."""
    bad: Any = 7
    for call in (manager.get_task_info, manager.get_task_events, lambda one: manager.update_progress(one, 5)):
        with pytest.raises(InvalidTypeError):
            call(bad)
    for acall in (manager.aget_task_info, manager.cancel_task, manager.wait_for_task, manager.result):
        with pytest.raises(InvalidTypeError):
            await acall(bad)


async def test_a_cancelled_read_leaves_nothing_behind(manager: TaskManager) -> None:
    """An awaitable read may be cancelled at any moment: its connection is closed, or there for the next one."""
    await submit(manager)
    before = threading.active_count()
    for turns in range(30):
        reading = asyncio.ensure_future(manager.alist_tasks())
        for _ in range(turns):
            await asyncio.sleep(0.0001 * (turns % 3))
        reading.cancel()
        await asyncio.wait([reading])
    await until(lambda: threading.active_count() <= before + MOST_CONNECTIONS)
    gc.collect()
    assert len(await manager.alist_tasks()) == 1
