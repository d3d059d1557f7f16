"""Large results: put into words in a thread, before their task has ended to anybody who reads or waits."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import ResultFormat, TaskManager, TaskStatus
from ailf.async_tasks.encoding import EncodedResult, encode_large_result, encode_result
from ailf.async_tasks.pieces import ChangedError
from ailf.async_tasks.running import live
from tests.conftest import PATIENCE_SECONDS, until

LARGE = {"rows": list(range(100_000))}


class Held:
    """Puts results into words once it may."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.threads: list[threading.Thread] = []

    def encode(self, *arguments: Any) -> EncodedResult:
        """Wait, and then do it."""
        self.threads.append(threading.current_thread())
        self.gate.wait(PATIENCE_SECONDS)
        return encode_large_result(*arguments)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """What puts large results into words, held up."""
    held = Held()
    monkeypatch.setattr(live, "encode_large_result", held.encode)
    return held


async def rows() -> Any:
    """A task with a large result."""
    return LARGE


async def test_promise_1_a_large_result_is_committed_before_anybody_has_it(
    manager: TaskManager, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is put into words its task runs, to who reads and to who waits; nobody reports to it or cancels it."""
    at_once: list[Any] = []

    def encode(value: Any, *arguments: Any) -> EncodedResult:
        at_once.append(value)
        return encode_result(value, *arguments)

    monkeypatch.setattr(live, "encode_result", encode)
    task_id = await manager.submit(rows())
    waiting = asyncio.create_task(manager.result(task_id))
    await until(lambda: held.threads)
    other = await manager.submit(asyncio.sleep(0, "small"))
    assert await manager.result(other) == "small"
    cancelling = asyncio.create_task(manager.cancel_task(task_id))
    assert not manager.update_progress(task_id, 50)
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.status is TaskStatus.RUNNING
    assert not waiting.done()
    assert not cancelling.done()
    held.gate.set()
    assert await waiting is LARGE
    assert not await cancelling
    info = manager.get_task_info(task_id)
    assert info is not None
    assert (info.status, info.result, info.progress) == (TaskStatus.COMPLETED, LARGE, 100)
    assert info.result_format is ResultFormat.JSON
    # The event loop put the small one into words, and nothing of the large one.
    assert at_once == ["small"]
    assert threading.main_thread() not in held.threads


async def test_a_stop_waits_for_large_results(journal: Path, held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes: what a task has returned is in the journal."""
    monkeypatch.setattr(live, "GRACE_SECONDS", 0.01)
    manager = TaskManager(journal)
    await manager.start()
    task_id = await manager.submit(rows())
    await until(lambda: held.threads)
    stopping = asyncio.create_task(manager.stop())
    await asyncio.wait([stopping], timeout=0.1)
    assert not stopping.done()
    held.gate.set()
    await stopping
    async with manager:
        assert await manager.result(task_id) == LARGE


async def test_a_result_that_changes_meanwhile_is_put_into_words_at_once(
    manager: TaskManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is somebody else's as well, who does not wait."""

    def changed(*_: Any) -> EncodedResult:
        raise ChangedError

    monkeypatch.setattr(live, "encode_large_result", changed)
    task_id = await manager.submit(rows())
    assert await manager.result(task_id) is LARGE
    info = manager.get_task_info(task_id)
    assert info is not None
    assert (info.result, info.result_format) == (LARGE, ResultFormat.JSON)


def test_a_loop_that_ends_meanwhile_loses_no_large_result(journal: Path, held: Held) -> None:
    """Torn down with its loop, without a stop, the task has ended as it has."""
    manager = TaskManager(journal)

    async def main() -> str:
        await manager.start()
        task_id = await manager.submit(rows())
        await until(lambda: held.threads)
        return task_id

    async def look(task_id: str) -> None:
        async with manager:
            assert await manager.result(task_id) == LARGE

    task_id = asyncio.run(main())
    held.gate.set()
    asyncio.run(look(task_id))


async def test_each_kind_of_large_result_is_what_it_would_be(manager: TaskManager) -> None:
    """The very object here, and in the journal the same as a small one of its kind."""
    for value in (tuple(range(50_000)), "é" * 2_000_000, [object()] * 50_000):
        task_id = await manager.submit(asyncio.sleep(0, value))
        assert await manager.result(task_id) is value
        row = manager._started().journal.reader.ask(
            lambda connection, task_id=task_id: connection.execute(  # type: ignore[misc]
                "SELECT result, result_format FROM tasks WHERE id = ?", (task_id,)
            ).fetchone()
        )
        assert row == encode_result(value)
