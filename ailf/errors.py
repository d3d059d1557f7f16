"""Every error that ailf raises on purpose, as one tree.

::

    AilfError
    ├── InvalidArgumentError (also a ValueError)     an argument has a value that the call does not take
    │   └── DuplicateTaskError                       a task with this id is in the journal already
    ├── InvalidTypeError (also a TypeError)          an argument is of a type that the call does not take
    ├── ManagerError (also a RuntimeError)           the call cannot work here and now
    │   └── NotStartedError                          the manager was not started, or was stopped
    ├── TaskError                                    how a task that was waited for ended, or did not
    │   ├── TaskNotFoundError (also a LookupError)   no task with this id is in the journal
    │   ├── TaskFailedError                          the task ended FAILED
    │   ├── TaskCancelledError                       the task ended CANCELLED
    │   └── WaitTimeoutError (also a TimeoutError)   the task was still unfinished when the wait ran out
    └── JournalError                                 the journal cannot be opened, read or written
        ├── NotAJournalError                         the file is something else: it was left as it was
        ├── JournalVersionError                      the journal's schema is not one that this release works with
        ├── TaskConflictError                        the journal holds another state of the task than this process
        └── UnwrittenChangesError                    the manager stopped with changes that it could not write
"""

__all__ = [
    "AilfError",
    "DuplicateTaskError",
    "InvalidArgumentError",
    "InvalidTypeError",
    "JournalError",
    "JournalVersionError",
    "ManagerError",
    "NotAJournalError",
    "NotStartedError",
    "TaskCancelledError",
    "TaskConflictError",
    "TaskError",
    "TaskFailedError",
    "TaskNotFoundError",
    "UnwrittenChangesError",
    "WaitTimeoutError",
]


class AilfError(Exception):
    """The root of the tree: ``except AilfError`` catches whatever ailf raises on purpose."""


class InvalidArgumentError(AilfError, ValueError):
    """An argument has a value that the call does not take; nothing was done."""


class DuplicateTaskError(InvalidArgumentError):
    """A task with this id is in the journal already; the new one was not submitted."""


class InvalidTypeError(AilfError, TypeError):
    """An argument is of a type that the call does not take; nothing was done."""


class ManagerError(AilfError, RuntimeError):
    """The call cannot work here and now: another event loop, a forked process, a wait of a task for itself."""


class NotStartedError(ManagerError):
    """The manager was not started, or was stopped."""


class TaskError(AilfError):
    """How a task that was waited for ended, or did not end.

    Attributes:
        task_id: the id of the task.
    """

    def __init__(self, message: str, *, task_id: str) -> None:
        super().__init__(message)
        self.task_id = task_id


class TaskNotFoundError(TaskError, LookupError):
    """No task with this id is in the journal: it never was, or clean-up has deleted it."""


class TaskFailedError(TaskError):
    """The task ended FAILED.

    Attributes:
        reason: ``error``, ``timeout``, ``shutdown`` or ``process_died``.
        error: the text of the exception, as in ``TaskInfo.error``.
        error_type: the qualified name of the exception's type, or None where there was no exception.
    """

    def __init__(
        self,
        message: str,
        *,
        task_id: str,
        reason: str | None = None,
        error: str | None = None,
        error_type: str | None = None,
    ) -> None:
        super().__init__(message, task_id=task_id)
        self.reason = reason
        self.error = error
        self.error_type = error_type


class TaskCancelledError(TaskError):
    """The task ended CANCELLED.

    Attributes:
        reason: ``cancelled`` or ``shutdown``.
    """

    def __init__(self, message: str, *, task_id: str, reason: str | None = None) -> None:
        super().__init__(message, task_id=task_id)
        self.reason = reason


class WaitTimeoutError(TaskError, TimeoutError):
    """The task was still unfinished when the wait for it ran out; it runs on."""


class JournalError(AilfError):
    """The journal cannot be opened, read or written."""


class NotAJournalError(JournalError):
    """The file is no journal of ailf (another program's database, or no database); it was left as it was."""


class JournalVersionError(JournalError):
    """The journal's schema is newer than this release knows, or older and not to be migrated."""


class TaskConflictError(JournalError):
    """The journal holds another state of the task than this process expects; the journal was left as it was."""


class UnwrittenChangesError(JournalError):
    """The manager stopped with changes that it could not write.

    Attributes:
        unwritten: one line for each change that is not in the journal, in order.
    """

    def __init__(self, message: str, *, unwritten: tuple[str, ...]) -> None:
        super().__init__(message)
        self.unwritten = unwritten
