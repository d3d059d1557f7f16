"""``TaskManager``, the face of the library: it checks what it is given, and wires the rooms behind it."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from ailf.async_tasks import arguments
from ailf.async_tasks.arguments import Parent
from ailf.async_tasks.conditions import Conditions, StatusArgument
from ailf.async_tasks.encoding import Coder
from ailf.async_tasks.ids import new_id
from ailf.async_tasks.journal import Durability, MigrateMode
from ailf.async_tasks.model import Health
from ailf.async_tasks.running import RESULT_MEMORY_BYTES, Job, Observer, Submittable, TaskLog, discard
from ailf.async_tasks.session import in_own_thread
from ailf.async_tasks.settings import Settings
from ailf.async_tasks.states import IfExists
from ailf.async_tasks.waiting import Waiting
from ailf.errors import (
    DuplicateTaskError,
    InvalidTypeError,
)


class TaskManager(Waiting):
    """Runs asyncio tasks in this process and keeps everything that happens to them in a SQLite journal."""

    def __init__(
        self,
        journal: str | Path | None = None,
        *,
        task_timeout: float | timedelta | None = None,
        max_concurrency: int | None = None,
        retention: arguments.RetentionArgument = timedelta(hours=1),
        cleanup_interval: float | timedelta = 60.0,
        durability: str = "process",
        migrate: str = "auto",
        indexed_metadata: Iterable[str] = (),
        capture_logs: str | int | None = None,
        log_limit: int = 1_000,
        result_memory: int = RESULT_MEMORY_BYTES,
        encoder: Coder | None = None,
        decoder: Coder | None = None,
    ) -> None:
        """Configure a manager; nothing is opened before ``start``.

        Args:
            journal: the path of the journal. None is ``$AILF_JOURNAL``, else ``ailf_tasks.db`` in the
                working directory; ":memory:" is a private temporary file that is gone after ``stop``.
            task_timeout: the time limit of tasks that are submitted without one, in seconds or as a
                timedelta; None is none.
            max_concurrency: how many tasks may run at a time; further ones wait as PENDING. None is no limit.
            retention: how long an ended task of this manager is kept, whichever manager of the journal cleans
                up: a timedelta, seconds, None for ever, or a mapping
                of end states to one of these (a state that is missing is kept for ever).
            cleanup_interval: how often recovery and the scheduled delete run, in seconds or as a timedelta.
            durability: "process" (commits survive the death of the process) or "power" (also the loss of
                power: every commit is synced to the disk).
            migrate: "auto" brings the journal of an older release up to date, after a backup; "check"
                refuses it.
            indexed_metadata: keys of the metadata by which tasks are looked for often, with short values of
                which each has few tasks: the journal gets an index of each, whatever ``migrate`` is, with which
                ``list_tasks(metadata=...)`` takes no longer in a large history.
            capture_logs: a level of ``logging``, by name or by number: whatever is logged inside of a task, at this
                level or above, is kept in the journal. None captures nothing.
            log_limit: how many lines of a task's log are kept, its first and its last; of more, one line says how
                many are left out.
            result_memory: how many bytes of results to keep in memory that JSON does not hold exactly, as far as
                their size can be told; the ones that were least recently read go first, and are from then on
                what they are after a restart. The last one stays, however large it is.
            encoder: makes of a result that JSON does not hold exactly what JSON holds; called on the event loop, and
                for a large result in a thread. What it raises is logged, and the result kept without it.
            decoder: makes the result of that again, whenever it is read, in whichever thread that is; goes with
                ``encoder``.

        Raises:
            InvalidTypeError: an argument is of a wrong type.
            InvalidArgumentError: an argument has a wrong value.
        """
        most = None if max_concurrency is None else arguments.count(max_concurrency, "max_concurrency", least=1)
        settings = Settings(
            path=arguments.journal(journal),
            task_timeout=arguments.optional_seconds(task_timeout, "task_timeout"),
            max_concurrency=most,
            retention=arguments.retention_policy(retention),
            cleanup_interval=arguments.seconds(cleanup_interval, "cleanup_interval"),
            durability=arguments.one_of(Durability, durability, "durability"),
            migrate=arguments.one_of(MigrateMode, migrate, "migrate"),
            indexed_metadata=arguments.keys(indexed_metadata, "indexed_metadata"),
            log_level=None if capture_logs is None else arguments.log_level(capture_logs, "capture_logs")[0],
            log_limit=arguments.count(log_limit, "log_limit", least=2),
            result_memory=arguments.count(result_memory, "result_memory"),
            coders=arguments.coders(encoder, decoder),
        )
        super().__init__(settings, [TaskLog()])

    async def submit(
        self,
        awaitable: Submittable,
        *,
        task_id: str | None = None,
        name: str | None = None,
        timeout: float | timedelta | None = None,
        metadata: Mapping[str, Any] | None = None,
        parent: str | Parent | None = Parent.CURRENT,
        if_exists: str = "raise",
    ) -> str:
        """Have something run as a task; returns once the task is in the journal.

        Args:
            awaitable: a coroutine or another awaitable, or a callable without arguments: an async one is
                called when the task starts, a plain one runs in a thread. It runs with a copy of the
                caller's context variables.
            task_id: an id of the caller's choice, of 1 to 255 printable characters; None has one chosen.
            name: what the task is called; None is the qualified name of what was submitted.
            timeout: its time limit, from its start on, in seconds or as a timedelta; None is the
                manager's ``task_timeout``.
            metadata: what to attach: a dict that is a JSON object.
            parent: the id of the task whose child it is; None is nobody's. Left out, it is the task in which this
                is called, if it is one of the same journal.
            if_exists: what to do where ``task_id`` is in the journal already, in whatever state: "raise" a
                DuplicateTaskError, or "return" the id, so that a wait for it is one for the task that is there.

        Returns:
            The task's id. The caller has it before the first line of the task runs.

        Raises:
            InvalidTypeError: an argument is of a wrong type: not awaitable, no JSON object.
            InvalidArgumentError: an argument has a wrong value: a time limit not above 0, a coroutine that was
                awaited already, a parent that is unknown or the task itself. DuplicateTaskError where the id
                is in the journal already.
            NotStartedError: the manager was not started, or is stopping.
            ManagerError: called on another event loop than ``start``.
            JournalError: the journal takes no writes.

        Whatever is raised, nothing of the task has run, no row is in the journal, and a coroutine is closed.
        """
        try:
            session = self._accepting()
            job = Job(awaitable)
        except BaseException:
            discard(awaitable)
            raise
        try:
            chosen_id = new_id() if task_id is None else arguments.new_task_id(task_id)
            chosen_name = job.name if name is None else arguments.task_name(name)
            limit = self._settings.task_timeout if timeout is None else arguments.seconds(timeout, "timeout")
            text = arguments.metadata_text(metadata)
            parent_id = session.families.parent_of(chosen_id, parent)
            returns = arguments.one_of(IfExists, if_exists, "if_exists") is IfExists.RETURN
            if returns and task_id is not None and await session.exists(chosen_id):
                job.discard()
                return chosen_id
        except BaseException:
            job.discard()
            raise
        try:
            await session.live.submit(job, chosen_id, chosen_name, limit, text, parent_id=parent_id)
        except DuplicateTaskError:
            # Another process came first.
            if not returns:
                raise
        return chosen_id

    def update_progress(self, task_id: str, progress: float, message: str | None = None) -> bool:
        """Report how far a task of this manager is; returns at once, from any thread.

        Args:
            task_id: the task.
            progress: 0 to 100; an int is kept as an int.
            message: what it is doing now; None leaves the earlier message.

        Returns:
            Whether the report counted; False for an unknown task, and for one that has ended.

        Raises:
            InvalidTypeError: ``progress`` is no number, or ``message`` no text.
            InvalidArgumentError: ``progress`` is outside of 0 to 100, or NaN.
            NotStartedError: the manager was not started.
        """
        return self._started().live.report(arguments.known_task_id(task_id), progress, message)

    async def cancel_task(self, task_id: str, *, children: bool = False) -> bool:
        """Cancel a task, and wait until it has ended and that is committed.

        Args:
            task_id: the task; one that waits for a slot never starts. One that another living process
                runs is asked for through the journal: its manager notices within a second.
            children: cancel what was submitted in it as well, down to the leaves: first the task, then those that
                it left unfinished. Should the caller be one of them, the rest is cancelled all the same.

        Returns:
            True if it ended CANCELLED; False if it is unknown, had ended before, or ended otherwise. With
            ``children``, also False if one of those ended otherwise; the log says which, and how.

        Raises:
            NotStartedError: the manager was not started.
            ManagerError: called on another event loop than ``start``.
        """
        session, known_id = self._here(), arguments.known_task_id(task_id)
        return await (session.families.cancel(known_id) if children else session.cancel(known_id))

    async def cancel_tasks(self, status: StatusArgument = None, **conditions: Unpack[Conditions]) -> int:
        """Cancel every unfinished task that fits all conditions, of whichever process; without one, all there are.

        Args:
            status: as for ``list_tasks``; tasks that have ended are left out in any case.
            conditions: see ``Conditions``.

        Returns:
            How many ended CANCELLED; each of these is committed.

        Raises:
            InvalidTypeError: a condition is of a wrong type.
            InvalidArgumentError: there is no such status.
            NotStartedError: the manager was not started.
            ManagerError: called on another event loop than ``start``.
            JournalError: the journal cannot be read, or takes no request for another process's task.
        """
        session = self._here()
        chosen = [info.id for info in await self.alist_tasks(status, **conditions) if not info.is_ended]
        return await session.families.cancel_all(chosen)

    def add_observer(self, observer: Observer) -> None:
        """Have somebody told of each task from now on, over any number of starts and stops.

        Args:
            observer: see ``Observer``.

        Raises:
            InvalidTypeError: it is none.
        """
        if not isinstance(observer, Observer):
            raise InvalidTypeError(f"observer is {observer!r}; give an instance of a subclass of Observer.")
        self._observers.append(observer)

    def health(self) -> Health:
        """Whether the journal takes writes, as of the last try, and what waits to be written; from any thread.

        While it takes none, running tasks run on, what they do waits in memory in its order, and new
        submissions are refused. Up to 100,000 changes wait as they are; of more, the middle of each task's
        progress is dropped, and nothing else.

        Raises:
            NotStartedError: the manager was not started.
        """
        return self._started().journal.health()

    async def backup(self, path: str | Path) -> int:
        """Copy the journal while it is in use: all that is acknowledged when this is called is in the copy.

        A program must never copy, hash or send its own journal by reading the file: closing it again drops SQLite's
        locks (https://sqlite.org/howtocorrupt.html). A copy is one plain file, which it may read as it likes;
        ``ailf journal restore`` puts it in a journal's place.

        Args:
            path: where to; nothing may be there.

        Returns:
            The size of the copy in bytes.

        Raises:
            NotStartedError: the manager was not started.
            ManagerError: called on another event loop than ``start``.
            InvalidTypeError: ``path`` is no path.
            InvalidArgumentError: there is something at the path.
            JournalError: the journal cannot be read, or the copy not be written.
        """
        session = self._here()
        return await in_own_thread(partial(session.journal.backup, arguments.file_path(path, "path")))

    async def cleanup(self) -> int:
        """Run a round of recovery and of the scheduled delete now.

        Returns:
            How many tasks were deleted.

        Raises:
            NotStartedError: the manager was not started.
            ManagerError: called on another event loop than ``start``.
            JournalError: the journal takes no writes.
        """
        return await self._accepting().clean_up()
