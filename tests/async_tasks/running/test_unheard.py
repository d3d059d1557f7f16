"""A failure that nobody waits for is told of, where nothing else would: in programs that set up no logging."""

import sys
from pathlib import Path

import pytest

from tests.async_tasks.journal.support import run

PROGRAM = """
import asyncio
import logging
from ailf.async_tasks import TaskManager
from ailf.errors import TaskFailedError

async def work():
    return {{}}["user"]

async def main():
    async with TaskManager(":memory:"{settings}) as manager:
        task_id = await manager.submit(work(), task_id="t1")
        {then}
        while not manager.count_tasks("failed"):
            await asyncio.sleep(0.01)

{before}
asyncio.run(main())
"""


def said(folder: Path, *, then: str = "pass", before: str = "", settings: str = "") -> str:
    """What a program has on its standard error."""
    return run(sys.executable, "-c", PROGRAM.format(then=then, before=before, settings=settings), cwd=folder).stderr


@pytest.mark.parametrize("settings", ["", ", capture_logs='INFO'"], ids=["plain", "capturing"])
def test_a_failure_that_nobody_awaits_is_told(tmp_path: Path, settings: str) -> None:
    """With its task, its error and its traceback, as asyncio tells of an exception that was never retrieved."""
    told = said(tmp_path, settings=settings)
    assert told.startswith("Task 'work' (t1) failed, and nobody has asked how it ended: KeyError: 'user'\n")
    assert ", in work" in told
    assert told.count("KeyError") == 2


@pytest.mark.parametrize(
    "then",
    [
        "await manager.wait_for_task(task_id)",
        "await asyncio.gather(manager.result(task_id), return_exceptions=True)",
        "await asyncio.sleep(0.5); await manager.wait_for_task(task_id)",
        "await asyncio.sleep(0.5); print(manager.get_task_info(task_id).status)",
    ],
    ids=["wait", "result", "wait afterwards", "look"],
)
def test_what_somebody_asks_for_is_not_told_again(tmp_path: Path, then: str) -> None:
    """A wait for the task, or a look at it, is answer enough."""
    assert said(tmp_path, then=then) == ""


def test_where_logging_is_set_up_the_record_is_enough(tmp_path: Path) -> None:
    """Once, with the traceback; at a level that the application wants to hear of."""
    told = said(tmp_path, before="logging.basicConfig()")
    assert told.startswith("WARNING:ailf.async_tasks:Task 'work' (t1) failed: KeyError: 'user'\nTraceback")
    assert told.count("KeyError") == 2
    assert said(tmp_path, before="logging.basicConfig(level='CRITICAL')") == ""
