"""What a manager has between its start and its stop: an open journal, the live tasks, the clean-up."""

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from ailf.async_tasks.encoding import Coder
from ailf.async_tasks.families import Families
from ailf.async_tasks.guard import log
from ailf.async_tasks.journal import Journal
from ailf.async_tasks.journal.form import inherited_error, microseconds_text, task_info
from ailf.async_tasks.journal.reading import Row, existing_query, submission_query, task_query
from ailf.async_tasks.model import Ending, Outcome, TaskInfo
from ailf.async_tasks.others import Others
from ailf.async_tasks.running import (
    Capturing,
    Desk,
    LiveTask,
    LiveTasks,
    Observer,
    Observers,
    Phase,
    Unwritten,
    current_id,
)
from ailf.async_tasks.settings import Settings
from ailf.async_tasks.states import TaskStatus
from ailf.async_tasks.tail import Tail, Wanted
from ailf.errors import JournalError, NotStartedError, WaitTimeoutError

TEMPORARY_PREFIX = "ailf-"

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T]) -> T:
    """Run what blocks in a thread of its own: the loop's pool may be full of tasks that are plain functions."""
    return await _in_thread(work, lambda _: None)


def journal_opening(settings: Settings) -> asyncio.Future[Journal]:
    """Open a journal, or one of its own in a temporary folder, in a thread of its own.

    Whoever cancels the future, or closes its loop, wants the journal no more: the thread closes what it opens.

    Args:
        settings: which journal, and how.

    Returns:
        The journal, or the JournalError that says why it cannot be opened.
    """
    return _in_thread(partial(_open_journal, settings), Journal.close)


