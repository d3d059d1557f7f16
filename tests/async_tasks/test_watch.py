"""``watch``: the journal's events, past ones and new ones, with no gap between the two."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import EventKind, TaskEvent, TaskManager
from ailf.async_tasks.tail import EVENTS_A_READ
from ailf.errors import EventsDeletedError, InvalidArgumentError, InvalidTypeError, NotStartedError, TaskNotFoundError
from tests.conftest import PATIENCE_SECONDS, first_round, until

S, R, P, C = EventKind.SUBMITTED, EventKind.STARTED, EventKind.PROGRESS, EventKind.COMPLETED


async def everything(events: AsyncIterator[TaskEvent]) -> list[TaskEvent]:
    """All events until the iteration ends by itself."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return [event async for event in events]


async def reporting(manager: TaskManager, times: int) -> str:
    """Submit a task that reports progress a number of times."""

    async def work() -> None:
        for step in range(1, times + 1):
            manager.update_progress(task_id, step * 100 / times, f"step {step}")
            await asyncio.sleep(0)

    task_id = await manager.submit(work())
    return task_id


async def test_a_task_is_watched_to_its_end(manager: TaskManager) -> None:
    """Watching one task gives its whole timeline and then ends, whenever one begins to watch."""
    task_id = await reporting(manager, 3)
    live = await everything(manager.watch(task_id))
    assert [event.kind for event in live] == [S, R, P, P, P, C]
    assert [event.message for event in live[2:5]] == ["step 1", "step 2", "step 3"]
    assert live == manager.get_task_events(task_id) == await everything(manager.watch(task_id))


async def test_watching_begins_after_an_event(manager: TaskManager) -> None:
    """``after`` leaves out what one has seen; behind the last event of an ended task there is nothing."""
    task_id = await reporting(manager, 3)
    await manager.wait_for_task(task_id)
    events = manager.get_task_events(task_id)
    for index, event in enumerate(events):
        assert await everything(manager.watch(task_id, after=event.seq)) == events[index + 1 :]
    assert await everything(manager.watch(task_id, after=2**62)) == []
    assert await everything(manager.watch(task_id, after=0)) == events


async def test_all_tasks_are_watched_until_the_manager_stops(journal: Path) -> None:
    """Without an id every event comes once, in order, and those of the stop come too."""
    manager = TaskManager(journal)
    await manager.start()
    await manager.submit(asyncio.sleep(0))
    watching = asyncio.create_task(everything(manager.watch()))
    await manager.submit(asyncio.sleep(0))
    await manager.submit(asyncio.Event().wait())
    await manager.stop()
    events = await watching
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    connection = sqlite3.connect(journal)
    rows = connection.execute("SELECT seq, kind FROM task_events ORDER BY seq").fetchall()
    connection.close()
    assert [(event.seq, event.kind) for event in events] == rows
    assert events[-1].kind is EventKind.CANCELLED


