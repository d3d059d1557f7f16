"""The tasks that this process runs: who starts when, how each ends, what is recorded and in which order.

One ``LiveTasks`` lives on one event loop; only ``report`` and ``unwritten`` are called from elsewhere: other threads,
finalizers, signal handlers. So neither takes a lock. A task is here from its submission until its end is committed; who
holds it meanwhile, and what may come next, is the table in ``phases``.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ailf.async_tasks import arguments
from ailf.async_tasks.encoding import Coder, EncodedResult, encode_large_result, encode_result, unspoken_result
from ailf.async_tasks.guard import PROGRAM_ENDS, log
from ailf.async_tasks.journal.writing import Record
from ailf.async_tasks.model import Ended, Ending, Outcome, Progressed, Started, Submitted
from ailf.async_tasks.pieces import ChangedError, is_large
from ailf.async_tasks.running.context import Above, CurrentTask, Desk, enter, running_in
from ailf.async_tasks.running.job import Job
from ailf.async_tasks.running.live_task import GRACE_SECONDS, NOT_REPORTED, LiveTask, resolve
from ailf.async_tasks.running.log_capture import Capturing
from ailf.async_tasks.running.observing import Observers
from ailf.async_tasks.running.phases import Phase
from ailf.async_tasks.running.remembered import RESULT_MEMORY_BYTES, Remembered
from ailf.async_tasks.running.runner import execute, failed
from ailf.async_tasks.running.threads import Threads
from ailf.async_tasks.running.turns import Turns
from ailf.async_tasks.running.unheard import Unheard
from ailf.async_tasks.running.unwritten import Unwritten
from ailf.async_tasks.states import Reason, ResultFormat, TaskStatus
from ailf.errors import AilfError, DuplicateTaskError, UnwrittenChangesError

FATAL_PATIENCE_SECONDS = 10.0
"""How long a KeyboardInterrupt or SystemExit waits until the end that it brought is in the journal."""

MOST_FUNCTIONS = 32
"""How many plain functions run at a time where nobody has said how many tasks do: as many threads as a pool of
Python's has at most, whose number goes by the processors; but these wait rather than compute."""

RecordChange = Callable[[Record], None]


