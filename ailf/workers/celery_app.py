"""The Celery application: ``celery -A ailf.workers.celery_app worker``.

Without configuration the broker and the results are in a folder and need no server, for the processes of
one machine that run in the same working directory. One line takes it to Redis and to several machines::

    export CELERY_BROKER_URL=redis://queue.example.org:6379/0
"""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_ready
from kombu.transport import TRANSPORT_ALIASES

from ailf.workers.settings import EMBEDDED_SCHEME, settings

__all__ = ["app"]

# The name that the broker in a folder has in a URL, and so in what a worker prints when it starts.
TRANSPORT_ALIASES[EMBEDDED_SCHEME] = "ailf.workers.transport:Transport"

app = Celery("ailf", include=["ailf.workers.tasks"])
app.conf.update(settings(os.environ))


@worker_ready.connect  # type: ignore[untyped-decorator]  # celery has no types
def _delete_expired_results(**_signal: Any) -> None:
    # A database keeps expired results until somebody deletes them; Redis does that by itself.
    if not app.backend.supports_autoexpire:
        app.backend.cleanup()
