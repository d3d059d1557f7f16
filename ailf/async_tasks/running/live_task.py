"""One task of this process, from its submission until its end is committed."""

import asyncio
import contextvars
import time

from ailf.async_tasks.model import Microseconds, Outcome
from ailf.async_tasks.running.runner import Job
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.errors import AilfError


class LiveTask:
    """A task of this process that has not ended in the journal yet."""

    __slots__ = (
        *("context", "id", "is_journaled", "is_over", "job", "last_at", "message", "name", "outcome", "parent_id"),
        *("progress", "refusal", "result", "runner", "status", "stop_reason", "timeout", "waiters", "written"),
    )

    def __init__(self, task_id: str, job: Job, name: str, timeout: float | None, parent_id: str | None) -> None:
        self.id = task_id
        self.job = job
        self.name = name
        self.timeout = timeout
        self.parent_id = parent_id
        self.context = contextvars.copy_context()
        self.written: asyncio.Future[None] | None = None
        """What its submitter waits for."""
        self.is_journaled = False
        """Whether its submission is committed."""
        self.is_over = False
        """Whether the end is committed, or refused."""
        # A dict for its order: who waits first wakes first.
        self.waiters: dict[asyncio.Future[None], None] = {}
        self.status = TaskStatus.PENDING
        """What was recorded last; the expected state of what is recorded next."""
        self.last_at = microseconds()
        self.progress: float = 0
        self.message: str | None = None
        self.runner: asyncio.Task[None] | None = None
        self.stop_reason: Reason | None = None
        self.result: str | None = None
        """What it returned, as text."""
        self.outcome: Outcome | None = None
        """Set when the end is recorded; nothing is recorded after it."""
        self.refusal: AilfError | None = None
        """Why the journal refused the end: it holds another one."""

    async def over(self) -> None:
        """Wait until the end is committed, or refused; a wait that is cancelled disturbs nobody else's."""
        if not self.is_over:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiters[waiter] = None
            try:
                await waiter
            finally:
                del self.waiters[waiter]

    def now(self) -> Microseconds:
        """The time for the next change: a clock that steps back never gives an earlier one."""
        now = microseconds()
        # Not by max(), which takes longer than all the rest.
        if now > self.last_at:  # noqa: PLR1730
            self.last_at = now
        return self.last_at

    def finish(self, refusal: AilfError | None) -> None:
        """Wake those who wait for the end: it is committed, or refused."""
        self.refusal = refusal
        self.is_over = True
        for waiter in self.waiters:
            resolve(waiter)


def microseconds() -> Microseconds:
    """The time by the system's clock."""
    return time.time_ns() // 1000


def resolve(future: asyncio.Future[None], refusal: AilfError | None = None) -> None:
    """Give a future its result or its error, unless whoever waits for it has gone."""
    if future.done():
        return
    if refusal is None:
        future.set_result(None)
    else:
        future.set_exception(refusal)
