"""Waiting for what must become true, without guessing how long it takes."""

import asyncio
import time
from collections.abc import Callable, Sized

LIMIT = 30.0
"""Seconds after which the wait is a failure; no test expects to come near."""


async def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Let the event loop run until the condition holds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        await asyncio.sleep(0.005)


async def until_length(values: Sized, length: int) -> None:
    """Let the event loop run until there are so many values."""
    await until(lambda: len(values) >= length)
