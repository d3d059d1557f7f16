"""One task of this process, from its submission until its end is committed."""

import asyncio
import contextvars
import time

from ailf.async_tasks.encoding import EncodedResult
from ailf.async_tasks.model import Microseconds, Outcome
from ailf.async_tasks.running.context import Above
from ailf.async_tasks.running.job import Job
from ailf.async_tasks.running.phases import Phase
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.errors import AilfError

GRACE_SECONDS = 10.0
"""For how long a cancelled task may clean up before another cancellation cuts that short, and a stop gives it up."""

NOT_REPORTED: tuple[float, str | None] = (0, None)
"""Where a task stands that has reported nothing: this very object, which no report is."""


class LiveTask:
    """A task of this process that has not ended in the journal yet."""

    __slots__ = (
        *(
            "above",
            "context",
            "cancelled_at",
            "created_at",
            "has_slot",
            "id",
            "is_journaled",
            "job",
            "last_at",
            "limit",
            "name",
        ),
        *("outcome", "phase", "refusal", "reported", "result", "runner", "status", "stop_reason"),
        *("timeout", "waiters", "waits", "waits_for", "was_awaited", "written"),
    )

    def __init__(self, task_id: str, job: Job, name: str, timeout: float | None, above: Above) -> None:
        self.id = task_id
        self.job = job
        self.name = name
        self.timeout = timeout
        self.above = above
        self.context = contextvars.copy_context()
        self.phase = Phase.SUBMITTED
        self.written: asyncio.Future[None] | None = None
        """What its submitter waits for."""
        self.is_journaled = False
        """Whether its submission is committed."""
        # A dict for its order: who waits first wakes first.
        self.waiters: dict[asyncio.Future[None], None] = {}
        self.status = TaskStatus.PENDING
        """What was recorded last; the expected state of what is recorded next."""
        self.created_at = self.last_at = microseconds()
        self.reported: tuple[float, str | None] = NOT_REPORTED
        """The progress and the message reported last, in one value: reports come from any thread, at any moment."""
        self.runner: asyncio.Task[None] | None = None
        self.limit: asyncio.Timeout | None = None
        self.has_slot = False
        self.waits = 0
        """For how many other tasks it waits; meanwhile its slot is somebody else's."""
        self.waits_for: LiveTask | None = None
        """The one that its own coroutine waits for, without a time limit."""
        self.stop_reason: Reason | None = None
        self.cancelled_at = 0.0
        """When it was last cancelled, by the loop's clock."""
        self.result: EncodedResult | None = None
        """What it returned, as text."""
        self.was_awaited = False
        """Whether anybody has waited for the end."""
        self.outcome: Outcome | None = None
        """Set before the end is recorded; nothing that is reported after it counts."""
        self.refusal: AilfError | None = None
        """Why the journal has no end of it, or another one."""

    @property
    def parent_id(self) -> str | None:
        """The task in which it was submitted."""
        return None if self.above is None else self.above[0]

    def is_below(self, task_id: str) -> bool:
        """Whether it was submitted in that task, or in one of those that were."""
        above = self.above
        while above is not None:
            if above[0] == task_id:
                return True
            above = above[1]
        return False

    def enter(self, phase: Phase) -> None:
        """Go on to another phase."""
        if phase not in self.phase.following:
            raise AssertionError(f"task {self.id} cannot go from {self.phase.name} to {phase.name}")
        self.phase = phase

    async def over(self) -> None:
        """Wait until the end is committed, or refused; a wait that is cancelled disturbs nobody else's."""
        self.was_awaited = True
        if self.phase is not Phase.OVER:
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

    def cancel(self, reason: Reason) -> None:
        """Cancel what runs, once: until it had time to clean up, no other cancellation cuts that short."""
        assert self.runner is not None  # noqa: S101 - a task that runs has one
        now = self.runner.get_loop().time()
        if self.limit is not None and self.limit.expired():
            # It unwinds from its time limit.
            self.cancelled_at = max(self.cancelled_at, self.limit.when() or now)
        if self.cancelled_at and now < self.cancelled_at + GRACE_SECONDS:
            return
        self.stop_reason = self.stop_reason or reason
        self.cancelled_at = now
        self.runner.cancel()

    def waits_in_a_circle(self, other: "LiveTask") -> bool:
        """Whether another task waits for this one, by itself or by those it waits for."""
        waiting: LiveTask | None = other
        while waiting is not None:
            if waiting is self:
                return True
            waiting = waiting.waits_for
        return False

    def finish(self, refusal: AilfError | None) -> None:
        """Wake those who wait for the end: it is committed, or refused."""
        self.refusal = refusal
        self.phase = Phase.OVER
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