async def test_the_last_events_of_a_private_journal_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who watches a ":memory:" journal reads how its tasks ended before the file goes."""
    # A second is enough for one read, but not on every busy machine.
    monkeypatch.setattr("ailf.async_tasks.tail.LAST_LOOK_SECONDS", PATIENCE_SECONDS)
    manager = TaskManager(":memory:")
    await manager.start()
    watching = asyncio.create_task(everything(manager.watch()))
    await manager.submit(asyncio.Event().wait())
    await manager.stop()
    assert [event.kind for event in await watching] == [S, R, EventKind.CANCELLED]


async def test_a_watcher_that_stands_still_does_not_hold_up_a_stop() -> None:
    """A consumer that takes no further event does not keep a private journal from being removed."""
    manager = TaskManager(":memory:")
    await manager.start()
    assert manager.journal is not None
    folder = manager.journal.parent
    events = manager.watch()
    await manager.submit(asyncio.sleep(0))
    assert (await anext(events)).kind is S
    await manager.stop()
    assert not folder.exists()
    assert isinstance(events, AsyncIterator)
    await events.aclose()  # type: ignore[attr-defined]


async def test_no_event_is_missed_between_past_and_live(manager: TaskManager) -> None:
    """Watchers that begin at any moment of a busy journal see the very same numbers from there on."""
    ids = [await reporting(manager, 40) for _ in range(5)]
    watchers = []
    for _ in range(10):
        watchers.append(asyncio.create_task(everything(manager.watch(ids[0]))))
        await asyncio.sleep(0)
    await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
    expected = manager.get_task_events(ids[0])
    assert len(expected) == 43
    for watcher in watchers:
        assert await watcher == expected


async def test_a_long_history_is_read_piece_by_piece(manager: TaskManager) -> None:
    """More events than one read fetches come whole and in order."""
    task_id = await reporting(manager, 2 * EVENTS_A_READ - 3)
    await manager.wait_for_task(task_id)
    events = await everything(manager.watch(task_id))
    assert len(events) == 2 * EVENTS_A_READ
    assert events == manager.get_task_events(task_id)


async def test_events_of_another_process_are_seen(journal: Path) -> None:
    """A manager that only looks on sees what another one does to the same journal."""
    async with TaskManager(journal) as worker, TaskManager(journal) as onlooker:
        gate = asyncio.Event()
        task_id = await worker.submit(gate.wait())
        watching = asyncio.create_task(everything(onlooker.watch(task_id)))
        gate.set()
        assert [event.kind for event in await watching] == [S, R, C]


async def test_watching_ends_when_the_task_is_deleted(manager: TaskManager, journal: Path) -> None:
    """A task that somebody has deleted has no further event to wait for."""
    task_id = await manager.submit(asyncio.Event().wait())
    events = manager.watch(task_id)
    assert [(await anext(events)).kind for _ in range(2)] == [S, R]
    other = sqlite3.connect(journal)
    other.execute("PRAGMA foreign_keys=ON")
    other.execute("DELETE FROM tasks")
    other.commit()
    other.close()
    assert await everything(events) == []


async def test_a_watcher_that_is_cancelled_leaves_nothing_behind(manager: TaskManager) -> None:
    """A cancelled watcher ends at once, and the others and the tasks go on."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    watchers = [asyncio.create_task(everything(manager.watch(task_id))) for _ in range(5)]
    for turns, watcher in enumerate(watchers[:-1]):
        for _ in range(turns):
            await asyncio.sleep(0)
        watcher.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watcher
    gate.set()
    assert [event.kind for event in await watchers[-1]] == [S, R, C]


async def test_what_cannot_be_watched_is_refused(journal: Path) -> None:
    """An unknown task, a number that is none, and a manager that is not started: an error each."""
    manager = TaskManager(journal)
    with pytest.raises(NotStartedError):
        await everything(manager.watch())
    async with manager:
        with pytest.raises(TaskNotFoundError, match="unknown"):
            await everything(manager.watch("unknown"))
        bad: Any
        for bad, error in ((-1, InvalidArgumentError), ("1", InvalidTypeError), (1.5, InvalidTypeError)):
            with pytest.raises(error):
                await everything(manager.watch(after=bad))


async def test_promise_2_a_watcher_is_told_of_what_was_deleted_before_it_could_read_it(journal: Path) -> None:
    """All that is left comes first, then an error that says after which event to go on; and from there on, all."""
    async with TaskManager(journal, retention=0, cleanup_interval=3600) as manager:
        await first_round(manager)
        await manager.result(await manager.submit(asyncio.sleep(0)))
        watcher = manager.watch()
        first = await anext(watcher)
        assert first.seq == 1
        ids = await asyncio.gather(*(manager.submit(asyncio.sleep(0)) for _ in range(300)))
        await asyncio.gather(*(manager.result(task_id) for task_id in ids))
        await manager.cleanup()
        seen = [first.seq]

        async def go_on() -> None:
            async for event in watcher:
                seen.append(event.seq)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(EventsDeletedError) as caught:
            await go_on()
        assert seen == list(range(1, len(seen) + 1))
        kept = await manager.submit(asyncio.Event().wait())
        again = manager.watch(after=caught.value.resume_after)
        assert (await anext(again)).task_id == kept


async def test_a_number_from_before_the_oldest_event_is_a_gap(journal: Path) -> None:
    """Whoever goes on from an event is told that the next ones are gone; whoever begins anew asks for what there is."""
    async with TaskManager(journal, retention=0, cleanup_interval=3600) as manager:
        await first_round(manager)
        for _ in range(3):
            await manager.result(await manager.submit(asyncio.sleep(0)))
        await manager.cleanup()
        with pytest.raises(EventsDeletedError):
            await anext(manager.watch(after=2))
        kept = await manager.submit(asyncio.Event().wait())
        assert (await anext(manager.watch())).task_id == kept


async def test_a_watched_task_that_is_deleted_is_an_error(journal: Path) -> None:
    """Its end was never told."""
    async with TaskManager(journal, retention=0, cleanup_interval=3600) as manager:
        await first_round(manager)
        task_id = await manager.submit(asyncio.sleep(0))
        await manager.result(task_id)
        watcher = manager.watch(task_id)
        await manager.cleanup()
        with pytest.raises(EventsDeletedError):
            await anext(watcher)


