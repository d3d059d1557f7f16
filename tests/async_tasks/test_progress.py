"""``update_progress``, ``current_task`` and the timeline of a task."""

import asyncio
import gc
import sqlite3
import threading
import time
from contextlib import closing, suppress
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import EventKind, TaskInfo, TaskManager, TaskStatus, current_task
from ailf.async_tasks.journal.reading import Query
from ailf.errors import InvalidArgumentError, InvalidTypeError, ManagerError, NotStartedError
from tests.conftest import PATIENCE_SECONDS, until


def info_of(manager: TaskManager, task_id: str) -> TaskInfo:
    """A task that is there."""
    info = manager.get_task_info(task_id)
    assert info is not None
    return info


@pytest.mark.parametrize("value", [0, 100, 20, 20.0, 33.25, 1e-9, 99.999999999999, Fraction(1, 4)])
async def test_progress_reads_back_as_it_was_given(manager: TaskManager, journal: Path, value: Any) -> None:
    """An int comes back as an int, a float as a float: unflushed, flushed, in the event, after a restart."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    assert manager.update_progress(task_id, 50)
    assert manager.update_progress(task_id, value) is True
    kind = int if isinstance(value, int) else float
    unflushed = info_of(manager, task_id).progress
    gate.set()
    await manager.wait_for_task(task_id)
    async with TaskManager(journal) as other:
        seen = [unflushed, info_of(manager, task_id).progress, info_of(other, task_id).progress]
        seen.append(other.get_task_events(task_id)[-2].progress or 0)
    assert seen == [value] * 4
    assert [type(one) for one in seen[:3]] == [kind] * 3


@pytest.mark.parametrize(
    ("progress", "error"),
    [
        (-1, InvalidArgumentError),
        (-1e-9, InvalidArgumentError),
        (100.0000001, InvalidArgumentError),
        (10**400, InvalidArgumentError),
        (float("nan"), InvalidArgumentError),
        (float("inf"), InvalidArgumentError),
        ("50", InvalidTypeError),
        (None, InvalidTypeError),
        (True, InvalidTypeError),
        (1j, InvalidTypeError),
        ([50], InvalidTypeError),
    ],
)
async def test_what_is_no_percentage_is_refused(manager: TaskManager, progress: Any, error: type[Exception]) -> None:
    """A wrong progress is a ValueError or TypeError, for any task, and nothing is written."""
    task_id = await manager.submit(asyncio.Event().wait())
    for one in (task_id, "unknown"):
        with pytest.raises(error):
            manager.update_progress(one, progress)
    assert info_of(manager, task_id).progress == 0
    assert len(manager.get_task_events(task_id)) == 2


async def test_what_completes_without_a_report_is_done(manager: TaskManager, journal: Path) -> None:
    """Its progress is 100; one that was reported stays as it was, and so does that of a task that ends otherwise."""

    async def reports(*values: float) -> None:
        for value in values:
            current_task().update_progress(value)

    async def fails() -> None:
        raise ValueError

    works = {"silent": reports(), "zero": reports(0), "back": reports(10, 0), "half": reports(50), "failed": fails()}
    for name, work in works.items():
        await manager.submit(work, task_id=name)
        await manager.wait_for_task(name)
    expected = {"silent": 100, "zero": 0, "back": 0, "half": 50, "failed": 0}
    assert {info.id: info.progress for info in manager.list_tasks()} == expected
    crowd = [await manager.submit(reports()) for _ in range(50)]
    await asyncio.gather(*map(manager.result, crowd))
    async with TaskManager(journal) as other:
        assert {info.id: info.progress for info in other.list_tasks()} == expected | dict.fromkeys(crowd, 100)
        assert [event.progress for event in other.get_task_events("silent")] == [None] * 3


async def test_a_message_is_text(manager: TaskManager) -> None:
    """A message of another type is refused, with its progress."""
    task_id = await manager.submit(asyncio.Event().wait())
    bad: Any = 5
    with pytest.raises(InvalidTypeError, match="message"):
        manager.update_progress(task_id, 50, bad)
    assert info_of(manager, task_id).progress == 0


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("", ""),
        ("plain", "plain"),
        ("a\0b", "a\\x00b"),
        ("\ud800", "\\ud800"),
        ("🍃'\"", "🍃'\""),
        ("m" * 10_000, "m" * 10_000),
    ],
    ids=["empty", "plain", "NUL", "surrogate", "odd", "ten thousand"],
)
async def test_a_message_reads_the_same_before_and_after_it_is_written(
    manager: TaskManager, message: str, kept: str
) -> None:
    """What SQLite cannot hold is spelled out from the first read on."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    manager.update_progress(task_id, 5, message)
    assert info_of(manager, task_id).progress_message == kept
    gate.set()
    await manager.wait_for_task(task_id)
    assert info_of(manager, task_id).progress_message == kept
    assert manager.get_task_events(task_id)[2].message == kept


