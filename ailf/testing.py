"""For the tests of applications: a manager on a private journal, and waiting for what must happen.

::

    # conftest.py
    pytest_plugins = ["ailf.testing"]

    # test_reports.py
    async def test_a_report(task_manager):
        task_id = await task_manager.submit(make_report())
        await wait_until(lambda: task_manager.get_task_info(task_id).progress > 50)

It needs pytest and pytest-asyncio (extra ``testing``).
"""

import inspect
import time
from asyncio import sleep
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, overload

from ailf.async_tasks import TaskManager

try:
    import pytest_asyncio
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"ailf.testing needs {error.name}, which is not installed: pip install 'ailf[testing]'", name=error.name
    ) from error

__all__ = ["task_manager", "wait_until"]

T = TypeVar("T")


@pytest_asyncio.fixture
async def task_manager(tmp_path: Path) -> AsyncIterator[TaskManager]:
    """A started manager on a journal of the test's own, which keeps everything; stopped after the test."""
    async with TaskManager(tmp_path / "ailf_tasks.db", retention=None) as manager:
        yield manager


@overload
async def wait_until(
    condition: Callable[[], Coroutine[Any, Any, T]], *, timeout: float = ..., interval: float = ..., what: str = ...
) -> T: ...
@overload
async def wait_until(
    condition: Callable[[], T], *, timeout: float = ..., interval: float = ..., what: str = ...
) -> T: ...


async def wait_until(
    condition: Callable[[], Any], *, timeout: float = 10.0, interval: float = 0.01, what: str = ""
) -> Any:
    """Wait until a condition holds.

    Args:
        condition: called again and again; awaited where it returns an awaitable.
        timeout: for how many seconds.
        interval: how many seconds apart.
        what: what the condition is, for the message.

    Returns:
        The first true value that it returns.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__qualname__", "the condition")
            raise AssertionError(f"After {timeout:g} seconds {name} still did not hold; its last value was {value!r}.")
        await sleep(interval)
