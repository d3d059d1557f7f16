"""The tasks that this process runs: who starts when, how each ends, what is recorded and in which order.

One ``LiveTasks`` lives on one event loop; only ``report`` and ``laid_over`` are called from other
threads. A task is here from its submission until its end is committed.
"""

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ailf.async_tasks.context import CurrentTask, enter
from ailf.async_tasks.journal.backlog import Done
from ailf.async_tasks.journal.rows import encode_result
from ailf.async_tasks.model import Change, Ended, Outcome, Progressed, Started, Submitted, TaskInfo
from ailf.async_tasks.runner import Job, execute, failed
from ailf.async_tasks.states import Reason, ResultFormat, TaskStatus
from ailf.errors import AilfError, DuplicateTaskError

UNWIND_SECONDS = 10.0
"""How long a cancelled task may take to end when its manager stops; after that it is given up."""

RECENT_OUTCOMES = 10_000
"""How many ends are remembered, for those who wait for a task that has ended: a burst of tasks, say."""

SMALL_RESULT_CHARACTERS = 200
"""Up to which length of its text a result is remembered that way."""

log = logging.getLogger("ailf.async_tasks")

RecordChanges = Callable[[Sequence[Change], Done | None], None]
Report = Callable[[str, float, str | None], bool]


class LiveTask:
    """A task of this process that has not ended in the journal yet."""

    __slots__ = (
        *("context", "id", "is_journaled", "is_over", "is_small", "job", "last_at", "message", "name", "outcome"),
        *("progress", "refusal", "runner", "status", "stop_reason", "timeout", "waiters"),
    )

    def __init__(self, task_id: str, job: Job, name: str, timeout: float | None) -> None:
        self.id = task_id
        self.job = job
        self.name = name
        self.timeout = timeout
        self.context = contextvars.copy_context()
        self.is_journaled = False
        """Whether its submission is committed."""
        self.is_small = False
        """Whether the outcome is worth keeping in memory for a while."""
        self.is_over = False
        """Whether the end is committed, or refused."""
        # A dict for its order: who waits first wakes first.
        self.waiters: dict[asyncio.Future[None], None] = {}
        self.status = TaskStatus.PENDING
        """What was recorded last; the expected state of what is recorded next."""
        self.last_at = datetime.now(UTC)
        self.progress: float = 0
        self.message: str | None = None
        self.runner: asyncio.Task[None] | None = None
        self.stop_reason: Reason | None = None
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

    def now(self) -> datetime:
        """The time for the next change: a clock that steps back never gives an earlier one."""
        now = datetime.now(UTC)
        self.last_at = max(self.last_at, now)
        return self.last_at