async def test_of_a_very_long_message_the_ends_are_kept(manager: TaskManager) -> None:
    """A megabyte in one message is bounded before it waits to be written, and says how much is not there."""
    task_id = await manager.submit(asyncio.Event().wait())
    manager.update_progress(task_id, 5, "begin" + "m" * 10**6 + "end")
    message = info_of(manager, task_id).progress_message
    assert message is not None
    assert len(message) < 11_000
    assert message.startswith("begin")
    assert message.endswith("end")
    assert "characters left out" in message


async def test_a_message_stays_until_the_next_one(manager: TaskManager) -> None:
    """Progress without a message leaves the earlier one in force, an empty one clears it."""
    task_id = await manager.submit(asyncio.Event().wait())
    seen = []
    for progress, message in ((1, "loading"), (2, None), (3, ""), (4, None)):
        manager.update_progress(task_id, progress, message)
        seen.append(info_of(manager, task_id).progress_message)
    assert seen == ["loading", "loading", "", ""]


async def test_progress_counts_only_while_a_task_is_unfinished(journal: Path) -> None:
    """False for an unknown and an ended task, True for a running and a waiting one; progress may go back."""
    async with TaskManager(journal, max_concurrency=1) as manager:
        gate = asyncio.Event()
        running = await manager.submit(gate.wait())
        waiting = await manager.submit(asyncio.sleep(0))
        assert manager.update_progress(waiting, 5) is True
        assert manager.update_progress(running, 90) is True
        assert manager.update_progress(running, 10) is True
        assert manager.update_progress("unknown", 10) is False
        gate.set()
        await manager.wait_for_task(waiting)
        assert manager.update_progress(running, 95) is False
        assert [info.progress for info in manager.list_tasks()] == [10, 5]
        async with TaskManager(journal) as other:
            assert other.update_progress(running, 50) is False
    with pytest.raises(NotStartedError):
        manager.update_progress(running, 5)


