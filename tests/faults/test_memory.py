"""No memory, at one call of the task manager after the other: nobody waits for ever, nothing acknowledged is lost.

A tracer raises a MemoryError as a function of the task manager is called: on the loop, or in the writer's thread.
"""

import asyncio
import contextlib
import gc
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import ailf.async_tasks
from ailf.async_tasks import TaskManager, current_task
from tests.conftest import PATIENCE_SECONDS
from tests.faults.check import assert_sound, ends_in, recover

ROOM = str(Path(ailf.async_tasks.__file__).parent)
LATER = {"loop": 40, "writer": 25}
"""How many calls lie between two of the short variant."""

CORNERS = {
    "_done",
    "_succeed",
    "_fail",
    "_receive",
    "_tell",
    "resolve",
    "finish",
    "_forget",
    "record",
    "is_ended",
    "__init__",
}
"""What is called to hand on what has happened, in a step that needs no memory of its own."""


class Tracer:
    """Raises at the n-th call, once."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.is_on = False
        self.hit: str | None = None

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        """Be told of a call."""
        code = frame.f_code
        if not self.is_on or event != "call" or not code.co_filename.startswith(ROOM):
            return
        if code.co_name.startswith("<") or code.co_name in CORNERS:
            return
        self.left -= 1
        if self.left <= 0:
            self.is_on = False
            self.hit = f"{code.co_filename[len(ROOM) :]}:{frame.f_lineno} {code.co_name}"
            raise MemoryError(self.hit)


@contextmanager
def traced(where: str, tracer: Tracer) -> Iterator[None]:
    """Have the calls of a thread traced: this one, or the writers that are started meanwhile."""

    def in_writer(frame: FrameType, event: str, argument: object) -> None:
        if threading.current_thread().name.startswith("ailf journal "):
            tracer(frame, event, argument)

    before = sys.gettrace()
    if where == "loop":
        sys.settrace(tracer)
    else:
        threading.settrace(in_writer)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before)


async def day(journal: Path, tracer: Tracer, acknowledged: list[str]) -> None:
    """Some of everything: results, a failure, a family, a cancellation, reports, a follower, a round of clean-up."""
    async with TaskManager(journal, max_concurrency=2, retention=None) as manager:

        async def work(value: int) -> int:
            current_task().update_progress(10, "at work")
            await asyncio.sleep(0)
            return value

        async def parent() -> int:
            value: int = await manager.result(await manager.submit(work(1), task_id="child"))
            return value

        async def fail() -> None:
            raise ValueError

        async def one(task_id: str, what: Callable[[], Awaitable[Any]]) -> None:
            await manager.submit(what, task_id=task_id)
            acknowledged.append(task_id)
            await (manager.cancel_task(task_id) if task_id == "cancelled" else manager.wait_for_task(task_id))

        async def follow() -> None:
            async for _ in manager.watch("a"):
                pass

        tracer.is_on = True
        asked = [
            *(one("a", lambda: work(1)), one("b", lambda: work(2)), one("parent", parent), one("failed", fail)),
            *(one("cancelled", asyncio.Event().wait), follow(), manager.cleanup()),
        ]
        done = await asyncio.gather(*asked, return_exceptions=True)
        tracer.is_on = False
        assert len(done) == len(asked)


def attacked(journal: Path, where: str, number: int) -> str | None:
    """Run a day with a call that has no memory; returns which one it was, None where there are not that many."""
    tracer, acknowledged = Tracer(number), list[str]()

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await day(journal, tracer, acknowledged)

    with traced(where, tracer), contextlib.suppress(MemoryError):
        try:
            asyncio.run(bounded())
        except TimeoutError:
            pytest.fail(f"somebody waits for ever without memory for {tracer.hit}")
    recover(journal)
    assert_sound(journal)
    ends = ends_in(journal)
    assert set(acknowledged) <= set(ends), f"lost without memory for {tracer.hit}"
    assert {end[0] for end in ends.values()} <= {"completed", "failed", "cancelled"}, tracer.hit
    return tracer.hit


@pytest.mark.parametrize("where", ["loop", "writer"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* never awaited")
def test_a_call_without_memory_keeps_nobody_waiting_and_loses_nothing(tmp_path: Path, where: str) -> None:
    """At every so many calls, to the last."""
    number = 1
    while attacked(tmp_path / f"{number}.db", where, number) is not None:
        number += LATER[where]
    # What was never awaited is told of here, where that is no surprise, and not within some later test.
    gc.collect()
    assert number > LATER[where]
