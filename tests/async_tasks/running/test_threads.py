"""The threads of plain functions: bounded, never waited for, and never taken away from the others for ever."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.async_tasks.running import threads as room
from ailf.async_tasks.running.threads import Threads
from tests.conftest import PATIENCE_SECONDS, until

NAME = "ailf pool under test"


def running() -> list[threading.Thread]:
    """The threads of the pool under test."""
    return [thread for thread in threading.enumerate() if thread.name == NAME]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What functions wait for that do not end by themselves; opened after the test."""
    gate = threading.Event()
    yield gate
    gate.set()


async def test_so_many_run_at_a_time(gate: threading.Event) -> None:
    """Further ones wait for their turn; threads are used again."""
    pool = Threads(NAME, 3)
    begun: list[int] = []

    def work(number: int) -> int:
        begun.append(number)
        gate.wait(PATIENCE_SECONDS)
        return number

    calls = [asyncio.ensure_future(pool.call(lambda number=number: work(number))) for number in range(20)]  # type: ignore[misc]
    await until(lambda: len(begun) == 3)
    assert len(running()) == 3
    gate.set()
    assert await asyncio.gather(*calls) == list(range(20))
    assert sorted(begun) == list(range(20))
    assert len(running()) == 3
    pool.close()
    await until(lambda: not running())


async def test_what_is_raised_is_raised(gate: threading.Event) -> None:
    """And the thread is there for the next one."""
    pool = Threads(NAME, 1)

    def fail() -> None:
        raise ValueError("no")

    for _ in range(3):
        with pytest.raises(ValueError, match="no"):
            await pool.call(fail)
    assert await pool.call(lambda: 5) == 5
    assert len(running()) == 1
    pool.close()


async def test_context_variables_go_along() -> None:
    """Each function sees those of its caller, and changes none of them."""
    variable: ContextVar[int] = ContextVar("variable", default=0)
    pool = Threads(NAME, 2)

    async def call(number: int) -> int:
        variable.set(number)

        def work() -> int:
            seen = variable.get()
            variable.set(-1)
            return seen

        seen: int = await pool.call(work)
        assert variable.get() == number
        return seen

    assert await asyncio.gather(*(asyncio.create_task(call(number)) for number in range(1, 9))) == list(range(1, 9))
    pool.close()


async def test_functions_that_do_not_end_hold_up_nobody(
    gate: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given up by whoever waits, their threads are replaced; when one ends after all, its thread ends with it."""
    monkeypatch.setattr(room, "MANY_GIVEN_UP", 4)
    pool = Threads(NAME, 2)
    begun = 0

    def hang() -> None:
        nonlocal begun
        begun += 1
        gate.wait(PATIENCE_SECONDS)

    for round_ in range(1, 4):
        hanging = [asyncio.ensure_future(pool.call(hang)) for _ in range(2)]
        await until(lambda: begun == 2 * round_)  # noqa: B023 - it is waited for here
        waiting = asyncio.ensure_future(pool.call(threading.get_ident))
        for call in hanging:
            call.cancel()
        assert await asyncio.wait_for(waiting, PATIENCE_SECONDS)
    assert sum("still run" in record.message for record in caplog.records) == 1
    assert len(running()) == 2 * 3 + 1
    gate.set()
    await until(lambda: len(running()) <= 2)
    assert await pool.call(lambda: 1) == 1
    pool.close()
    await until(lambda: not running())


async def test_a_function_whose_turn_has_not_come_never_runs(gate: threading.Event) -> None:
    """Cancelled before it has a thread, not a line of it runs."""
    pool = Threads(NAME, 1)
    ran: list[int] = []
    first = asyncio.ensure_future(pool.call(lambda: gate.wait(PATIENCE_SECONDS)))
    later = [asyncio.ensure_future(pool.call(lambda number=number: ran.append(number))) for number in range(3)]  # type: ignore[misc]
    await asyncio.sleep(0)
    later[1].cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, *later, return_exceptions=True)
    assert ran == [0, 2]
    pool.close()


async def test_tasks_past_their_limit_leave_the_threads_to_others(journal: Path, gate: threading.Event) -> None:
    """Plain functions that hang take neither the manager's threads nor the event loop's."""
    async with TaskManager(journal, max_concurrency=2) as manager:
        ids = [await manager.submit(lambda: gate.wait(PATIENCE_SECONDS), timeout=0.05) for _ in range(6)]
        last = await manager.submit(lambda: "done")
        assert await manager.result(last, timeout=PATIENCE_SECONDS) == "done"
        for task_id in ids:
            await manager.wait_for_task(task_id)
            info = manager.get_task_info(task_id)
            assert info is not None
            assert info.status is TaskStatus.FAILED
        # Nothing of it went into the pool of the loop, which the application has for itself.
        assert getattr(asyncio.get_running_loop(), "_default_executor", None) is None


HANGING = """
import asyncio, sys, threading
from ailf.async_tasks import TaskManager
async def main():
    async with TaskManager(sys.argv[1]) as manager:
        await manager.result(await manager.submit(lambda: 1))
        print(await manager.wait_for_task(await manager.submit(threading.Event().wait, timeout=0.1)))
asyncio.run(main())
print("over")
"""


def test_a_program_ends_while_a_function_hangs(journal: Path) -> None:
    """Neither the stop, nor ``asyncio.run``, nor the exit waits for it."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", HANGING, str(journal)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert (ended.returncode, ended.stdout) == (0, "None\nover\n"), ended.stderr
