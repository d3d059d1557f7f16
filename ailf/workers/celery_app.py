"""The Celery application: ``celery -A ailf.workers.celery_app worker``.

Without configuration the broker and the results are in a folder and need no server, for the processes of
one machine that run in the same working directory. One line takes it to Redis and to several machines::

    export CELERY_BROKER_URL=redis://queue.example.org:6379/0
"""

import os
from contextlib import suppress
from typing import Any

# Celery would import these, and what they need, inside of the first call.
import celery.app.amqp
import celery.app.control
import celery.app.events
import celery.events  # noqa: F401  each import binds the same name
from celery import Celery, Task
from celery.app.backends import by_url
from celery.signals import worker_ready
from kombu.transport import TRANSPORT_ALIASES, get_transport_cls

from ailf.workers.settings import EMBEDDED_SCHEME, settings

__all__ = ["app"]

# The name that the broker in a folder has in a URL, and so in what a worker prints when it starts.
TRANSPORT_ALIASES[EMBEDDED_SCHEME] = "ailf.workers.transport:Transport"


class LimitedTask(Task):  # type: ignore[misc]  # celery has no types
    """A task whose own time limit counts, also where it is below the soft limit that all tasks have."""

    abstract = True
    Request = "ailf.workers.limits:Request"
    # Celery would give the task the soft limit of all, and then refuse to send one with a limit below that.
    from_config = tuple(pair for pair in Task.from_config if pair[0] != "soft_time_limit")


app = Celery("ailf", task_cls=LimitedTask, include=["ailf.workers.tasks", "ailf.workers.control"])
app.conf.update(settings(os.environ))
# Now, and not inside of the first call: they bring drivers along that take a while to import.
# What is wrong with them is said when they are used.
with suppress(Exception):
    get_transport_cls(app.conf.broker_url.partition("://")[0])
    by_url(app.conf.result_backend)


@worker_ready.connect  # type: ignore[untyped-decorator]  # celery has no types
def _delete_expired_results(**_signal: Any) -> None:
    # A database keeps expired results until somebody deletes them; Redis does that by itself.
    if not app.backend.supports_autoexpire:
        app.backend.cleanup()
