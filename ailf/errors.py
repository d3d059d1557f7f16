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
    ├── JournalError                                 the journal cannot be opened, read or written
    │   ├── NotAJournalError                         the file is something else: it was left as it was
    │   ├── EventsDeletedError                       the clean-up has deleted events that were to come next
    │   ├── JournalVersionError                      the journal's schema is not one that this release works with
    │   ├── TaskConflictError                        the journal holds another state of the task than this process
    │   └── UnwrittenChangesError                    the manager stopped with changes that it could not write
    ├── ToolCallError                                a tool of an MCP server answered a journaled call with an error
    ├── MissingExtraError (also an ImportError)      the packages that a part of ailf needs are not installed
    ├── MessagingError                               Redis messaging
    │   ├── RedisConnectionError (also a ConnectionError)  the server is not there, or turned the client away
    │   ├── RedisNotConnectedError (also a RuntimeError)   the client was used before ``connect()``
    │   └── RedisCommandError                        the server answered a command with an error
    └── WorkerError                                  Celery tasks
        ├── BrokerError (also a ConnectionError)     the broker or the result back-end cannot be reached
        ├── RemoteTaskError                          how a Celery task that was waited for ended, or did not
        │   ├── RemoteTaskFailedError                it raised
        │   ├── RemoteTaskRevokedError               somebody revoked it
        │   ├── RemoteTimeoutError (also a TimeoutError)  it was still unfinished when the wait ran out
        │   ├── WorkerLostError                      no worker that could end it is alive
        │   └── ResultExpiredError                   it ran, but the result back-end no longer holds how it ended
        └── DocumentError                            a document cannot be analysed
            ├── DocumentNotFoundError (also a LookupError)  no document has this id
            ├── DocumentFormatError                  it is not text
            └── DocumentTooLargeError                it is larger than the limit

Each of them, and each class that is made of one, can be pickled, copied and deep-copied with its attributes, whatever
its ``__init__`` asks for: it comes back whole from another process.
"""

__all__ = [
    "AilfError",
    "BrokerError",
    "DocumentError",
    "DocumentFormatError",
    "DocumentNotFoundError",
    "DocumentTooLargeError",
    "DuplicateTaskError",
    "EventsDeletedError",
    "InvalidArgumentError",
    "InvalidTypeError",
    "JournalError",
    "JournalVersionError",
    "ManagerError",
    "MessagingError",
    "MissingExtraError",
    "NotAJournalError",
    "NotStartedError",
    "RedisCommandError",
    "RedisConnectionError",
    "RedisNotConnectedError",
    "RemoteTaskError",
    "RemoteTaskFailedError",
    "RemoteTaskRevokedError",
    "RemoteTimeoutError",
    "ResultExpiredError",
    "TaskCancelledError",
    "TaskConflictError",
    "TaskError",
    "TaskFailedError",
    "TaskNotFoundError",
    "ToolCallError",
    "UnwrittenChangesError",
    "WaitTimeoutError",
    "WorkerError",
    "WorkerLostError",
]


class AilfError(Exception):
    """The root of the tree: ``except AilfError`` catches whatever ailf raises on purpose."""

    def __reduce__(self) -> tuple[object, ...]:
        """Take to pieces for a pickle or a copy: made again, an error is given its attributes, and not initialized.

        As Python does it, an exception is called with its ``args`` again, which fails for whatever ``__init__``
        takes by keyword; in a pool of processes that is a failure nobody hears of, or a wait without end.
        """
        _, args, *state = tuple(super().__reduce__())
        return _made_again, (type(self), args), *state


def _made_again(kind: type[AilfError], args: tuple[object, ...]) -> AilfError:
    error = kind.__new__(kind, *args)
    # OSError leaves its arguments to an __init__ of a subclass, which does not run here.
    error.args = args
    return error


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


class EventsDeletedError(JournalError):
    """The clean-up has deleted events that were to come next: what is told from here on is not the whole of it.

    Attributes:
        resume_after: the ``seq`` after which all that is left can be read, as in ``watch(after=error.resume_after)``.
    """

    def __init__(self, message: str, *, resume_after: int) -> None:
        super().__init__(message)
        self.resume_after = resume_after


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


class ToolCallError(AilfError):
    """A tool of an MCP server answered a journaled call with an error: the task is FAILED, and its client told so."""


class MissingExtraError(AilfError, ImportError):
    """The packages that a part of ailf needs are not installed: the message has the ``pip install`` line."""


class MessagingError(AilfError):
    """Redis messaging cannot do what was asked."""


class RedisConnectionError(MessagingError, ConnectionError):
    """The Redis server is not there, turned the client away, or does not answer in time."""


class RedisNotConnectedError(MessagingError, RuntimeError):
    """The Redis client was used before ``connect()`` or after ``disconnect()``."""


class RedisCommandError(MessagingError):
    """The Redis server answered a command with an error."""


class WorkerError(AilfError):
    """A Celery task cannot be sent, waited for or run."""


class BrokerError(WorkerError, ConnectionError):
    """The Celery broker or its result back-end cannot be reached."""


class RemoteTaskError(WorkerError):
    """How a Celery task that was waited for ended, or did not end.

    Attributes:
        celery_id: the id that Celery knows the task by.
    """

    def __init__(self, message: str, *, celery_id: str) -> None:
        # Not super(): what is raised here may be of the worker's type as well, which takes who knows what.
        Exception.__init__(self, message)
        self.celery_id = celery_id


class RemoteTaskFailedError(RemoteTaskError):
    """The Celery task raised, in its worker.

    Attributes:
        error_type: the qualified name of the type that it raised there.
        remote_traceback: the worker's traceback as text, or None where the back-end holds none.
    """

    def __init__(self, message: str, *, celery_id: str, error_type: str, remote_traceback: str | None = None) -> None:
        super().__init__(message, celery_id=celery_id)
        self.error_type = error_type
        self.remote_traceback = remote_traceback

    def __str__(self) -> str:
        """Give the message alone, whatever type this instance also is."""
        return str(self.args[0])


class RemoteTaskRevokedError(RemoteTaskError):
    """The Celery task was revoked: it never ran, or was stopped while it ran."""


class RemoteTimeoutError(RemoteTaskError, TimeoutError):
    """The Celery task was still unfinished when the wait for it ran out; it was revoked."""


class WorkerLostError(RemoteTaskError):
    """No worker that could end the Celery task is alive."""


class ResultExpiredError(RemoteTaskError):
    """The Celery task ran, but the result back-end no longer holds how it ended."""


class DocumentError(WorkerError):
    """A document cannot be analysed."""


class DocumentNotFoundError(DocumentError, LookupError):
    """No document has this id."""


class DocumentFormatError(DocumentError):
    """The document is not text."""


class DocumentTooLargeError(DocumentError):
    """The document is larger than the limit."""
