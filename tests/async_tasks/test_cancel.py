"""``cancel_task``, time limits, and what happens when these and an end come together."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import Reason, TaskInfo, TaskManager, TaskStatus
from tests.conftest import until


def info_of(manager: TaskManager, task_id: str) -> TaskInfo:
    """A task that is there."""
    info = manager.get_task_info(task_id)
    assert info is not None
    return info


async def stubborn(started: asyncio.Event, gate: asyncio.Event, result: str = "stubborn") -> str:
    """Swallow one cancellation, then wait for the gate and return."""
    started.set()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await gate.wait()
    return result


async def test_a_running_task_is_cancelled(manager: TaskManager) -> None:
    """Its coroutine gets the cancellation, and True comes once the end is in the journal."""
    seen: list[str] = []
    started = asyncio.Event()

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    task_id = await manager.submit(work())
    await started.wait()
    assert await manager.cancel_task(task_id) is True
    info = info_of(manager, task_id)
    assert seen == ["cleaned up"]
    assert (info.status, info.reason, info.error, info.result) == (TaskStatus.CANCELLED, Reason.CANCELLED, None, None)
    assert info.completed_at is not None


@pytest.mark.filterwarnings("error")
async def test_a_task_is_cancelled_before_its_first_line(manager: TaskManager) -> None:
    """A cancellation right behind the submission lets no line run, and leaves no warning."""
    ran: list[str] = []

    async def work() -> None:
        ran.append("ran")

    task_id = await manager.submit(work())
    assert await manager.cancel_task(task_id) is True
    assert ran == []
    assert [event.kind for event in manager.get_task_events(task_id)] == ["submitted", "started", "cancelled"]


async def test_a_pending_task_never_starts(journal: Path) -> None:
    """A task that waits for a slot ends at once, was never started, and its neighbours get their turn."""
    ran: list[int] = []

    async def work(number: int) -> None:
        ran.append(number)

    async with TaskManager(journal, max_concurrency=1) as manager:
        gate = asyncio.Event()
        await manager.submit(gate.wait())
        ids = [await manager.submit(work(number)) for number in range(3)]
        assert await manager.cancel_task(ids[1]) is True
        info = info_of(manager, ids[1])
        assert (info.status, info.started_at, info.duration) == (TaskStatus.CANCELLED, None, None)
        gate.set()
        await manager.wait_for_task(ids[2])
        assert [event.kind for event in manager.get_task_events(ids[1])] == ["submitted", "cancelled"]
    assert ran == [0, 2]


async def test_what_has_ended_is_not_cancelled(manager: TaskManager) -> None:
    """False for a task that completed, failed or was cancelled before, and nothing is written."""

    async def fail() -> None:
        raise ValueError

    completed = await manager.submit(asyncio.sleep(0))
    failed = await manager.submit(fail())
    cancelled = await manager.submit(asyncio.Event().wait())
    assert await manager.cancel_task(cancelled)
    for task_id in (completed, failed, cancelled):
        await manager.wait_for_task(task_id)
        before = manager.get_task_events(task_id)
        assert await manager.cancel_task(task_id) is False
        assert manager.get_task_events(task_id) == before


async def test_a_task_that_ends_otherwise_was_not_cancelled(manager: TaskManager) -> None:
    """A task that swallows the cancellation and returns is COMPLETED, one that raises is FAILED: False."""
    started, gate = asyncio.Event(), asyncio.Event()
    gate.set()

    async def turns_it_into_an_error() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("instead") from None

    for work, status in ((stubborn(started, gate), "completed"), (turns_it_into_an_error(), "failed")):
        started.clear()
        task_id = await manager.submit(work)
        await started.wait()
        assert await manager.cancel_task(task_id) is False
        assert info_of(manager, task_id).status == status


async def test_a_second_cancellation_reaches_a_stubborn_task(
    manager: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two callers that cancel the same task both learn that it ended CANCELLED, once its time to clean up is over."""
    monkeypatch.setattr("ailf.async_tasks.running.live_task.GRACE_SECONDS", 0)
    started = asyncio.Event()
    task_id = await manager.submit(stubborn(started, asyncio.Event()))
    await started.wait()
    first = asyncio.ensure_future(manager.cancel_task(task_id))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not first.done()
    assert await manager.cancel_task(task_id) is True
    assert await first is True