class LiveTasks:
    """The tasks of one manager, the slots they run in, and the queue for a slot."""

    def __init__(self, record: RecordChanges, report: Report, max_concurrency: int | None) -> None:
        """Begin with none.

        Args:
            record: has changes written; calls back on the loop when they are.
            report: what ``current_task().update_progress`` calls.
            max_concurrency: how many may run at a time; None is no limit.
        """
        self._record = record
        self._report = report
        self._max_concurrency = max_concurrency
        self._running = 0
        self._queue: deque[LiveTask] = deque()
        self._tasks: dict[str, LiveTask] = {}
        self._runners: dict[asyncio.Task[Any], str] = {}
        # What ended lately, so that whoever asks for it next need not ask the journal.
        self._outcomes: dict[str, Outcome] = {}
        # Results that JSON does not give back as they were, until clean-up deletes their tasks.
        self._results: dict[str, Any] = {}
        # Held where a report of progress, from any thread, must not come after the end.
        self._lock = threading.Lock()

    def find(self, task_id: str) -> LiveTask | None:
        """The task with this id, if it is one of this process and its end is not committed yet."""
        return self._tasks.get(task_id)

    @property
    def is_busy(self) -> bool:
        """Whether there is any task."""
        return bool(self._tasks)

    def recent_outcome(self, task_id: str) -> Outcome | None:
        """How a task ended, where that is committed and was lately."""
        return self._outcomes.get(task_id)

    def run_by(self, runner: asyncio.Task[Any]) -> str | None:
        """The id of the task that this asyncio task runs, if it is one of these."""
        return self._runners.get(runner)

    async def submit(self, job: Job, task_id: str, name: str, timeout: float | None, metadata: str) -> None:
        """Record a new task, and start it or queue it; returns once its row is committed.

        Raises:
            DuplicateTaskError: a task with this id is in the journal already.
            JournalError: the journal takes no writes; nothing was started.
        """
        if task_id in self._tasks:
            job.discard()
            raise DuplicateTaskError(f"A task with the id {task_id!r} is unfinished; choose another id.")
        loop = asyncio.get_running_loop()
        task = self._tasks[task_id] = LiveTask(task_id, job, name, timeout)
        changes: list[Change] = [Submitted(task_id, task.last_at, name, timeout, metadata)]
        if not self._queue and self._has_free_slot():
            changes.append(self._take_slot(task, task.last_at))
        written: asyncio.Future[None] = loop.create_future()
        self._record(changes, partial(self._submitted, task, written))
        try:
            await written
        except AilfError as refusal:
            self._give_up(task, refusal)
            raise
        except BaseException:
            # The submitter was cancelled. The row cannot be called back, so it gets its end.
            self._end_unstarted(task, Reason.CANCELLED)
            raise
        # Whatever had this id before is gone from the journal: somebody has deleted it.
        self._outcomes.pop(task_id, None)
        self._results.pop(task_id, None)
        if task.outcome is not None:
            return
        if task.status is TaskStatus.RUNNING:
            self._launch(task)
        else:
            self._queue.append(task)
            self._fill_slots()

    def _submitted(self, task: LiveTask, written: asyncio.Future[None], refusal: AilfError | None) -> None:
        task.is_journaled = refusal is None
        _resolve(written, refusal)

    def report(self, task_id: str, progress: float, message: str | None) -> bool:
        """Record progress, from any thread; False where there is no such task or it has ended."""
        task = self._tasks.get(task_id)
        if task is None:
            return False
        with self._lock:
            if task.outcome is not None:
                return False
            if message is None:
                message = task.message
            if progress != task.progress or message != task.message:
                task.progress, task.message = progress, message
                self._record((Progressed(task_id, task.now(), progress, message),), None)
        return True

    def laid_over(self, info: TaskInfo) -> TaskInfo:
        """A row as this process knows it: with progress that is not written yet, with the very result."""
        if info.status is TaskStatus.COMPLETED:
            return replace(info, result=self._results[info.id]) if info.id in self._results else info
        task = self._tasks.get(info.id)
        if task is None or info.status.is_ended:
            return info
        return replace(info, progress=task.progress, progress_message=task.message)

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task and wait for its end; whether that is CANCELLED, and committed."""
        task = self._tasks.get(task_id)
        if task is None:
            return False
        self._stop(task, Reason.CANCELLED)
        await task.over()
        return task.refusal is None and task.outcome is not None and task.outcome.status is TaskStatus.CANCELLED

    def cancel_soon(self, task_id: str) -> None:
        """Cancel a task without waiting for its end; one that is not there has ended meanwhile."""
        if (task := self._tasks.get(task_id)) is not None:
            self._stop(task, Reason.CANCELLED)

    async def shut_down(self, drain: float) -> None:
        """End every task: let the running ones finish for a while, cancel the rest, record how each ended.

        Args:
            drain: for how many seconds the running ones may go on.
        """
        for task in list(self._tasks.values()):
            if task.runner is None:
                self._stop(task, Reason.SHUTDOWN)
        if drain > 0:
            await self._runners_done(drain)
        for task in list(self._tasks.values()):
            self._stop(task, Reason.SHUTDOWN)
        await self._runners_done(UNWIND_SECONDS)
        for task in list(self._tasks.values()):
            if task.outcome is None:
                log.warning(
                    "Task %s (%s) did not end within %g seconds of being cancelled; it is given up.",
                    task.id,
                    task.name,
                    UNWIND_SECONDS,
                )
                error = (
                    f"Task did not end within {UNWIND_SECONDS:g} seconds of being cancelled when its manager stopped"
                )
                self._end(task, Outcome(TaskStatus.FAILED, Reason.SHUTDOWN, error=error))

    async def _runners_done(self, timeout: float) -> None:
        runners = [task.runner for task in self._tasks.values() if task.runner is not None]
        if runners:
            await asyncio.wait(runners, timeout=timeout)

    def kept_results(self) -> list[str]:
        """The ids of the tasks whose results are kept in memory."""
        return list(self._results)

    def forget_outcomes(self) -> None:
        """Drop what ended lately, since some of it has been deleted."""
        self._outcomes.clear()

    def forget_results(self, task_ids: Iterable[str]) -> None:
        """Drop the results of tasks that are no longer in the journal."""
        for task_id in task_ids:
            self._results.pop(task_id, None)

    def _has_free_slot(self) -> bool:
        return self._max_concurrency is None or self._running < self._max_concurrency

    def _take_slot(self, task: LiveTask, at: datetime) -> Started:
        self._running += 1
        task.status = TaskStatus.RUNNING
        return Started(task.id, at)

    def _release_slot(self, task: LiveTask) -> None:
        if task.status is TaskStatus.RUNNING:
            self._running -= 1
            self._fill_slots()

    def _fill_slots(self) -> None:
        while self._queue and self._has_free_slot():
            task = self._queue.popleft()
            self._record((self._take_slot(task, task.now()),), partial(self._started, task))

    def _started(self, task: LiveTask, refusal: AilfError | None) -> None:
        if task.outcome is not None:
            return
        if refusal is not None:
            # Somebody else has ended the task, or deleted it.
            self._give_up(task, refusal)
        else:
            self._launch(task)

    def _launch(self, task: LiveTask) -> None:
        # Not by the loop's task factory: an eager one would run the task's first line before the
        # submitter has the id.
        task.runner = asyncio.Task(self._run(task), name=task.name, context=task.context)
        self._runners[task.runner] = task.id
        task.runner.add_done_callback(partial(self._unwound, task))

    async def _run(self, task: LiveTask) -> None:
        enter(CurrentTask(task.id, self._report))
        outcome = await execute(task.job, task.timeout, lambda: task.stop_reason)
        if task.outcome is None:
            self._end(task, outcome)
        if outcome.fatal is not None:
            await task.over()
            raise outcome.fatal

    def _unwound(self, task: LiveTask, runner: asyncio.Task[None]) -> None:
        del self._runners[runner]
        error = None if runner.cancelled() else runner.exception()
        if task.outcome is None:
            # Cancelled before its first step, so that not a line of it ran; or torn down with its loop.
            task.job.discard()
            stopped = Outcome(TaskStatus.CANCELLED, task.stop_reason or Reason.CANCELLED)
            self._end(task, stopped if error is None else failed(error))

    def _stop(self, task: LiveTask, reason: Reason) -> None:
        if task.outcome is not None:
            return
        if task.runner is None:
            self._end_unstarted(task, reason)
        else:
            task.stop_reason = task.stop_reason or reason
            task.runner.cancel()

    def _end_unstarted(self, task: LiveTask, reason: Reason) -> None:
        """End a task of which no line has run: it is recorded behind its submission, committed or not."""
        if task.outcome is not None:
            return
        if task in self._queue:
            self._queue.remove(task)
        task.job.discard()
        self._end(task, Outcome(TaskStatus.CANCELLED, reason))

    def _end(self, task: LiveTask, outcome: Outcome) -> None:
        result: str | None = None
        task.is_small = outcome.status is not TaskStatus.FAILED
        result_format: ResultFormat | None = None
        if outcome.status is TaskStatus.COMPLETED:
            encoded = encode_result(outcome.value)
            result, result_format = encoded.text, encoded.format
            task.is_small = len(result) <= SMALL_RESULT_CHARACTERS
            if not encoded.exact:
                self._results[task.id] = outcome.value
        with self._lock:
            task.outcome = outcome
            change = Ended(task.id, task.now(), task.status, outcome, result, result_format)
            self._record((change,), partial(self._ended, task))
        self._release_slot(task)

    def _ended(self, task: LiveTask, refusal: AilfError | None) -> None:
        if refusal is None and task.outcome is not None and task.is_small:
            self._outcomes[task.id] = task.outcome
            if len(self._outcomes) > RECENT_OUTCOMES:
                del self._outcomes[next(iter(self._outcomes))]
        if refusal is not None:
            self._results.pop(task.id, None)
        # A submission whose caller was cancelled, and that was refused as well, has no end to miss.
        if refusal is not None and task.is_journaled:
            log.error("The end of task %s is not in the journal: %s", task.id, refusal)
        self._forget(task, refusal)

    def _give_up(self, task: LiveTask, refusal: AilfError) -> None:
        """Let go of a task that is not in the journal, or not as this process has it."""
        task.job.discard()
        if task.outcome is None:
            task.outcome = Outcome(TaskStatus.CANCELLED, Reason.CANCELLED)
            self._release_slot(task)
            self._forget(task, refusal)

    def _forget(self, task: LiveTask, refusal: AilfError | None) -> None:
        task.refusal = refusal
        if self._tasks.get(task.id) is task:
            del self._tasks[task.id]
        task.is_over = True
        for waiter in task.waiters:
            _resolve(waiter, None)


def _resolve(future: asyncio.Future[None], refusal: AilfError | None) -> None:
    if future.done():
        return
    if refusal is None:
        future.set_result(None)
    else:
        future.set_exception(refusal)