async def test_reports_from_many_threads_are_all_kept(manager: TaskManager) -> None:
    """Each report of each thread is an event, in the order of the journal, and the last one is the row."""
    task_id = await manager.submit(asyncio.Event().wait())

    def report(thread: int) -> None:
        for step in range(50):
            assert manager.update_progress(task_id, thread * 10 + step / 10, f"{thread}/{step}")

    threads = [threading.Thread(target=report, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    await until(lambda: len(manager.get_task_events(task_id)) == 302)
    events = manager.get_task_events(task_id)[2:]
    for number in range(6):
        mine = [event.message for event in events if event.message and event.message.startswith(f"{number}/")]
        assert mine == [f"{number}/{step}" for step in range(50)]
    last = info_of(manager, task_id)
    assert (last.progress, last.progress_message) == (events[-1].progress, events[-1].message)


async def test_a_task_reports_without_its_id(manager: TaskManager) -> None:
    """``current_task`` knows its task in the coroutine, in what that started, in its threads, and in none else."""

    async def work() -> list[str]:
        async def child() -> str:
            return current_task().id

        assert current_task().update_progress(30, "a third") is True
        inner = await manager.submit(lambda: current_task().id)
        return [
            current_task().id,
            await child(),
            *await asyncio.gather(child(), asyncio.to_thread(lambda: current_task().id)),
            str(await manager.result(inner) == inner),
        ]

    task_id = await manager.submit(work())
    assert await manager.result(task_id) == [task_id] * 4 + ["True"]
    info = info_of(manager, task_id)
    assert (info.progress, info.progress_message) == (30, "a third")
    with pytest.raises(ManagerError, match="outside of a task"):
        current_task()


async def test_a_timeline_says_what_happened_when(journal: Path) -> None:
    """Numbers and times of the events rise, they agree with the row's own times, and ends say why."""
    async with TaskManager(journal) as manager:

        async def fail() -> None:
            current_task().update_progress(10, "starting")
            raise ValueError("bad luck")

        failed = await manager.submit(fail())
        await manager.wait_for_task(failed)
        cancelled = await manager.submit(asyncio.Event().wait())
        await manager.cancel_task(cancelled)
        events = manager.get_task_events(failed)
        info = info_of(manager, failed)
        assert [event.kind for event in events] == [
            EventKind.SUBMITTED,
            EventKind.STARTED,
            EventKind.PROGRESS,
            EventKind.FAILED,
        ]
        assert [event.message for event in events] == [None, None, "starting", "bad luck"]
        assert [event.progress for event in events] == [None, None, 10, None]
        assert [event.seq for event in events] == sorted(event.seq for event in events)
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert (events[0].at, events[1].at, events[-1].at) == (info.created_at, info.started_at, info.completed_at)
        assert manager.get_task_events(cancelled)[-1].message == "cancelled"
        assert {event.task_id for event in events} == {failed}


async def test_a_clock_that_steps_back_never_ends_a_task_before_its_start(
    manager: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times of one task never fall, whatever the clock does."""
    # From tomorrow on, so that the clean-up finds nothing old.
    times = [time.time_ns() // 1000 + 86_400_000_000]

    def backwards() -> int:
        times.append(times[-1] - 3_600_000_000)
        return times[-1]

    monkeypatch.setattr("ailf.async_tasks.running.live_task.microseconds", backwards)
    task_id = await manager.submit(asyncio.sleep(0, 1))
    assert await manager.result(task_id) == 1
    info = info_of(manager, task_id)
    assert info.started_at is not None
    assert info.completed_at is not None
    assert info.created_at <= info.started_at <= info.completed_at
    assert info.duration == 0
    assert len(times) > 2, "the clock was looked at once only"


async def test_a_task_as_a_value(manager: TaskManager) -> None:
    """What a task is shows in its columns: nothing is there before it is known, times are aware and in UTC."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait(), name="a name", timeout=60, metadata={"k": [1]})
    info = info_of(manager, task_id)
    assert (info.id, info.name, info.status, info.timeout) == (task_id, "a name", TaskStatus.RUNNING, 60)
    assert info.metadata == {"k": [1]}
    assert (info.progress, info.progress_message, info.result, info.result_format) == (0, None, None, None)
    assert (info.reason, info.error, info.error_type, info.traceback) == (None, None, None, None)
    assert (info.completed_at, info.duration) == (None, None)
    assert info.created_at.utcoffset() == datetime.now(UTC).utcoffset()
    gate.set()
    await manager.wait_for_task(task_id)
    ended = info_of(manager, task_id)
    assert ended.completed_at is not None
    assert ended.started_at is not None
    assert ended.duration == (ended.completed_at - ended.started_at).total_seconds()
    with pytest.raises(AttributeError):
        ended.status = TaskStatus.FAILED  # type: ignore[misc]


@pytest.mark.parametrize("asked", ["list", "one"])
async def test_promise_3_a_read_is_never_older_than_what_was_reported_before_it(
    manager: TaskManager, journal: Path, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """What a read finds in the journal may be old when it comes back, and its task over; the report still counts."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait())
    assert manager._session is not None
    reader = manager._session.journal.areader
    read = reader.values

    async def values(query: Query, made: Any) -> list[Any]:
        found = await read(query, made)
        other.execute("ROLLBACK")
        gate.set()
        await manager.result(task_id)
        return found

    monkeypatch.setattr(reader, "values", values)
    with closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert manager.update_progress(task_id, 50, "half")
        [info] = await manager.alist_tasks() if asked == "list" else [await manager.aget_task_info(task_id)]
    assert info is not None
    assert (info.progress, info.progress_message) == (50, "half")


class Closing:
    """Reports as it is collected: a bar of progress that closes itself."""

    def __init__(self, manager: TaskManager, task_id: str) -> None:
        self.me, self.manager, self.task_id = self, manager, task_id

    def __del__(self) -> None:
        """Report, and ask, in the middle of whatever the collector came into."""
        # Some are collected when the manager has stopped.
        with suppress(NotStartedError):
            self.manager.update_progress(self.task_id, 99, "closed")
            self.manager.health()


async def test_a_finalizer_may_report_wherever_the_collector_runs(manager: TaskManager) -> None:
    """With a collection at nearly every allocation nothing waits for itself, and the task ends."""
    gate = asyncio.Event()
    task_id = await manager.submit(gate.wait)
    before = gc.get_threshold()
    gc.set_threshold(1, 1_000, 1_000)
    try:
        for number in range(300):
            Closing(manager, task_id)
            manager.update_progress(task_id, number % 90, f"{number}")
            await asyncio.sleep(0)
    finally:
        gc.set_threshold(*before)
    gate.set()
    assert await manager.result(task_id, PATIENCE_SECONDS) is True
    assert "closed" in {event.message for event in manager.get_task_events(task_id)}
