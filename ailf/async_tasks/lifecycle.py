"""A manager's way from its start to its stop, and back: whatever is cut short on it, nothing is left half-open."""

import _thread
import asyncio
import time
import weakref
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from ailf.async_tasks import arguments
from ailf.async_tasks.guard import log
from ailf.async_tasks.journal import Journal
from ailf.async_tasks.running import Observer
from ailf.async_tasks.session import Session, in_own_thread, journal_opening
from ailf.async_tasks.settings import Settings
from ailf.async_tasks.states import TaskStatus
from ailf.errors import AilfError, ManagerError, NotStartedError

LOOK_SECONDS = 0.5
"""How often it is looked whether the event loop of a forgotten manager is closed."""


class Lifecycle:
    """Starts and stops a ``Session``, and hands it to those who may use it."""

    def __init__(self, settings: Settings, observers: list[Observer]) -> None:
        """Begin as stopped.

        Args:
            settings: how the manager was configured.
            observers: told of each task; whoever is added later hears of what comes then.
        """
        self._settings = settings
        self._observers = observers
        self._session: Session | None = None
        self._starting: asyncio.Future[Journal] | None = None
        self._starters = 0
        self._stopping: asyncio.Task[None] | None = None
        self._forgetting: weakref.finalize[..., Lifecycle] | None = None

    def __repr__(self) -> str:
        """The journal, whether it is started, and how many tasks it has."""
        path = "a private journal" if self.journal is None else repr(str(self.journal))
        session = self._session
        if session is None:
            return f"<{type(self).__name__} of {path}, stopped>"
        state = "started" if self._stopping is None else "stopping"
        running, pending = (session.live.number_in(one) for one in (TaskStatus.RUNNING, TaskStatus.PENDING))
        return f"<{type(self).__name__} of {path}, {state}, {running} running, {pending} pending>"

    @property
    def journal(self) -> Path | None:
        """The path of the journal, for the ``sqlite3`` shell; None for ":memory:" while not started."""
        return self._session.journal.path if self._session is not None else self._settings.path

    async def start(self) -> None:
        """Open the journal, creating or migrating it as needed, and recover what dead processes left.

        Starting a started manager does nothing; a stopped one can be started again, and one that is stopping is,
        once it has stopped. One whose event loop was closed without a stop is put in order first: the tasks that
        it still had are journaled as cancelled.

        Raises:
            JournalError: the journal cannot be opened; NotAJournalError where the file is something
                else, JournalVersionError where a newer release made it.
            ManagerError: the manager was started on another event loop, which is still in use.
        """
        await self._put_in_order()
        while self._session is not None:
            self._here()
            if self._stopping is None:
                return
            with suppress(AilfError):
                await asyncio.shield(self._stopping)
        if self._starting is None:
            self._starting = journal_opening(self._settings)
            self._starting.add_done_callback(self._opened)
        starting = self._starting
        self._starters += 1
        try:
            await asyncio.shield(starting)
        finally:
            self._starters -= 1

    def _opened(self, opening: asyncio.Future[Journal]) -> None:
        # A callback, so that a start whose caller was cancelled still ends in one state or the other.
        self._starting = None
        if not opening.cancelled() and opening.exception() is None:
            self._session = Session(opening.result(), opening.get_loop(), self._settings, self._observers)
            self._session.begin()
            self._forgetting = weakref.finalize(self, _forgotten, self._session)
            # At the end of the program the journal sees to itself.
            self._forgetting.atexit = False

    async def stop(self, drain: float | timedelta = 0) -> None:
        """End every task, write how each ended, and free the journal.

        Tasks that wait for a slot are cancelled at once. Stopping a stopped manager does nothing. Whatever happens,
        afterwards the journal is closed and nobody waits: a wait for a task whose end could not be written
        raises what ``stop`` raises.

        Args:
            drain: for how many seconds running tasks may go on before they are cancelled.

        Raises:
            UnwrittenChangesError: the journal took no writes; it lists what is not in it.
            ManagerError: called from inside of one of the manager's tasks, or on another event loop.
            InvalidTypeError: ``drain`` is no length of time.
            InvalidArgumentError: ``drain`` is negative.
        """
        seconds = arguments.seconds(drain, "drain", zero=True)
        await self._put_in_order()
        if self._starting is not None:
            with suppress(AilfError):
                await asyncio.shield(self._starting)
        if self._session is None:
            return
        session = self._here()
        if inside := session.task_around():
            raise ManagerError(
                f"stop() was called from inside task {inside}, whose end it would wait for; "
                "call it from outside, or let the task return first."
            )
        if self._stopping is None:
            self._stopping = session.loop.create_task(self._stop(session, seconds), name="ailf stop")
        await asyncio.shield(self._stopping)

    async def _stop(self, session: Session, drain: float) -> None:
        try:
            await session.end(drain)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self._session = self._stopping = None
        if self._forgetting is not None:
            self._forgetting.detach()

    async def _put_in_order(self) -> None:
        """Close what a closed event loop has left open; nobody else can any more."""
        if self._starting is not None and self._starting.get_loop().is_closed():
            # Its thread closes what it opens for a loop that is gone.
            self._starting = None
        session = self._session
        if session is not None and session.loop.is_closed():
            # A forked child has a copy of it, which is the parent's to close.
            session.assert_not_inherited()
            self._let_go()
            await in_own_thread(session.abandon)

    async def __aenter__(self) -> Self:
        """Start, as ``start`` does; where that is cancelled, leave nothing open: nobody else will close it."""
        try:
            await self.start()
        except asyncio.CancelledError:
            if self._starting is not None and not self._starters:
                # Its thread, which may wait for somebody's lock, closes what it opens once nobody wants it.
                self._starting.cancel()
            else:
                await self.stop()
            raise
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Stop, as ``stop`` does."""
        await self.stop()

    def _started(self) -> Session:
        """The session; for calls that work in any thread."""
        session = self._session
        if session is None:
            raise NotStartedError(
                "The manager is not started; call `await manager.start()` first, or use `async with`."
            )
        session.assert_not_inherited()
        return session

    def _here(self) -> Session:
        """The session; for calls that work on its event loop alone."""
        session = self._started()
        if session.loop is not asyncio.get_running_loop():
            raise ManagerError(
                "The manager was started on an event loop that is closed; call `await manager.start()` on this one."
                if session.loop.is_closed()
                else "The manager was started on another event loop; use it there, or make one for this loop."
            )
        return session

    def _accepting(self) -> Session:
        """The session; for calls that begin something new."""
        session = self._here()
        if self._stopping is not None:
            raise NotStartedError("The manager is stopping, and takes nothing new.")
        return session


def _forgotten(session: Session) -> None:
    """Have a session closed whose manager nobody has any more, once its event loop is."""
    if not session.journal.is_inherited:
        # Not by threading, whose locks may be held by whoever is interrupted by this.
        _thread.start_new_thread(_close_in_time, (session,))


def _close_in_time(session: Session) -> None:
    # Until then its tasks run on; a loop tells nobody that it is closed.
    while not session.loop.is_closed():
        time.sleep(LOOK_SECONDS)
    try:
        session.abandon()
    except Exception:  # noqa: BLE001 - nobody else would hear of it
        log.exception("A manager that nobody stopped could not be closed; its journal is freed when the program ends.")