class LiveTasks:
    """The tasks of one manager."""

    def __init__(
        self,
        record: RecordChange,
        desk: Desk,
        max_concurrency: int | None,
        observers: Observers,
        *,
        result_memory: int = RESULT_MEMORY_BYTES,
        encoder: Coder | None = None,
    ) -> None:
        """Begin with none.

        Args:
            record: has a change written; calls back on the loop when it is.
            desk: what ``current_task()`` calls.
            max_concurrency: how many may run at a time; None is no limit.
            observers: told of each task.
            result_memory: how many bytes of results to keep that JSON does not hold.
            encoder: makes JSON of such results.
        """
        self._record = record
        self._observers = observers
        self._encoder = encoder
        self.turns = Turns(max_concurrency, self._begin)
        self._tasks: dict[str, LiveTask] = {}
        self._runners: dict[asyncio.Task[Any], LiveTask] = {}
        self.remembered = Remembered(result_memory)
        self.unheard = Unheard()
        # Made once: a bound method of its own for each task is one more thing that Python's garbage collector
        # looks at again and again while thousands of tasks wait.
        self._on_ended = self._ended
        self._on_submitted = self._submitted
        self._on_started = self._started
        self._on_unwound = self._unwound
        self._desk = desk
        # One is enough: Python does not put two values into words at a time.
        self._encoders = Threads("ailf results", 1)
        self._encoding: dict[LiveTask, None] = {}
        self._functions = Threads("ailf function", max_concurrency or MOST_FUNCTIONS)

    def find(self, task_id: str) -> LiveTask | None:
        """The task with this id, if it is one of this process and its end is not committed yet."""
        return self._tasks.get(task_id)

    @property
    def is_busy(self) -> bool:
        """Whether there is any task."""
        return bool(self._tasks)

    def number_in(self, status: TaskStatus) -> int:
        """How many of them wait for a slot, or run; from any thread."""
        return sum(task.status is status and task.outcome is None for task in list(self._tasks.values()))

    async def is_journaled(self, task_id: str) -> bool:
        """Whether a task with this id is one of these, waiting until its submission is committed, or refused."""
        while (task := self._tasks.get(task_id)) is not None and not task.is_journaled:
            if task.written is None or task.written.done():
                # Its submitter was cancelled: its end comes behind its submission.
                await task.over()
            else:
                await asyncio.wait([task.written])
        return task is not None

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
        task = self._tasks[task_id] = LiveTask(task_id, job, name, timeout, self._above(parent_id))
        starts = self.turns.try_to_begin(task)
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
        if task.outcome is not None:
            return
        self._observers.submitted(task_id, name)

    def _above(self, parent_id: str | None) -> Above:
        """What is above a task with this parent, as far as it is known here."""
        if parent_id is None:
            return None
        if (parent := self._tasks.get(parent_id)) is not None:
            return parent_id, parent.above
        # Of another manager of this process, or what an ended one has left running.
        current = running_in()
        return parent_id, None if current is None or current.id != parent_id else current._above  # noqa: SLF001 - of this room

    def below(self, task_id: str) -> list[str]:
        """Those of these tasks that were submitted in a task, or in one of those that were: none that has ended."""
        return [task.id for task in self._tasks.values() if task.outcome is None and task.is_below(task_id)]

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
        if task is None or task.outcome is not None or not task.is_journaled:
            return False
        if message is None:
            message = task.reported[1]
        reported = (progress, message)
        task.reported, before = reported, task.reported
        if reported != before:
            self._record((Progressed(task_id, task.now(), progress, message), None, None))
        # An end that came in between may have been recorded first; the outcome is set before that.
        return task.outcome is None

    def unwritten(self, task_id: str | None = None) -> Unwritten:
        """What to lay over what is read from now on, of one task or of all.

        A task may end, and leave here, before the read comes back.
        """
        if task_id is None:
            before = self._tasks.copy()
        else:
            task = self._tasks.get(task_id)
            before = {} if task is None else {task_id: task}
        return Unwritten(before, self._tasks, self.remembered)

    async def outcome(self, task: LiveTask) -> Outcome | None:
        """How a task ended, waiting for that; None where the journal has another end of it.

        Raises:
            UnwrittenChangesError: its manager stopped, and its end is not in the journal.
        """
        await task.over()
        if task.refusal is None:
            return task.outcome
        if isinstance(task.refusal, UnwrittenChangesError):
            raise task.refusal
        return None

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task and wait for its end; whether that is CANCELLED, and committed.

        Raises:
            UnwrittenChangesError: its manager stopped, and its end is not in the journal.
        """
        task = self._tasks.get(task_id)
        if task is None:
            return False
        self._stop(task, Reason.CANCELLED)
        outcome = await self.outcome(task)
        return outcome is not None and outcome.status is TaskStatus.CANCELLED

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
        await self._runners_done(GRACE_SECONDS)
        # However large their results are, they come to an end.
        if encoding := [task.runner for task in self._encoding if task.runner is not None]:
            await asyncio.wait(encoding)
        self._functions.close()
        self._encoders.close()
        for task in list(self._tasks.values()):
            if task.outcome is None:
                log.warning(
                    "Task %s (%s) did not end within %g seconds of being cancelled; it is given up.",
                    task.id,
                    task.name,
                    GRACE_SECONDS,
                    extra={"task_id": task.id},
                )
                error = f"Task did not end within {GRACE_SECONDS:g} seconds of being cancelled when its manager stopped"
                self._end(task, Outcome(TaskStatus.FAILED, Reason.SHUTDOWN, error=error))

    def abandon(self) -> None:
        """Record how each task ended whose event loop is gone: not a line of it will run any more."""
        self.turns.end()
        self._functions.close()
        self._encoders.close()
        for task in list(self._encoding):
            assert task.outcome is not None  # noqa: S101 - it is over
            self._record_large(task, *self._in_words(task.outcome))
        for task in list(self._tasks.values()):
            if task.outcome is None:
                task.job.discard()
                self._end(task, Outcome(TaskStatus.CANCELLED, Reason.SHUTDOWN))

    async def _runners_done(self, timeout: float) -> None:
        runners = [task.runner for task in self._tasks.values() if task.runner is not None]
        if runners:
            await asyncio.wait(runners, timeout=timeout)

    def _begin(self, task: LiveTask) -> None:
        """Have the start of a task that waited be recorded; where there is no memory for that, how it failed."""
        try:
            self._record((Started(task.id, task.now()), self._on_started, task))
        except PROGRAM_ENDS:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is how the task ended
            # Its start was not recorded: it ends as the journal has it.
            task.status = TaskStatus.PENDING
            task.job.discard()
            self._end(task, failed(error))

    def _submitted(self, task: LiveTask, refusal: AilfError | None) -> None:
        task.is_journaled = refusal is None
        if task.written is not None:
            # First the submitter, who is to have the id before the first line of the task runs.
            resolve(task.written, refusal)
            task.written = None
        if refusal is not None:
            return
        if task.phase is Phase.STARTING:
            self._launch(task)
        elif task.phase is Phase.SUBMITTED:
            self.turns.queue(task)

    def _started(self, task: LiveTask, refusal: AilfError | None) -> None:
        if task.phase is not Phase.STARTING:
            return
        if refusal is not None:
            # Somebody else has ended the task, or deleted it.
            self._give_up(task, refusal)
        else:
            self._launch(task)

    def _launch(self, task: LiveTask) -> None:
        # Not by the loop's task factory: an eager one would run the task's first line before the
        # submitter has the id.
        if task.runner is None:
            task.runner = asyncio.Task(self._run(task), name=task.name, context=task.context)
        task.enter(Phase.RUNNING)
        self._runners[task.runner] = task
        task.runner.add_done_callback(self._on_unwound, context=task.context)

    async def _run(self, task: LiveTask) -> None:
        if self._desk.log_level is not None:
            Capturing.assure()
        enter(CurrentTask(task.id, task.parent_id, self._desk, task.above))
        self._observers.started(task.id, task.name)
        if task.timeout is not None:
            task.limit = asyncio.timeout(task.timeout)
        outcome = await execute(task.job, self._functions, task.timeout, task.limit)
        if outcome.status is TaskStatus.CANCELLED and task.stop_reason is not None:
            outcome = outcome._replace(reason=task.stop_reason)
        if task.outcome is None:
            if outcome.value is not None and is_large(outcome.value):
                outcome = await self._end_with_large_result(task, outcome)
            else:
                outcome = self._end(task, outcome)
        if outcome.fatal is not None:
            # It goes on whether or not the journal takes writes: whoever asked the program to end is not kept waiting.
            with suppress(TimeoutError):
                async with asyncio.timeout(FATAL_PATIENCE_SECONDS):
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
        if task.phase is Phase.RUNNING:
            # Cancelled before its first step, so that not a line of it ran; or torn down with its loop; or there was no
            # memory for its end.
            task.job.discard()
            stopped = Outcome(TaskStatus.CANCELLED, task.stop_reason or Reason.CANCELLED)
            self._end(task, stopped if error is None else failed(error))

    def _stop(self, task: LiveTask, reason: Reason) -> None:
        if task.outcome is not None:
            # What it returned is being put into words, or is on its way into the journal.
            return
        if task.phase is Phase.RUNNING:
            task.cancel(reason)
        else:
            # Not a line of it has run: its end is recorded behind its submission, committed or not. First of all:
            # where that cannot be, it waits on.
            self._end(task, Outcome(TaskStatus.CANCELLED, reason))
            self.turns.leave(task)
            task.job.discard()

    async def _end_with_large_result(self, task: LiveTask, outcome: Outcome) -> Outcome:
        """The same as ``_end``, with the result put into words in a thread first.

        Meanwhile the task has ended to all who would stop it or report to it, and to nobody who reads or waits.
        """
        task.outcome = outcome
        self._encoding[task] = None
        encode = partial(encode_large_result, outcome.value, self._encoder)
        try:
            encoded: EncodedResult = await self._encoders.call(encode)
        except BaseException as error:
            # Somebody else changes it all the time, or the loop is being torn down: at once, and by nobody else.
            outcome = self._record_large(task, *self._in_words(outcome))
            if not isinstance(error, (ChangedError, asyncio.CancelledError, *PROGRAM_ENDS)):
                raise
            return outcome
        return self._record_large(task, encoded, outcome)

    def _record_large(self, task: LiveTask, result: EncodedResult, outcome: Outcome) -> Outcome:
        if task in self._encoding:
            del self._encoding[task]
            self._record_end(task, outcome, result)
        return outcome

    def _in_words(self, outcome: Outcome) -> tuple[EncodedResult, Outcome]:
        """The result, and the outcome with what interrupted the putting of it into words."""
        try:
            return encode_result(outcome.value, self._encoder), outcome
        except PROGRAM_ENDS as fatal:
            return unspoken_result(outcome.value), outcome._replace(fatal=fatal)

    def _end(self, task: LiveTask, outcome: Outcome) -> Outcome:
        """Record how a task ended; returns that, with what interrupted the putting into words of its result."""
        result: EncodedResult | None = None
        if outcome.status is TaskStatus.COMPLETED:
            result, outcome = self._in_words(outcome)
        self._record_end(task, outcome, result)
        return outcome

    def _record_end(self, task: LiveTask, outcome: Outcome, result: EncodedResult | None) -> None:
        text: str | None = None
        progress: float | None = None
        result_format: ResultFormat | None = None
        if result is not None:
            # What says nothing of its progress is done with all of it at its end.
            progress = 100 if task.reported is NOT_REPORTED else None
            text, result_format = task.result = result
            if result_format is not ResultFormat.JSON:
                self.remembered.keep_result(task.id, task.created_at, outcome.value)
        # Before the end is recorded: a report that is recorded behind it knows that it does not count.
        change = Ended(task.id, task.now(), task.status, outcome, text, result_format, progress)
        task.outcome = outcome
        self._record((change, self._on_ended, task))
        task.enter(Phase.ENDING)
        self.turns.release(task)

    def _ended(self, task: LiveTask, refusal: AilfError | None) -> None:
        try:
            if refusal is None and task.outcome is not None:
                ending = Ending(task.name, task.outcome)
                self.remembered.keep_ending(task.id, task.created_at, ending, task.result)
                self._observers.ended(task.id, task.name, task.outcome)
                if task.outcome.status is TaskStatus.FAILED and not task.was_awaited:
                    self.unheard.failed(task.id, ending)
            else:
                self.remembered.forget(task.id, task.created_at)
        finally:
            # Whatever happens to who is told, those who wait wake.
            self._forget(task, refusal)
        # A submission whose caller was cancelled, and that was refused as well, has no end to miss.
        if refusal is not None and task.is_journaled and not isinstance(refusal, UnwrittenChangesError):
            log.error("The end of task %s is not in the journal: %s", task.id, refusal, extra={"task_id": task.id})

    def _give_up(self, task: LiveTask, refusal: AilfError) -> None:
        """Let go of a task that is not in the journal, or not as this process has it."""
        task.job.discard()
        if task.outcome is None:
            task.outcome = Outcome(TaskStatus.CANCELLED, Reason.CANCELLED)
            self.turns.release(task)
            self._forget(task, refusal)

    def _forget(self, task: LiveTask, refusal: AilfError | None) -> None:
        if self._tasks.get(task.id) is task:
            del self._tasks[task.id]
        task.finish(refusal)
