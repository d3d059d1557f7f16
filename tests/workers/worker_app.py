"""What the workers of the tests run: the application with a few tasks more."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from ailf.workers.celery_app import app

__all__ = ["app"]


class OddError(Exception):
    """A type that a test's own process may or may not know."""


@app.task(name="test.add")  # type: ignore[untyped-decorator]  # celery has no types
def add(left: int, right: int) -> int:
    """Add."""
    return left + right


@app.task(name="test.total")  # type: ignore[untyped-decorator]  # celery has no types
def total(values: list[int]) -> int:
    """Add them all."""
    return sum(values)


@app.task(name="test.fail")  # type: ignore[untyped-decorator]  # celery has no types
def fail(kind: str) -> None:
    """Raise."""
    raise {"odd": OddError("odd thing"), "key": KeyError("missing"), "bare": ValueError()}[kind]


@app.task(bind=True, name="test.steps")  # type: ignore[untyped-decorator]  # celery has no types
def steps(self: Any, folder: str, count: int) -> str:
    """Report a step, and wait for a file before the next."""
    for step in range(count):
        self.update_state(state="PROGRESS", meta={"current": step + 1, "total": count, "status": f"step {step + 1}"})
        wait_for(Path(folder) / str(step))
    return "done"


@app.task(name="test.hold", max_retries=3)  # type: ignore[untyped-decorator]  # celery has no types
def hold(folder: str) -> str:
    """Say that it has begun, and wait for a file."""
    with (Path(folder) / "begun").open("a") as begun:
        begun.write(f"{os.getpid()}\n")
    wait_for(Path(folder) / "release")
    (Path(folder) / "ended").touch()
    return "released"


@app.task(name="test.crash_once", max_retries=3, default_retry_delay=0)  # type: ignore[untyped-decorator]  # celery has no types
def crash_once(folder: str) -> str:
    """Kill the process that it runs in, the first time."""
    marker = Path(folder) / "crashed"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def wait_for(path: Path) -> None:
    """Wait for a file, by which the test, another process, says when to go on."""
    deadline = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} never came")
        time.sleep(0.01)
