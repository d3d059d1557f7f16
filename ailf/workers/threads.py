"""The threads that Celery's blocking calls run in, and how long a call may take there."""

import asyncio
import contextvars
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

AT_ONCE = 8
"""Calls that run at the same time; a burst of more waits for its turn."""

_T = TypeVar("_T")


class _Pace:
    """When a call of this process last succeeded in its thread."""

    def __init__(self) -> None:
        self.succeeded_at = time.monotonic()


@cache
def _threads(_process: int) -> tuple[ThreadPoolExecutor, _Pace]:
    """Give this process's threads for Celery's calls, which block, some of them for seconds when a server is away.

    They are no others' threads, because of that; and no parent's, because a fork leaves all threads behind.
    """
    return ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="ailf-celery"), _Pace()


async def in_thread(call: Callable[[], _T]) -> _T:
    """Run a blocking call in a thread, in the context variables of the caller, and wait for what it returns."""
    threads, _pace = _threads(os.getpid())
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, context.run, call)


def begin(call: Callable[[], _T]) -> tuple[asyncio.Future[_T], asyncio.Event]:
    """Have a blocking call run in a thread, in the context variables of the caller.

    Returns:
        What it will return, and what is set once a thread has taken it up.
    """
    threads, pace = _threads(os.getpid())
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    begun = asyncio.Event()

    def run() -> _T:
        # The loop may be closed by then: nobody waits any more, but the call is still made.
        if not loop.is_closed():
            loop.call_soon_threadsafe(begun.set)
        value = context.run(call)
        pace.succeeded_at = time.monotonic()
        return value

    return loop.run_in_executor(threads, run), begun


async def wait_for(future: asyncio.Future[_T], begun: asyncio.Event, limit: float) -> _T:
    """Wait for a call that was begun, for ``limit`` seconds of its own.

    Waiting for a thread is not the call's time: it is waited for as long as other calls succeed.

    Args:
        future: the call; once begun it is not cancelled, and one that is given up before that is never made.
        begun: that a thread has taken it up.
        limit: seconds.

    Returns:
        What the call returned.

    Raises:
        TimeoutError: it took longer, or no call at all succeeded for so long.
    """
    _executor, pace = _threads(os.getpid())
    queued_at = time.monotonic()
    while not begun.is_set():
        left = limit - (time.monotonic() - max(queued_at, pace.succeeded_at))
        if left <= 0:
            raise TimeoutError
        try:
            async with asyncio.timeout(left):
                await begun.wait()
        except TimeoutError:
            continue
    async with asyncio.timeout(limit):
        return await asyncio.shield(future)