def _in_thread(work: Callable[[], T], throw_away: Callable[[T], object]) -> asyncio.Future[T]:
    """A daemon, unlike the threads of an executor: a program that is told to end does not wait for a lock."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def succeed(result: T) -> None:
        if future.cancelled():
            threading.Thread(target=throw_away, args=(result,), name="ailf clean-up", daemon=True).start()
        else:
            future.set_result(result)

    def fail(error: BaseException) -> None:
        if not future.cancelled():
            future.set_exception(error)

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whatever it is, whoever waits hears of it
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(fail, error)
            return
        try:
            loop.call_soon_threadsafe(succeed, result)
        except RuntimeError:
            throw_away(result)

    threading.Thread(target=run, name="ailf journal", daemon=True).start()
    return future


def _open_journal(settings: Settings) -> Journal:
    opening = partial(Journal.open, durability=settings.durability, mode=settings.migrate, retention=settings.retention)
    if settings.path is not None:
        return opening(settings.path, indexed=settings.indexed_metadata)
    folder = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX))
    try:
        return opening(folder / "tasks.db", indexed=settings.indexed_metadata, temporary=folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _info(unwritten: Unwritten, decoder: Coder | None, row: Row) -> TaskInfo:
    return unwritten.laid_over(task_info(row, decoder))


class Session:
    """A manager at work."""

    def __init__(
        self, journal: Journal, loop: asyncio.AbstractEventLoop, settings: Settings, observers: Sequence[Observer]
    ) -> None:
        """Put an open journal to use.

        Args:
            journal: the journal.
            loop: the event loop on which all of it lives.
            settings: how the manager was configured.
            observers: told of each task.
        """
        self.journal = journal
        self.loop = loop
        self.tail = Tail(journal.areader)
        self._settings = settings
        journal.attach(loop, self.tail.notify, settings.log_limit)
        take_line = journal.writer.log
        self._desk = Desk(journal.path.resolve(), self.report, take_line, self.assert_not_inherited, settings.log_level)
        self.live = LiveTasks(
            *(journal.writer.record, self._desk, settings.max_concurrency, Observers(observers)),
            result_memory=settings.result_memory,
            encoder=settings.coders.encoder,
        )
        self.families = Families(journal, self.live, self._desk, self.cancel)
        self._cleaner: asyncio.Task[None] | None = None
        self._cleaning_up = asyncio.Lock()
        self._listener: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Listen to other processes; capture what tasks log; clean up now, and again and again."""
        if self._settings.log_level is not None:
            Capturing.begin(self._settings.log_level)
        others = Others(self.journal, self.tail, self.live)
        self._listener = self.loop.create_task(others.listen(), name="ailf listener")
        self._cleaner = self.loop.create_task(self._clean_up_regularly(), name="ailf clean-up")

    async def _clean_up_regularly(self) -> None:
        while True:
            try:
                await self.clean_up()
            except JournalError as error:
                log.warning("The scheduled clean-up failed and will be tried again: %s", error)
            except Exception:  # noqa: BLE001 - a part of ours goes on, and says so
                log.exception("The scheduled clean-up met an unexpected error, and will be tried again.")
            await asyncio.sleep(self._settings.cleanup_interval)

    async def clean_up(self) -> int:
        """Recover what dead processes left, and delete what was kept long enough; returns how many tasks.

        One round at a time: one that is asked for while another is under way comes after it.

        Raises:
            JournalError: the journal takes no writes.
        """
        async with self._cleaning_up:
            await self.journal.recover()
            deleted = await self.journal.delete_ended()
            if kept := self.live.remembered.result_ids():
                existing = {task_id for (task_id,) in await self.journal.areader.rows(existing_query(kept))}
                for task_id in set(kept) - existing:
                    self.live.remembered.forget(task_id)
            return deleted

    async def end(self, drain: float) -> None:
        """End every task, write how each ended, free the journal; whatever happens, the journal is closed.

        Args:
            drain: for how many seconds running tasks may go on.

        Raises:
            UnwrittenChangesError: the journal took no writes.
        """
        try:
            await self._end_own_tasks()
            await self.live.shut_down(drain)
            self._capture_no_more()
        except BaseException:
            # The stop itself is cut short, with its loop as a rule, which takes no more turns to wait in.
            self.tail.end()
            self.abandon()
            raise
        try:
            unwritten = await in_own_thread(self.journal.close)
        finally:
            self.tail.end()
            self.live.unheard.tell_all()
            if self.journal.is_temporary:
                await self.tail.all_have_read()
            await self.journal.areader.close()
            self.journal.remove_temporary()
        if unwritten is not None:
            raise unwritten

    async def _end_own_tasks(self) -> None:
        if own := [task for task in (self._cleaner, self._listener) if task is not None]:
            for task in own:
                task.cancel()
            await asyncio.wait(own)

    def abandon(self) -> None:
        """Close what a closed event loop has left: journal how the tasks ended that it still had; blocks."""
        self.live.abandon()
        self._capture_no_more()
        self.journal.close()
        self.journal.remove_temporary()

    def _capture_no_more(self) -> None:
        if self._settings.log_level is not None:
            Capturing.end(self._settings.log_level)

    def task_around(self) -> str | None:
        """The id of the live task that makes this very call, if one does."""
        caller = asyncio.current_task()
        return None if caller is None else self.live.run_by(caller)

    async def exists(self, task_id: str) -> bool:
        """Whether a task with this id is in the journal, one that is just being submitted here included.

        Raises:
            JournalError: the journal cannot be read.
        """
        return await self.live.is_journaled(task_id) or bool(self.journal.reader.rows(submission_query(task_id)))

    async def ending(self, task_id: str, timeout: float | None) -> Ending | None:
        """How a task ended, waiting for that; None if it is unknown.

        Within a task of this manager, its slot is somebody else's meanwhile.

        Args:
            task_id: the task.
            timeout: how many seconds to wait; None is for ever.

        Raises:
            WaitTimeoutError: it was unfinished by then.
            ManagerError: the caller's task and this one would wait for each other for ever.
            UnwrittenChangesError: the manager stopped, and the end is not in the journal.
        """
        waiter = self._waiter()
        if waiter is None:
            return await self._ending_in_time(task_id, timeout)
        is_for_ever = timeout is None and self.task_around() == waiter.id
        other = self.live.find(task_id) if is_for_ever else None
        return await self.live.turns.while_waiting(waiter, other, self._ending_in_time(task_id, timeout))

    def _waiter(self) -> LiveTask | None:
        """The task of this manager within which the caller runs, if there is one and it has not ended."""
        task_id = current_id(self._desk)
        task = None if task_id is None else self.live.find(task_id)
        return task if task is not None and task.phase is Phase.RUNNING else None

    async def _ending_in_time(self, task_id: str, timeout: float | None) -> Ending | None:
        if timeout is None:
            return await self._ending(task_id)
        try:
            async with asyncio.timeout(timeout) as limit:
                return await self._ending(task_id)
        except TimeoutError:
            if not limit.expired():
                raise
            raise WaitTimeoutError(
                f"Task {task_id} was unfinished after {timeout:g} seconds; it runs on.", task_id=task_id
            ) from None

    async def _ending(self, task_id: str) -> Ending | None:
        task = self.live.find(task_id)
        if task is not None:
            outcome = await self.live.outcome(task)
            if outcome is not None:
                return Ending(task.name, outcome)
        elif ending := self._remembered(task_id):
            return ending
        return await self._ending_in_journal(task_id)

    def _remembered(self, task_id: str) -> Ending | None:
        """How a task ended that this process ran, as long as it is that task that has the id in the journal."""
        self.live.unheard.asked(task_id)
        remembered = self.live.remembered.ending(task_id)
        if remembered is None:
            return None
        created_at, ending = remembered
        with suppress(JournalError):
            if self.journal.reader.rows(submission_query(task_id)) != [(microseconds_text(created_at),)]:
                self.live.remembered.forget(task_id)
                return None
        # Where the journal cannot be asked, nobody knows better.
        return ending

    async def _ending_in_journal(self, task_id: str) -> Ending | None:
        """The end of a task that is not this process's: read, and read again once it has ended."""
        info = await self._in_journal(task_id)
        if info is None or info.status.is_ended:
            return None if info is None else self._ending_of(info)
        follower = await self.tail.join(task_id, Wanted.END)
        try:
            while True:
                follower.catch_up()
                if self.tail.is_over:
                    raise NotStartedError(f"The manager was stopped while somebody waited for task {task_id}.")
                info = await self._in_journal(task_id)
                if info is None or info.status.is_ended:
                    return None if info is None else self._ending_of(info)
                await follower.news()
        finally:
            self.tail.leave(follower)

    def _ending_of(self, info: TaskInfo) -> Ending:
        exception = self.live.remembered.exception_of(info)
        return Ending(
            info.name,
            Outcome(
                *(info.status, info.reason, info.result, info.error, info.error_type, info.traceback),
                exception=exception,
            ),
        )

    def report(self, task_id: str, progress: float, message: str | None) -> bool:
        """Record progress, from any thread: see ``LiveTasks.report``.

        Raises:
            ManagerError: called in a forked child, which has nobody to write it.
        """
        self.assert_not_inherited()
        return self.live.report(task_id, progress, message)

    def assert_not_inherited(self) -> None:
        """Refuse in a forked child, where neither a lock nor the journal can be used.

        Raises:
            ManagerError: this is one.
        """
        if self.journal.is_inherited:
            raise inherited_error(self.journal.path)

    def info_of(self, unwritten: Unwritten) -> Callable[[Row], TaskInfo]:
        """What makes the task of a row, as this process knows it since before it was read; for any thread."""
        return partial(_info, unwritten, self._settings.coders.decoder)

    def asked(self, infos: Sequence[TaskInfo]) -> TaskInfo | None:
        """The only task, of which somebody is told now; None where there is none."""
        if not infos:
            return None
        [info] = infos
        if info.status is TaskStatus.FAILED:
            self.live.unheard.asked(info.id)
        return info

    async def _in_journal(self, task_id: str) -> TaskInfo | None:
        made = self.info_of(self.live.unwritten(task_id))
        return self.asked(await self.journal.areader.values(task_query(task_id), made))

    async def cancel(self, task_id: str) -> bool:
        """Cancel a task, of this process or another, and wait for its end; whether that is CANCELLED, and committed.

        Raises:
            JournalError: another process's task cannot be asked for.
            NotStartedError: the manager stopped meanwhile.
        """
        return await self.giving_way(self._cancel(task_id))

    async def giving_way(self, wait: Awaitable[T]) -> T:
        """Wait for what others do; within a task of this manager, its slot is somebody else's meanwhile.

        Args:
            wait: the wait.

        Returns:
            What it returns.
        """
        waiter = self._waiter()
        return await (wait if waiter is None else self.live.turns.while_waiting(waiter, None, wait))

    async def _cancel(self, task_id: str) -> bool:
        if self.live.find(task_id) is not None:
            return await self.live.cancel(task_id)
        info = await self._in_journal(task_id)
        if info is None or info.status.is_ended or not await self.journal.request_cancel(task_id):
            return False
        # A dead owner hears nothing.
        await self.journal.recover()
        ending = await self._ending_in_journal(task_id)
        return ending is not None and ending.outcome.status is TaskStatus.CANCELLED
