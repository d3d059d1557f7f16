"""Where a page or an agent reads: a journal by its path or its manager, which may be missing, or another one by now."""

import threading
import weakref
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal import open_reader
from ailf.async_tasks.journal.care import is_current, upkeep
from ailf.async_tasks.journal.form import journal_path, leaving_nothing
from ailf.async_tasks.journal.reading import Pulse, Reader, reports
from ailf.errors import InvalidTypeError, JournalError

PATIENCE_SECONDS = 2.0
"""How long a read waits for a lock before it says that the journal is locked."""

MOST_CANCELLED = 10_000
"""How many tasks that were submitted in one are cancelled with it."""


class Source:
    """A journal that is looked at from outside; for any thread."""

    def __init__(self, subject: TaskManager | str | Path) -> None:
        """Open nothing yet.

        Args:
            subject: a manager, or the path of a journal.

        Raises:
            InvalidTypeError: it is neither.
        """
        if not isinstance(subject, TaskManager | str | Path):
            raise InvalidTypeError(f"manager_or_path is {subject!r}; give a TaskManager, or the path of a journal.")
        self.manager = subject if isinstance(subject, TaskManager) else None
        self._path = None if isinstance(subject, TaskManager) else journal_path(subject)
        self._lock = threading.Lock()
        self._forget: weakref.finalize[..., Source] | None = None
        self._reader: Reader | None = None
        self._pulse: Pulse | None = None
        self._identity: tuple[int, int] | None = None

    @property
    def path(self) -> Path:
        """The journal.

        Raises:
            JournalError: it is a manager's that is gone with it, and not started.
        """
        path = self._path if self.manager is None else self.manager.journal
        if path is None:
            raise JournalError("The manager keeps its journal in memory, and is not started; start it.")
        return path

    def reader(self) -> Reader:
        """Reads the journal that is there now: another one where the file was replaced.

        Raises:
            JournalError: there is none, it is none, it is one of another release, or it cannot be read.
        """
        with self._lock:
            return self._current()

    def has_changed(self) -> bool:
        """Whether anybody has written since this was last asked, or the file is another one; True in trouble."""
        with self._lock:
            before = self._pulse
            try:
                self._current()
            except JournalError:
                return True
            return self._pulse is not before or self._pulse is None or self._pulse.has_changed()

    def _current(self) -> Reader:
        path = self.path
        identity = _identity(path)
        is_the_same = self._reader is not None and identity is not None and identity == self._identity
        if self._reader is not None and is_the_same and self._reader.ask(is_current):
            return self._reader
        self._close()
        with ExitStack() as opening:
            if self.manager is None and identity is not None:
                # Whoever looks at somebody else's file leaves nothing beside it.
                opening.enter_context(leaving_nothing(path))
            reader = opening.enter_context(open_reader(path, patience_seconds=PATIENCE_SECONDS))
            pulse = opening.enter_context(closing(Pulse(path)))
            # Whoever mounts a page tells it nothing of an end: what is open then goes with it.
            self._forget = weakref.finalize(self, _close_quietly, opening.pop_all())
        self._reader, self._pulse, self._identity = reader, pulse, identity
        return reader

    def close(self) -> None:
        """Close whatever is open; the next question opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._forget is not None:
            self._forget()
        self._reader = self._pulse = self._identity = self._forget = None

    def owners(self) -> list[upkeep.OwnerState]:
        """Every manager that has not stopped, and whether it is alive.

        Raises:
            JournalError: the journal cannot be read.
        """
        return upkeep.owner_states(self.path)

    def owner(self, owner_id: str) -> dict[str, Any] | None:
        """The row of a manager, and its ``life``: alive, dead, unknown, or stopped; None where it is gone.

        Raises:
            JournalError: the journal cannot be read.
        """
        owner = reports.owner_of(self.reader(), owner_id)
        if owner is None:
            return None
        if owner["stopped_at"] is not None:
            return owner | {"life": "stopped"}
        if owner["found_dead_at"] is not None:
            return owner | {"life": str(upkeep.Life.DEAD)}
        life = next((state.life for state in self.owners() if state.id == owner_id), upkeep.Life.DEAD)
        return owner | {"life": str(life)}

    def ask_to_cancel(self, task_id: str, *, children: bool) -> None:
        """Ask the owner of a task to cancel it, and what was submitted in it as well.

        Args:
            task_id: the task.
            children: whether what was submitted in it is cancelled too, down to the leaves.

        Raises:
            JournalError: the journal cannot be written.
        """
        upkeep.ask_to_cancel(self.path, task_id)
        if children:
            for relative in reports.family(self.reader(), task_id, MOST_CANCELLED).descendants:
                if not relative.line.status.is_ended:
                    upkeep.ask_to_cancel(self.path, relative.line.id)


def _close_quietly(opened: ExitStack) -> None:
    with suppress(JournalError, OSError):
        opened.close()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
