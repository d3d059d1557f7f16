"""How the Celery application is set up: a pure function of the environment."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ailf.errors import InvalidArgumentError
from ailf.workers.address import checked_url
from ailf.workers.results import connect

BROKER_VARIABLE = "CELERY_BROKER_URL"
BACKEND_VARIABLE = "CELERY_RESULT_BACKEND"
EMBEDDED_SCHEME = "spool"
"""What the broker in a folder is called in a URL."""
FOLDER_VARIABLE = "AILF_CELERY_FOLDER"
DEFAULT_FOLDER = "ailf_celery"

SOFT_TIME_LIMIT = 25 * 60
"""Seconds after which a task gets ``SoftTimeLimitExceeded``, and may clean up."""
TIME_LIMIT = 30 * 60
"""Seconds after which the process that runs it is killed."""
VISIBILITY_TIMEOUT = 2 * TIME_LIMIT
"""Seconds after which Redis gives an unacknowledged task to another worker: longer than any task may run."""
RESULT_EXPIRY = 24 * 60 * 60
"""Seconds for which a result is kept."""
WORKER_LOST_RETRIES = 3
"""How often a task is tried again whose process was killed: one that kills its process must not go round for ever."""
CONNECT_TIMEOUT = 5.0
"""Seconds that a connection to the broker or to the result back-end may take."""
POLLING_INTERVAL = 0.05
"""Seconds between two looks into the folder of the embedded default."""

_COMMON: Mapping[str, Any] = {
    # JSON and nothing else: a message can be read anywhere, and runs no code.
    "task_serializer": "json",
    "result_serializer": "json",
    "accept_content": ["json"],
    "result_accept_content": ["json"],
    "timezone": "UTC",
    "enable_utc": True,
    # A task is acknowledged when it has ended, so that a worker that dies leaves it to another.
    "task_acks_late": True,
    "task_reject_on_worker_lost": True,
    "task_retry_on_worker_lost": True,
    # A broker that is away for a moment is no reason to stop what runs. What it gives out again then is not run a
    # second time where it has succeeded meanwhile.
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "worker_deduplicate_successful_tasks": True,
    # Nor is a result back-end that is away when a task ends a reason for the task to have failed.
    "result_backend_always_retry": True,
    "result_backend_max_retries": 20,
    "result_backend_max_sleep_between_retries_ms": 2000,
    "worker_prefetch_multiplier": 1,
    "task_track_started": True,
    "task_soft_time_limit": SOFT_TIME_LIMIT,
    "task_time_limit": TIME_LIMIT,
    "result_expires": RESULT_EXPIRY,
    # Its own name, so that other applications on the same broker keep to theirs.
    "task_default_queue": "ailf",
    "broker_connection_timeout": CONNECT_TIMEOUT,
    "broker_connection_retry_on_startup": True,
    "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5},
    "redis_socket_connect_timeout": CONNECT_TIMEOUT,
    "redis_socket_timeout": 30.0,
    "redis_backend_health_check_interval": 30,
    "result_backend_transport_options": {
        "retry_policy": {"max_retries": 2, "interval_start": 0, "interval_step": 0.2, "interval_max": 0.5}
    },
    "worker_proc_alive_timeout": 30.0,
    # Seconds that a pool process which has died may have left a result behind; Celery waits 10.
    "worker_lost_wait": 2.0,
}


def settings(environment: Mapping[str, str]) -> dict[str, Any]:
    """Choose the settings of the Celery application.

    Args:
        environment: ``os.environ``. ``CELERY_BROKER_URL`` and ``CELERY_RESULT_BACKEND`` name the broker and the
            result back-end; a Redis broker is its own result back-end unless another is named. Without
            them both are in the folder ``AILF_CELERY_FOLDER``, else ``ailf_celery``, and need no server.

    Returns:
        What goes into ``app.conf``.

    Raises:
        InvalidArgumentError: a broker other than Redis is named, and no result back-end; or an address does not
            parse, or has a TLS option that is none.
    """
    broker = checked_url(BROKER_VARIABLE, environment.get(BROKER_VARIABLE))
    backend = checked_url(BACKEND_VARIABLE, environment.get(BACKEND_VARIABLE))
    if not broker:
        return {**_COMMON, **_embedded(Path(environment.get(FOLDER_VARIABLE) or DEFAULT_FOLDER), backend)}
    scheme = urlsplit(broker).scheme
    if not backend:
        if scheme not in {"redis", "rediss"}:
            raise InvalidArgumentError(
                f"${BROKER_VARIABLE} names a {scheme or 'nameless'} broker, which keeps no results: set "
                f"${BACKEND_VARIABLE} as well, to a Redis (redis://...) or a database (db+postgresql://...)."
            )
        backend = broker
    options = {"visibility_timeout": VISIBILITY_TIMEOUT} if scheme in {"redis", "rediss"} else {}
    return {**_COMMON, "broker_url": broker, "result_backend": backend, "broker_transport_options": options}


def _embedded(folder: Path, backend: str | None) -> dict[str, Any]:
    # Absolute, because a worker may change its working directory.
    folder = folder.absolute()
    return {
        "broker_url": f"{EMBEDDED_SCHEME}://localhost//",
        "broker_transport_options": {
            "folder": str(folder),
            "control_folder": str(folder / "control"),
            "polling_interval": POLLING_INTERVAL,
        },
        "result_backend": backend or f"db+sqlite:///{folder / 'results.db'}",
        "database_engine_options": {} if backend else {"creator": partial(connect, folder / "results.db")},
    }
