"""The tasks that a worker runs. Their names are stable: callers on other machines know them by these."""

import os
import socket
from typing import Any

from ailf.errors import AilfError, InvalidArgumentError
from ailf.workers.analysis import analyse, read_options
from ailf.workers.celery_app import app
from ailf.workers.documents import documents_folder, find, read
from ailf.workers.settings import WORKER_LOST_RETRIES

PROGRESS = "PROGRESS"
"""The state, between STARTED and the end, of a task that reports progress."""

_KEPT_GOING: dict[str, Any] = {
    # Only a process that was killed is a reason to try again; Celery would wait three minutes before it does.
    "max_retries": WORKER_LOST_RETRIES,
    "default_retry_delay": 1,
    # What is wrong with a document is its sender's to know, and no accident of the worker's.
    "throws": (AilfError,),
}
_READ_SHARE = 60.0
"""Per cent of the progress that reading makes up; analysing is the rest."""


@app.task(bind=True, name="tasks.process_document", **_KEPT_GOING)  # type: ignore[untyped-decorator]  # celery has no types
def process_document(
    self: Any,
    document_id: str,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Analyse a document of the folder ``$AILF_DOCUMENTS``.

    Args:
        self: the running task.
        document_id: the path of a text, Markdown or HTML file below that folder; its suffix may be left out.
        options: ``top`` (how many of the most frequent terms to give: 10), ``stop_words`` (a list; None
            is a built-in English one), ``case_sensitive`` (False).

    Returns:
        ``document_id``, ``status``, ``kind``, ``title``, ``sha256``, ``bytes``, ``lines``, ``words``, ``characters``,
        ``reading_time`` (seconds), ``terms``.

    Raises:
        DocumentNotFoundError: there is no such document.
        DocumentFormatError: it is no text.
        DocumentTooLargeError: it is too large.
        InvalidArgumentError: an option is unknown, or its value is not one that it takes.
    """
    checked = read_options(options)
    path = find(documents_folder(), document_id)
    document = read(path, document_id, lambda share: _report(self, share * _READ_SHARE, "reading"))
    _report(self, _READ_SHARE, "analysing")
    return analyse(document, checked)


@app.task(bind=True, name="tasks.batch_process", **_KEPT_GOING)  # type: ignore[untyped-decorator]  # celery has no types
def batch_process(
    self: Any,
    document_ids: list[str],
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Analyse several documents, one after the other; one that fails does not stop the others.

    Args:
        self: the running task.
        document_ids: the documents.
        options: as for ``process_document``.

    Returns:
        ``completed`` and ``failed`` (how many), and ``documents``: for each the result of ``process_document``, or
        ``document_id``, ``status`` ("failed"), ``error`` and ``error_type``.

    Raises:
        InvalidArgumentError: an option is unknown, or ``document_ids`` is no list.
    """
    if not isinstance(document_ids, list | tuple):
        raise InvalidArgumentError(f"document_ids is {document_ids!r}: it takes a list of ids.")
    checked = read_options(options)
    folder = documents_folder()
    documents: list[dict[str, Any]] = []
    for number, document_id in enumerate(document_ids):
        _report(self, 100.0 * number / len(document_ids), f"{number} of {len(document_ids)}: {document_id}")
        try:
            documents.append(analyse(read(find(folder, document_id), document_id, lambda _share: None), checked))
        except AilfError as error:
            documents.append(
                {
                    "document_id": document_id,
                    "status": "failed",
                    "error": str(error),
                    "error_type": type(error).__qualname__,
                }
            )
    _report(self, 100.0, f"{len(document_ids)} of {len(document_ids)}")
    failed = sum(document["status"] == "failed" for document in documents)
    return {"completed": len(documents) - failed, "failed": failed, "documents": documents}


def _report(task: Any, progress: float, message: str) -> None:
    """Publish the progress, 0 to 100, and where the task runs, so that its waiter can tell when that is no more."""
    if task.request.called_directly:
        return
    meta = {
        "progress": round(progress, 1),
        "message": message,
        "pid": os.getpid(),
        "hostname": task.request.hostname,
        "host": socket.gethostname(),
    }
    task.update_state(state=PROGRESS, meta=meta)
