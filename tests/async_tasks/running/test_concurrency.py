"""``max_concurrency``: how many run at a time, and who is next."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager, TaskStatus, current_task
from tests.conftest import PATIENCE_SECONDS, until


@pytest.mark.parametrize("most", [1, 3])
async def test_no_more_than_that_many_run(journal: Path, most: int) -> None:
    """At no time are more tasks RUNNING or really running than the limit, and all get their turn."""
    running, peak = 0, 0

    async def work() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        for _ in range(3):
            await asyncio.sleep(0)
            assert manager.count_tasks(TaskStatus.RUNNING) <= most
        running -= 1

    async with TaskManager(journal, max_concurrency=most) as manager:
        ids = await asyncio.gather(*(manager.submit(work()) for _ in range(20)))
        await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
        assert manager.count_tasks(TaskStatus.COMPLETED) == 20
    assert peak == most


async def test_who_came_first_starts_first(journal: Path) -> None:
    """Tasks that wait for a slot start in order of submission."""
    started = []

    async def work(number: int) -> None:
        started.append(number)
        await asyncio.sleep(0)

    async with TaskManager(journal, max_concurrency=1) as manager:
        ids = [await manager.submit(work(number)) for number in range(12)]
        await manager.wait_for_task(ids[-1])
        times = [info.started_at for info in manager.list_tasks() if info.started_at]
    assert started == list(range(12))
    assert times == sorted(times)


async def test_a_slot_comes_free_however_a_task_ends(journal: Path) -> None:
    """Result, error, limit, cancellation before and after the first line, refusal: the next one starts."""

    async def fail() -> None:
        raise ValueError

    async with TaskManager(journal, max_concurrency=1) as manager:
        await manager.submit(asyncio.sleep(0), task_id="result")
        await manager.submit(fail(), task_id="error")
        await manager.submit(asyncio.Event().wait(), task_id="limit", timeout=0.01)
        await manager.wait_for_task("limit")
        await manager.submit(asyncio.Event().wait(), task_id="before")
        assert await manager.cancel_task("before")
        await manager.submit(asyncio.Event().wait(), task_id="after")
        await asyncio.sleep(0)
        assert await manager.cancel_task("after")
        with pytest.raises(ValueError, match="choose another id"):
            await manager.submit(asyncio.sleep(0), task_id="after")
        submission = asyncio.ensure_future(manager.submit(asyncio.Event().wait(), task_id="submission"))
        await asyncio.sleep(0)
        submission.cancel()
        await asyncio.wait([submission])
        assert await manager.result(await manager.submit(asyncio.sleep(0, "next"))) == "next"
        await until(lambda: manager.count_tasks(["pending", "running"]) == 0)


async def test_without_a_limit_all_run(manager: TaskManager) -> None:
    """A thousand tasks that wait for the last of them are all running."""
    gate = asyncio.Event()
    ids = [await manager.submit(gate.wait()) for _ in range(1000)]
    assert manager.count_tasks(TaskStatus.RUNNING) == 1000
    gate.set()
    assert all([await manager.wait_for_task(task_id) for task_id in ids])


async def test_a_task_may_submit_into_a_full_house(journal: Path) -> None:
    """A task that holds the only slot submits another, which starts when the first has ended."""
    async with TaskManager(journal, max_concurrency=1) as manager:

        async def outer() -> str:
            return await manager.submit(asyncio.sleep(0, "inner"))

        inner = await manager.result(await manager.submit(outer()))
        assert await manager.result(inner) == "inner"


async def test_a_task_follows_what_it_submits_in_the_only_slot(journal: Path) -> None:
    """While it waits for the next event, or the next line of a log, the task that it follows has the slot."""
    async with TaskManager(journal, max_concurrency=1, capture_logs="INFO") as manager:

        async def child() -> None:
            current_task().log("said")

        async def follow_events() -> list[str]:
            return [event.kind.value async for event in manager.watch(await manager.submit(child))]

        async def follow_log() -> list[str]:
            return [line.message async for line in manager.watch_logs(await manager.submit(child))]

        events = await manager.result(await manager.submit(follow_events), PATIENCE_SECONDS)
        assert events == ["submitted", "started", "completed"]
        assert await manager.result(await manager.submit(follow_log), PATIENCE_SECONDS) == ["said"]


async def test_a_task_that_waits_for_a_time_goes_on_when_that_is_over(journal: Path) -> None:
    """Though the one that it waits for has the only slot: what it does next may be what that one waits for."""
    gate = asyncio.Event()
    async with TaskManager(journal, max_concurrency=1) as manager:

        async def parent() -> object:
            child = await manager.submit(gate.wait)
            assert await manager.wait_for_task(child, timeout=0.01) is None
            with pytest.raises(TimeoutError):
                await manager.result(child, timeout=0.01)
            gate.set()
            return await manager.result(child)

        assert await manager.result(await manager.submit(parent), PATIENCE_SECONDS) is True
        # And the slot that was one too many is given back.
        running = await manager.submit(asyncio.Event().wait)
        waiting = await manager.submit(asyncio.sleep(0))
        assert await manager.wait_for_task(waiting, timeout=0.05) is None
        assert manager.count_tasks(TaskStatus.RUNNING) == 1
        assert await manager.cancel_task(running)


async def test_chains_and_fans_of_waits_need_one_slot(journal: Path) -> None:
    """A task that waits for those it submitted gives its slot to them, however deep and wide that goes."""
    async with TaskManager(journal, max_concurrency=1) as manager:

        async def chain(depth: int) -> int:
            return 0 if not depth else 1 + await manager.result(await manager.submit(partial(chain, depth - 1)))

        async def fan(depth: int) -> int:
            if not depth:
                return 1
            ids = [await manager.submit(partial(fan, depth - 1)) for _ in range(3)]
            return sum(await asyncio.gather(*map(manager.result, ids)))

        assert await manager.result(await manager.submit(partial(chain, 10)), PATIENCE_SECONDS) == 10
        assert await manager.result(await manager.submit(partial(fan, 2)), PATIENCE_SECONDS) == 9


async def test_tasks_that_wait_for_each_other_are_told(journal: Path) -> None:
    """The one that closes the circle is refused, so that both end."""
    async with TaskManager(journal, max_concurrency=2) as manager:
        await asyncio.gather(
            manager.submit(partial(manager.result, "b"), task_id="a"),
            manager.submit(partial(manager.result, "a"), task_id="b"),
        )
        for task_id in ("a", "b"):
            assert await manager.wait_for_task(task_id, PATIENCE_SECONDS) is None
            info = manager.get_task_info(task_id)
            assert info is not None
            assert info.status is TaskStatus.FAILED
