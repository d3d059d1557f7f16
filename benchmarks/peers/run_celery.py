"""Celery with its SQL broker and SQL results, a worker of one thread in the same process."""

import logging

from celery import Celery
from celery.contrib.testing.worker import start_worker
from common import POLL_SECONDS, arguments, measure, say
from kombu.transport.sqlalchemy import Transport


def main() -> None:
    """Run it."""
    folder, tasks, samples = arguments()
    logging.disable(logging.CRITICAL)
    app = Celery("benchmark", broker=f"sqla+sqlite:///{folder}/broker.db", backend=f"db+sqlite:///{folder}/results.db")
    # As an option it would go on to create_engine(), which knows no such thing.
    Transport.polling_interval = POLL_SECONDS
    app.conf.worker_hijack_root_logger = False

    @app.task
    def noop() -> None:
        """Do nothing."""

    with start_worker(app, perform_ping_check=False, loglevel="CRITICAL"):
        seconds, latencies = measure(
            noop.delay,
            lambda result: result.get(interval=POLL_SECONDS, disable_sync_subtasks=False),
            tasks,
            samples,
        )
        # A result is found by its id; there is no query over them.
        say(seconds, latencies, None)


if __name__ == "__main__":
    main()