async def test_what_comes_from_now_on(manager: TaskManager) -> None:
    """Nothing of what was before the call, however late the first step is."""
    await manager.result(await manager.submit(asyncio.sleep(0)))
    watcher = manager.watch(after="now")
    next_id = await manager.submit(asyncio.sleep(0))
    assert (await anext(watcher)).task_id == next_id


async def test_arguments_are_checked_at_the_call(manager: TaskManager) -> None:
    """A response may still be refused then, which it cannot once its first byte is sent."""
    with pytest.raises(TaskNotFoundError):
        manager.watch("unknown")
    with pytest.raises(TaskNotFoundError):
        manager.watch_logs("unknown")
    bad: Any
    for bad in ({"after": "then"}, {"name": 5}, {"metadata": {5: 1}}, {"metadata": "user"}, {"parent": 5}):
        with pytest.raises(InvalidTypeError, match=next(iter(bad))):
            manager.watch(**bad)
    with pytest.raises(InvalidArgumentError, match="metadata"):
        manager.watch(metadata={"user": float("nan")})
    task_id = await manager.submit(asyncio.Event().wait())
    with pytest.raises(InvalidArgumentError, match="level"):
        manager.watch_logs(task_id, level="LOUD")


FILTERS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": "mail"}, "b"),
    "name with stars": ({"name": "report *"}, "ac"),
    "several names": ({"name": ["mail", "*daily"]}, "ab"),
    "metadata": ({"metadata": {"user": 1}}, "ab"),
    "several values": ({"metadata": {"user": {1, 2}}}, "abc"),
    "keys in keys": ({"metadata": {("plan", "name"): "pro"}}, "a"),
    "both": ({"name": "report *", "metadata": {"user": 2}}, "c"),
    "parent": ({"parent": "a"}, "d"),
    "none": ({"name": []}, ""),
}


@pytest.mark.parametrize(("conditions", "ids"), FILTERS.values(), ids=FILTERS)
async def test_some_tasks_are_watched(journal: Path, conditions: dict[str, Any], ids: str) -> None:
    """What fits comes from the past and live, whole and in order; nothing of what does not."""
    tasks: dict[str, tuple[str, dict[str, Any]]] = {
        "a": ("report daily", {"user": 1, "plan": {"name": "pro"}}),
        "b": ("mail", {"user": 1}),
        "c": ("report weekly", {"user": 2}),
        "d": ("child", {"user": 3}),
    }
    async with TaskManager(journal, indexed_metadata=["user"]) as manager:
        gate = asyncio.Event()
        for task_id, (name, metadata) in tasks.items():
            parent = "a" if task_id == "d" else None
            await manager.submit(gate.wait(), task_id=task_id, name=name, metadata=metadata, parent=parent)
        watching = asyncio.create_task(everything(manager.watch(**conditions)))
        from_now = asyncio.create_task(everything(manager.watch(after="now", **conditions)))
        await asyncio.sleep(0)
        gate.set()
        for task_id in tasks:
            await manager.result(task_id)
        expected = [event for task_id in ids for event in manager.get_task_events(task_id)]
    expected.sort(key=lambda event: event.seq)
    assert await watching == expected
    assert await from_now == [event for event in expected if event.kind is C]


async def test_a_watch_of_some_tasks_knows_what_it_has_passed(journal: Path) -> None:
    """What it looked at and left out is no gap when it is deleted later; a long history is passed piece by piece."""
    async with TaskManager(journal, retention=0, cleanup_interval=3600) as manager:
        await first_round(manager)
        wanted = await manager.submit(asyncio.Event().wait(), name="wanted")
        watcher = manager.watch(name="wanted")
        assert [(await anext(watcher)).kind for _ in range(2)] == [S, R]
        step = asyncio.ensure_future(anext(watcher))
        for _ in range(2):
            await manager.result(await reporting(manager, EVENTS_A_READ))
        await asyncio.sleep(0)
        await until(lambda: not manager.count_tasks("running", name="*reporting*"))
        manager.update_progress(wanted, 50)
        assert (await step).progress == 50
        await manager.cleanup()
        manager.update_progress(wanted, 75)
        assert (await anext(watcher)).progress == 75


async def test_one_task_that_does_not_fit(manager: TaskManager) -> None:
    """A task that is named and does not fit has nothing to tell, and the iteration ends when it does."""
    task_id = await manager.submit(asyncio.sleep(0), name="other")
    assert await everything(manager.watch(task_id, name="wanted")) == []
    assert [event.kind for event in await everything(manager.watch(task_id, name="oth*"))] == [S, R, C]
