"""What a worker answers about the tasks that it has: imported by workers alone."""

from collections.abc import Iterator
from typing import Any

from celery.worker import state as worker_state
from celery.worker.control import inspect_command

FIND = "ailf_find"
"""The name of the command."""


@inspect_command(name=FIND, args=[("ids", list)], signature="[id1 [id2 [... [idN]]]]")  # type: ignore[untyped-decorator]  # celery has no types
def find(state: Any, ids: list[str] | None = None, **_options: Any) -> list[str]:
    """Say which of the tasks this worker has, itself or as what became of them.

    Celery's own ``query_task`` knows nothing of a task that a rate limit holds back, nor of the tasks that another
    was replaced by, or goes on as: those have its id as that of their root.
    """
    wanted = set(ids or ())
    return sorted({known for request in _requests(state) for known in (request.id, request.root_id) if known in wanted})


def _requests(state: Any) -> Iterator[Any]:
    yield from tuple(worker_state.requests.values())
    for bucket in tuple(getattr(state.consumer, "task_buckets", {}).values()):
        for request, _tokens in tuple(bucket.contents) if bucket else ():
            yield request
