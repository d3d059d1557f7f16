"""What tests share: a journal in a folder of its own, a manager on it, and waiting for a condition."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal.writing import commit

# How long an example takes says more about the machine than about what is tried.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

PATIENCE_SECONDS = 30.0
"""How long a test waits for what must happen; far longer than it takes on a busy machine."""


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The path of a journal that is not there yet."""
    return tmp_path / "tasks.db"


@pytest.fixture
async def manager(journal: Path) -> AsyncIterator[TaskManager]:
    """A started manager on the journal, stopped after the test."""
    async with TaskManager(journal) as started:
        yield started


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """For a while, have every manager of this process give up soon where another program holds its journal's lock."""
    before, commit.BUSY_PATIENCE_SECONDS = commit.BUSY_PATIENCE_SECONDS, seconds
    try:
        yield
    finally:
        commit.BUSY_PATIENCE_SECONDS = before


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have a stop give up soon on a journal that takes no writes."""
    monkeypatch.setattr("ailf.async_tasks.journal.writing.writer.CLOSING_PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr("ailf.async_tasks.journal.writing.writer.Writer.close.__defaults__", (0.2,))
    with patience(0.05):
        yield


async def first_round(manager: TaskManager) -> None:
    """Wait until the clean-up that comes with a start is over, so that the next one is the test's own."""
    # One turn of the loop, in which that round begins; one that is asked for comes after it.
    await asyncio.sleep(0)
    await manager.cleanup()


async def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, or fail."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)
