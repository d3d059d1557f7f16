"""Time limits: a task's own one counts, also where it is below the soft limit that all tasks have."""

from typing import Any

from celery.worker.request import Request as CeleryRequest


class Request(CeleryRequest):  # type: ignore[misc]  # celery has no types
    """A task in its worker.

    Celery starts the clock of the hard limit only when the soft one has run out, so that a soft limit above it
    would put it off.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        hard, soft = self.time_limits
        hard = hard or self.task.time_limit
        soft = soft or self.task.soft_time_limit or self.app.conf.task_soft_time_limit
        self.time_limits: tuple[float | None, float | None] = (hard, min(soft, hard) if soft and hard else soft)
