"""A real Celery worker for the tests, and an application that sends to it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from celery import Celery

from ailf.workers.settings import settings
from tests.conftest import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]


def sender(environment: dict[str, str]) -> Any:
    """Make an application that sends to the broker of the environment."""
    import ailf.workers.celery_app  # noqa: F401  it names the broker in a folder

    app = Celery("sender", set_as_current=False)
    app.conf.update(settings(environment))
    return app


class Worker:
    """A worker process."""

    def __init__(
        self,
        folder: Path,
        environment: dict[str, str],
        *arguments: str,
        pool: str = "prefork",
        concurrency: int = 2,
    ) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        self.app = sender(environment)
        command = [sys.executable, "-m", "celery", "-A", "tests.workers.worker_app", "worker", "-l", "INFO"]
        command += ["--pool", pool, "--concurrency", str(concurrency), "--without-gossip", "--without-mingle"]
        command += arguments
        environ = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
        for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
            if name not in environment:
                environ.pop(name, None)
        with self.log.open("wb") as log:
            # A session of its own, so that it can be killed with all its processes.
            self.process = subprocess.Popen(
                command, cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True
            )

    def wait_ready(self) -> Self:
        """Wait until it takes tasks, which its log alone says."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "ready." not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)
        return self

    def kill(self) -> None:
        """Kill it and its pool at once, without ceremony."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Be rid of it; one that is gone is left alone."""
        if self.process.poll() is None:
            self.kill()