async def test_a_second_cancellation_does_not_cut_the_clean_up_short(manager: TaskManager) -> None:
    """Whoever cancels a task that is unwinding waits for it, as the first one does."""
    started, said = asyncio.Event(), []

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            said.append("begins")
            await asyncio.sleep(0.01)
            said.append("done")

    task_id = await manager.submit(work())
    await started.wait()
    assert await asyncio.gather(*(manager.cancel_task(task_id) for _ in range(3))) == [True, True, True]
    assert said == ["begins", "done"]


async def test_a_cancellation_does_not_cut_short_what_unwinds_from_its_limit(manager: TaskManager) -> None:
    """It failed for its time limit, and says so, whoever cancels it then."""
    unwinding, said = asyncio.Event(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            unwinding.set()
            await asyncio.sleep(0.01)
            said.append("done")

    task_id = await manager.submit(work(), timeout=0.01)
    await unwinding.wait()
    assert await manager.cancel_task(task_id) is False
    assert said == ["done"]
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.reason == "timeout"


async def test_a_cancelled_caller_does_not_call_the_cancellation_back(manager: TaskManager) -> None:
    """Who stops waiting for a cancellation leaves it under way."""
    started, gate = asyncio.Event(), asyncio.Event()
    task_id = await manager.submit(stubborn(started, gate))
    await started.wait()
    caller = asyncio.ensure_future(manager.cancel_task(task_id))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    gate.set()
    assert await manager.result(task_id) == "stubborn"


async def test_a_task_cancels_itself(manager: TaskManager) -> None:
    """A task that cancels its own id ends there, without a deadlock; so does one that raises CancelledError."""

    async def suicidal() -> None:
        await manager.cancel_task("itself")

    async def raising() -> None:
        raise asyncio.CancelledError

    for task_id, work in (("itself", suicidal()), ("other", raising())):
        await manager.submit(work, task_id=task_id)
        assert await manager.wait_for_task(task_id) is None
        assert info_of(manager, task_id).status is TaskStatus.CANCELLED


async def test_a_cancelled_submission_ends_its_row(manager: TaskManager, journal: Path) -> None:
    """A ``submit`` that is cancelled while its row is on the way closes the coroutine; the row ends CANCELLED."""
    ran: list[int] = []

    async def work(number: int) -> None:
        ran.append(number)

    submissions = [asyncio.ensure_future(manager.submit(work(number), task_id=str(number))) for number in range(4)]
    await asyncio.sleep(0)
    for submission in submissions[::2]:
        submission.cancel()
    answers = await asyncio.gather(*submissions, return_exceptions=True)
    assert [isinstance(answer, asyncio.CancelledError) for answer in answers] == [True, False, True, False]
    await until(lambda: manager.count_tasks(["pending", "running"]) == 0)
    assert [str(one.status) for one in manager.list_tasks()] == ["cancelled", "completed"] * 2
    assert ran == [1, 3]


async def test_a_submission_cancelled_as_it_is_committed_runs_no_line(
    manager: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The submitter is cancelled when its task is about to start, but has not heard of the id yet: it never will."""
    ran: list[str] = []

    async def work() -> None:
        ran.append("a line")

    assert manager._session is not None
    live = manager._session.live
    told = live._on_submitted

    def told_and_cancelled(*answer: Any) -> None:
        told(*answer)
        submission.cancel()

    monkeypatch.setattr(live, "_on_submitted", told_and_cancelled)
    submission = asyncio.ensure_future(manager.submit(work(), task_id="a"))
    with pytest.raises(asyncio.CancelledError):
        await submission
    await until(lambda: not live.is_busy)
    assert (info_of(manager, "a").status, info_of(manager, "a").reason) == (TaskStatus.CANCELLED, Reason.CANCELLED)
    assert [str(event.kind) for event in manager.get_task_events("a")] == ["submitted", "started", "cancelled"]
    assert ran == []


async def test_ends_that_come_together_leave_one(manager: TaskManager) -> None:
    """Whichever of limit, cancellation and return comes first, a task has one end, one last event, one answer."""

    async def work(turns: int) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        return "returned"

    ids = [await manager.submit(work(turns % 12), timeout=0.001) for turns in range(60)]
    answers = []
    for turns, task_id in enumerate(ids):
        for _ in range(turns % 3):
            await asyncio.sleep(0)
        answers.append(await manager.cancel_task(task_id))
    for task_id, was_cancelled in zip(ids, answers, strict=True):
        status = info_of(manager, task_id).status
        assert status.is_ended
        assert was_cancelled <= (status is TaskStatus.CANCELLED)
        kinds = [str(event.kind) for event in manager.get_task_events(task_id)]
        assert kinds == ["submitted", "started", str(status)]
