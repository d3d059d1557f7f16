"""The tasks that this process runs: who starts when, how each ends, what is recorded and in which order.

One ``LiveTasks`` lives on one event loop; only ``report`` and ``laid_over`` are called from other
threads. A task is here from its submission until its end is committed.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ailf.async_tasks import arguments
from ailf.async_tasks.journal.form import encode_result
from ailf.async_tasks.journal.writing import Record
from ailf.async_tasks.model import Ended, Outcome, Progressed, Started, Submitted, TaskInfo
from ailf.async_tasks.running.context import CurrentTask, Desk, enter
from ailf.async_tasks.running.live_task import LiveTask, resolve
from ailf.async_tasks.running.log_capture import Capturing
from ailf.async_tasks.running.observing import Observers
from ailf.async_tasks.running.remembered import Remembered
from ailf.async_tasks.running.runner import Job, execute, failed
from ailf.async_tasks.states import Reason, ResultFormat, TaskStatus
from ailf.errors import AilfError, DuplicateTaskError

UNWIND_SECONDS = 10.0
"""How long a cancelled task may take to end when its manager stops; after that it is given up."""

log = logging.getLogger("ailf.async_tasks")

RecordChange = Callable[[Record], None]


class LiveTasks:
    """The tasks of one manager, the slots they run in, and the queue for a slot."""

    def __init__(self, record: RecordChange, desk: Desk, max_concurrency: int | None, observers: Observers) -> None:
        """Begin with none.

        Args:
            record: has a change written; calls back on the loop when it is.
            desk: what ``current_task()`` calls.
            max_concurrency: how many may run at a time; None is no limit.
            observers: told of each task.
        """
        self._record = record
        self._observers = observers
        self._max_concurrency = max_concurrency
        self._running = 0
        self._queue: deque[LiveTask] = deque()
        self._tasks: dict[str, LiveTask] = {}
        self._runners: dict[asyncio.Task[Any], LiveTask] = {}
        self.remembered = Remembered()
        # Made once: a bound method of its own for each task is one more thing that Python's garbage collector
        # looks at again and again while thousands of tasks wait.
        self._on_ended = self._ended
        self._on_submitted = self._submitted
        self._on_started = self._started
        self._on_unwound = self._unwound
        self._desk = desk
        # Held where a report of progress, from any thread, must not come after the end.
        self._lock = threading.Lock()

    def find(self, task_id: str) -> LiveTask | None:
        """The task with this id, if it is one of this process and its end is not committed yet."""
        return self._tasks.get(task_id)

    @property
    def is_busy(self) -> bool:
        """Whether there is any task."""
        return bool(self._tasks)

    def run_by(self, runner: asyncio.Task[Any]) -> str | None:
        """The id of the task that this asyncio task runs, if it is one of these."""
        task = self._runners.get(runner)
        return None if task is None else task.id

    async def submit(
        self, job: Job, task_id: str, name: str, timeout: float | None, metadata: str, *, parent_id: str | None = None
    ) -> None:
        """Record a new task, and start it or queue it; returns once its row is committed.

        Raises:
            DuplicateTaskError: a task with this id is in the journal already.
            JournalError: the journal takes no writes; nothing was started.
        """
        if task_id in self._tasks:
            job.discard()
            raise DuplicateTaskError(f"A task with the id {task_id!r} is unfinished; choose another id.")
        task = self._tasks[task_id] = LiveTask(task_id, job, name, timeout, parent_id)
        if starts := not self._queue and self._has_free_slot():
            self._take_slot(task)
        written = task.written = asyncio.get_running_loop().create_future()
        change = Submitted(task_id, task.last_at, name, timeout, metadata, starts, parent_id)
        self._record((change, self._on_submitted, task))
        try:
            await written
        except AilfError as refusal:
            self._give_up(task, refusal)
            raise
        except BaseException:
            # The submitter was cancelled. The row cannot be called back, so it gets its end.
            self._stop(task, Reason.CANCELLED)
            raise
        # Whatever had this id before is gone from the journal: somebody has deleted it.
        self.remembered.forget([task_id])
        if task.outcome is not None:
            return
        self._observers.submitted(task_id, name)
        if task.status is TaskStatus.PENDING:
            self._queue.append(task)
            self._fill_slots()

    def report(self, task_id: str, progress: float, message: str | None) -> bool:
        """Record progress, from any thread; False where there is no such task or it has ended.

        Raises:
            InvalidTypeError: ``progress`` is no number, or ``message`` no text.
            InvalidArgumentError: ``progress`` is outside of 0 to 100, or NaN.
        """
        progress = arguments.percentage(progress)
        if message is not None:
            message = arguments.message(message)
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
                self._record((Progressed(task_id, task.now(), progress, message), None, None))
        return True

    def laid_over(self, infos: list[TaskInfo]) -> list[TaskInfo]:
        """Rows as this process knows them: with progress that is not written yet, with the very results."""
        if not self._tasks and not self.remembered.has_results:
            return infos
        return [self._laid_over(info) for info in infos]

    def _laid_over(self, info: TaskInfo) -> TaskInfo:
        if info.status is TaskStatus.COMPLETED:
            return self.remembered.laid_over(info)
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
                    extra={"task_id": task.id},
                )
                error = (
                    f"Task did not end within {UNWIND_SECONDS:g} seconds of being cancelled when its manager stopped"
                )
                self._end(task, Outcome(TaskStatus.FAILED, Reason.SHUTDOWN, error=error))

    def abandon(self) -> None:
        """Record how each task ended whose event loop is gone: not a line of it will run any more."""
        for task in list(self._tasks.values()):
            if task.outcome is None:
                self._end(task, Outcome(TaskStatus.CANCELLED, Reason.SHUTDOWN))

    async def _runners_done(self, timeout: float) -> None:
        runners = [task.runner for task in self._tasks.values() if task.runner is not None]
        if runners:
            await asyncio.wait(runners, timeout=timeout)

    def _has_free_slot(self) -> bool:
        return self._max_concurrency is None or self._running < self._max_concurrency

    def _take_slot(self, task: LiveTask) -> None:
        self._running += 1
        task.status = TaskStatus.RUNNING

    def _release_slot(self, task: LiveTask) -> None:
        if task.status is TaskStatus.RUNNING:
            self._running -= 1
            self._fill_slots()

    def _fill_slots(self) -> None:
        while self._queue and self._has_free_slot():
            task = self._queue.popleft()
            self._take_slot(task)
            self._record((Started(task.id, task.now()), self._on_started, task))

    def _submitted(self, task: LiveTask, refusal: AilfError | None) -> None:
        task.is_journaled = refusal is None
        if task.written is not None:
            # First the submitter, who is to have the id before the first line of the task runs.
            resolve(task.written, refusal)
            task.written = None
        if refusal is None and task.outcome is None and task.status is TaskStatus.RUNNING:
            self._launch(task)

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
        self._runners[task.runner] = task
        task.runner.add_done_callback(self._on_unwound, context=task.context)

    async def _run(self, task: LiveTask) -> None:
        if self._desk.log_level is not None:
            Capturing.assure()
        enter(CurrentTask(task.id, task.parent_id, self._desk))
        self._observers.started(task.id, task.name)
        outcome = await execute(task.job, task.timeout)
        if outcome.status is TaskStatus.CANCELLED and task.stop_reason is not None:
            outcome = outcome._replace(reason=task.stop_reason)
        if task.outcome is None:
            self._end(task, outcome)
        if outcome.fatal is not None:
            await task.over()
            raise outcome.fatal
        # All is said; a callback for each of thousands of tasks takes its time.
        runner = task.runner
        assert runner is not None  # noqa: S101 - it runs this
        del self._runners[runner]
        runner.remove_done_callback(self._on_unwound)

    def _unwound(self, runner: asyncio.Task[None]) -> None:
        task = self._runners.pop(runner)
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
        result_format: ResultFormat | None = None
        if outcome.status is TaskStatus.COMPLETED:
            encoded = encode_result(outcome.value)
            task.result, result_format = encoded.text, encoded.format
            self.remembered.keep_result(task.id, outcome.value, encoded)
        with self._lock:
            task.outcome = outcome
            change = Ended(task.id, task.now(), task.status, outcome, task.result, result_format)
            self._record((change, self._on_ended, task))
        self._release_slot(task)

    def _ended(self, task: LiveTask, refusal: AilfError | None) -> None:
        if refusal is None and task.outcome is not None:
            self.remembered.keep_outcome(task.id, task.outcome, task.result)
            self._observers.ended(task.id, task.name, task.outcome)
        else:
            self.remembered.forget([task.id])
        # A submission whose caller was cancelled, and that was refused as well, has no end to miss.
        if refusal is not None and task.is_journaled:
            log.error("The end of task %s is not in the journal: %s", task.id, refusal, extra={"task_id": task.id})
        self._forget(task, refusal)

    def _give_up(self, task: LiveTask, refusal: AilfError) -> None:
        """Let go of a task that is not in the journal, or not as this process has it."""
        task.job.discard()
        if task.outcome is None:
            task.outcome = Outcome(TaskStatus.CANCELLED, Reason.CANCELLED)
            self._release_slot(task)
            self._forget(task, refusal)

    def _forget(self, task: LiveTask, refusal: AilfError | None) -> None:
        if self._tasks.get(task.id) is task:
            del self._tasks[task.id]
        task.finish(refusal)
