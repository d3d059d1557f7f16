"""What the workers of the tests run: the application with a few tasks more."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from celery.exceptions import Ignore, Reject

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


class FormattingError(Exception):
    """A type with a constructor of its own."""

    def __init__(self, left: object, right: object) -> None:
        super().__init__(f"{left}/{right}")


@app.task(name="test.raise_odd")  # type: ignore[untyped-decorator]  # celery has no types
def raise_odd(kind: str) -> None:
    """Raise what is hard to carry."""
    if kind == "group":
        raise ExceptionGroup("several", [ValueError("the real cause")])
    if kind == "formatting":
        raise FormattingError(1, 2)
    if kind == "os":
        Path("/nowhere/at/all").read_text()
    error = ValueError("two\nlines")
    error.add_note("a note")
    raise error


@app.task(name="test.ignoring")  # type: ignore[untyped-decorator]  # celery has no types
def ignoring(marker: str | None = None, release: str | None = None) -> None:
    """End without a result, having made a file, and waited for another."""
    if marker is not None:
        Path(marker).touch()
    if release is not None:
        wait_for(Path(release))
    raise Ignore


@app.task(name="test.rejecting")  # type: ignore[untyped-decorator]  # celery has no types
def rejecting() -> None:
    """End without a result, and be given away."""
    raise Reject("no", requeue=False)


@app.task(name="test.limited", rate_limit="20/m")  # type: ignore[untyped-decorator]  # celery has no types
def limited() -> str:
    """Run every three seconds at most."""
    return "run"


@app.task(name="test.nap")  # type: ignore[untyped-decorator]  # celery has no types
def nap(seconds: float, number: int) -> int:
    """Take a while."""
    time.sleep(seconds)
    return number


@app.task(name="test.rows")  # type: ignore[untyped-decorator]  # celery has no types
def rows(count: int) -> list[dict[str, Any]]:
    """Give a large result."""
    return [{"id": number, "values": [number, number]} for number in range(count)]


@app.task(name="test.endless", time_limit=1)  # type: ignore[untyped-decorator]  # celery has no types
def endless() -> None:
    """Outlast the time limit."""
    wait_for(Path("/never"))


@app.task(bind=True, name="test.replaced")  # type: ignore[untyped-decorator]  # celery has no types
def replaced(self: Any, folder: str) -> None:
    """Have two others run instead."""
    self.replace(hold.si(folder) | add.si(1, 1))


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
