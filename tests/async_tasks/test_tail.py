"""The shared end of the journal: who follows it is handed what concerns it, and reads nothing for itself."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ailf.async_tasks import TaskEvent, TaskManager, current_task
from ailf.async_tasks.journal.reading import AsyncReader, Query, Row
from ailf.async_tasks.tail import LAST_EVENTS, MOST_EVENTS_KEPT
from ailf.async_tasks.watching import _Past
from tests.conftest import PATIENCE_SECONDS, until

T = TypeVar("T")


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[Any]]:
    """How many reads there are, by each of the values that they ask for."""
    asked: Counter[Any] = Counter()
    read = AsyncReader.values

    async def counted(self: AsyncReader, query: Query, made: Callable[[Row], T]) -> list[T]:
        asked.update(query.values)
        return await read(self, query, made)

    with monkeypatch.context() as patch:
        patch.setattr(AsyncReader, "values", counted)
        yield asked


async def test_watchers_of_a_task_read_nothing_while_others_run(
    manager: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many they are: what happens to other tasks concerns none of them."""
    gate = asyncio.Event()
    watched = await manager.submit(gate.wait())
    seen: list[list[TaskEvent]] = [[] for _ in range(100)]

    async def watch(events: list[TaskEvent]) -> None:
        async for event in manager.watch(watched):
            events.append(event)  # noqa: PERF401 - what has come so far is looked at

    watchers = [asyncio.create_task(watch(events)) for events in seen]
    await until(lambda: all(len(events) == 2 for events in seen))
    onlooker = manager.watch(after="now")
    with counting(monkeypatch) as asked:
        for _ in range(20):
            await manager.result(await manager.submit(asyncio.sleep(0)))
        assert len([await anext(onlooker) for _ in range(60)]) == 60
        gate.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*watchers)
    assert asked[watched] == 0
    expected = manager.get_task_events(watched)
    assert len(expected) == 3
    assert all(events == expected for events in seen)


async def test_waits_for_tasks_of_others_read_once_they_have_ended(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred waits ask for nothing while the other process is busy with something else."""
    async with TaskManager(journal) as worker, TaskManager(journal) as onlooker:
        gate = asyncio.Event()

        async def wait(number: int) -> int:
            await gate.wait()
            return number

        ids = [await worker.submit(wait(number)) for number in range(100)]
        waits = [asyncio.create_task(onlooker.result(task_id)) for task_id in ids]
        tail = onlooker._started().tail
        await until(lambda: len([one for one in tail._all() if not one.is_behind]) == len(ids))
        # Whoever began to read has read.
        await onlooker.alist_tasks(limit=1)
        await until(lambda: not onlooker._started().journal.areader._reads)
        news = onlooker.watch(after="now")
        with counting(monkeypatch) as asked:
            for _ in range(20):
                await worker.result(await worker.submit(asyncio.sleep(0)))
            assert len([await anext(news) for _ in range(60)]) == 60
            assert sum(asked[task_id] for task_id in ids) == 0
        gate.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await asyncio.gather(*waits) == list(range(100))


async def test_a_follower_that_does_not_keep_up_misses_nothing(manager: TaskManager) -> None:
    """More events than are kept for it come from the journal, each once and in order; memory stays bounded."""

    async def work() -> None:
        for step in range(3 * MOST_EVENTS_KEPT):
            current_task().update_progress(step % 101)

    events = manager.watch()
    first_id = await manager.submit(asyncio.sleep(0))
    seen = [await anext(events)]
    for _ in range(2):
        await manager.result(await manager.submit(work()))
        tail = manager._started().tail
        await until(lambda: tail._position >= 3 * MOST_EVENTS_KEPT)  # noqa: B023 - it is waited for here
        assert max(len(follower.events) for follower in tail._all()) <= MOST_EVENTS_KEPT
        seen += [await anext(events) for _ in range(10)]
    last_id = await manager.submit(asyncio.sleep(0))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (seen[-1].task_id == last_id and seen[-1].kind in LAST_EVENTS):
            seen.append(await anext(events))
    assert [event.seq for event in seen] == list(range(1, seen[-1].seq + 1))
    assert seen[0].task_id == first_id


async def test_watchers_of_a_log_read_when_there_are_lines(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tasks' lines are read by nobody who follows this one's."""
    async with TaskManager(journal) as manager:
        gate = asyncio.Event()

        async def work() -> None:
            current_task().log("first")
            await gate.wait()
            current_task().log("last")

        async def other() -> None:
            current_task().log("something else")

        watched = await manager.submit(work())
        seen: list[list[str]] = [[] for _ in range(30)]

        async def watch(lines: list[str]) -> None:
            async for line in manager.watch_logs(watched):
                lines.append(line.message)  # noqa: PERF401 - what has come so far is looked at

        watchers = [asyncio.create_task(watch(lines)) for lines in seen]
        await until(lambda: all(lines == ["first"] for lines in seen))
        await until(lambda: not manager._started().journal.areader._reads)
        onlooker = manager.watch(after="now")
        with counting(monkeypatch) as asked:
            for _ in range(10):
                await manager.result(await manager.submit(other()))
            assert len([await anext(onlooker) for _ in range(30)]) == 30
            assert asked[watched] == 0
        gate.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*watchers)
        assert all(lines == ["first", "last"] for lines in seen)


async def test_watchers_of_some_tasks_are_handed_those(manager: TaskManager, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of many different choices has its own events, of which the journal is not asked by each watcher."""
    users = 120
    seen: list[list[TaskEvent]] = [[] for _ in range(users)]

    async def watch(user: int) -> None:
        async for event in manager.watch(metadata={"user": user}):
            seen[user].append(event)

    watchers = [asyncio.create_task(watch(user)) for user in range(users)]
    tail = manager._started().tail
    await until(lambda: len([one for one in tail._all() if one.is_in_step]) == users)
    pages: list[object] = []
    next_page = _Past.next_page

    async def counted(*arguments: Any) -> Any:
        pages.append(None)
        return await next_page(*arguments)

    monkeypatch.setattr(_Past, "next_page", counted)
    ids = [await manager.submit(asyncio.sleep(0), metadata={"user": user}) for user in range(users)]
    await until(lambda: all(len(events) == 3 for events in seen))
    assert not pages
    assert [events[0].task_id for events in seen] == ids
    for events, task_id in zip(seen, ids, strict=True):
        assert events == manager.get_task_events(task_id)
    for watcher in watchers:
        watcher.cancel()
    await asyncio.gather(*watchers, return_exceptions=True)
