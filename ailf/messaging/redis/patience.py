"""How long a command is tried again while the server is away."""

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar

from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff

PATIENCE = 10.0
"""Seconds after whose end no attempt is begun; one that hangs then still has its own time limit."""
RETRIES = 40
"""How often a command is tried again at most, within them."""
FIRST_PAUSE = 0.02
"""Seconds, at most, before the first of these."""
LONGEST_PAUSE = 1.0
"""Seconds, at most, that the pauses double up to."""

_T = TypeVar("_T")
_began: ContextVar[float | None] = ContextVar("ailf_redis_began", default=None)


class Patience(Retry):
    """Tries again until ten seconds have passed: with a server that is gone many times, with one that hangs twice.

    A connection that a command has to make is tried again by itself: all of that is the command's time.
    """

    def __init__(self) -> None:
        super().__init__(ExponentialWithJitterBackoff(base=FIRST_PAUSE, cap=LONGEST_PAUSE), RETRIES)

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[_T]],
        fail: Callable[..., Any],
        is_retryable: Callable[[Exception], bool] | None = None,
        with_failure_count: bool = False,  # noqa: FBT001, FBT002  redis-py's signature
    ) -> _T:
        """Call ``do`` until it succeeds, or the time is up."""
        outer = _began.get()
        began = time.monotonic() if outer is None else outer

        def may_go_on(error: Exception) -> bool:
            return time.monotonic() - began < PATIENCE and (is_retryable is None or is_retryable(error))

        token = _began.set(began)
        try:
            return await super().call_with_retry(do, fail, may_go_on, with_failure_count)
        finally:
            _began.reset(token)
