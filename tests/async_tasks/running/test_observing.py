"""Observers and the log: told of each task once, and never in its way."""

import asyncio
import contextvars
import logging
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from ailf.async_tasks import Observer, Outcome, TaskManager, current_task
from ailf.errors import InvalidTypeError

context: contextvars.ContextVar[str] = contextvars.ContextVar("context", default="")


class Notes(Observer):
    """Writes down what it is told, and in which context."""

    def __init__(self) -> None:
        self.told: list[tuple[str, ...]] = []

    def submitted(self, task_id: str, name: str) -> None:
        """Note it."""
        self.told.append(("submitted", task_id, name, context.get()))

    def started(self, task_id: str, name: str) -> None:
        """Note it; the context is the task's own."""
        self.told.append(("started", task_id, current_task().id, context.get()))
        context.set("set by the observer")

    def ended(self, task_id: str, name: str, outcome: Outcome) -> None:
        """Note it."""
        self.told.append(("ended", task_id, name, str(outcome.status)))


async def test_an_observer_is_told_of_each_step(manager: TaskManager) -> None:
    """In order, submission and start in the contexts that these have; the end once it can be read."""
    notes = Notes()
    manager.add_observer(notes)
    context.set("the submitter's")

    async def work() -> str:
        return context.get()

    task_id = await manager.submit(work, name="work")
    assert await manager.result(task_id) == "set by the observer"
    assert context.get() == "the submitter's"
    assert notes.told == [
        ("submitted", task_id, "work", "the submitter's"),
        ("started", task_id, task_id, "the submitter's"),
        ("ended", task_id, "work", "completed"),
    ]


async def test_a_task_that_never_starts_is_told_of_as_well(journal: Path) -> None:
    """One that is cancelled while it waits has a submission and an end."""
    notes = Notes()
    manager = TaskManager(journal, max_concurrency=1)
    manager.add_observer(notes)
    async with manager:
        await manager.submit(partial(asyncio.sleep, 3600), task_id="runs")
        await manager.submit(partial(asyncio.sleep, 3600), task_id="waits")
        await manager.cancel_task("waits")
    assert [told[0] for told in notes.told if told[1] == "waits"] == ["submitted", "ended"]
    assert [told[0] for told in notes.told if told[1] == "runs"] == ["submitted", "started", "ended"]


async def test_an_observer_that_fails_disturbs_nobody(manager: TaskManager, caplog: pytest.LogCaptureFixture) -> None:
    """The task ends as it would, the next observer is told, and the log says what went wrong."""

    class Broken(Notes):
        def started(self, task_id: str, name: str) -> None:
            raise ZeroDivisionError

    broken, notes = Broken(), Notes()
    manager.add_observer(broken)
    manager.add_observer(notes)
    assert await manager.result(await manager.submit(asyncio.sleep(0, 7))) == 7
    assert [told[0] for told in notes.told] == ["submitted", "started", "ended"]
    assert "ZeroDivisionError" in caplog.text


async def test_only_an_observer_can_be_added(manager: TaskManager) -> None:
    """Anything else would fail later, and out of sight."""
    with pytest.raises(InvalidTypeError, match="a subclass of Observer"):
        manager.add_observer(print)  # type: ignore[arg-type]


async def test_the_log_has_each_task_s_id(manager: TaskManager, caplog: pytest.LogCaptureFixture) -> None:
    """As an attribute of the record, for a handler to use; a failure is a warning with its error."""
    caplog.set_level(logging.DEBUG, "ailf.async_tasks")

    async def broken() -> None:
        raise ValueError("no")

    good = await manager.submit(asyncio.sleep(0), name="good")
    bad = await manager.submit(broken, name="bad")
    await asyncio.gather(manager.wait_for_task(good), manager.wait_for_task(bad))
    found = {(getattr(record, "task_id", None), record.levelname, record.getMessage()) for record in caplog.records}
    assert {
        *((good, "DEBUG", f"Task 'good' ({good}) was submitted."), (good, "DEBUG", f"Task 'good' ({good}) started.")),
        *(
            (good, "INFO", f"Task 'good' ({good}) completed."),
            (bad, "WARNING", f"Task 'bad' ({bad}) failed: ValueError: no"),
        ),
    } <= found


def test_without_logging_nothing_is_printed(journal: Path) -> None:
    """An application that has not set up logging is not written to, whatever fails."""
    program = """
import asyncio, sys
from ailf.async_tasks import TaskManager

async def main():
    async with TaskManager(sys.argv[1]) as manager:
        await manager.wait_for_task(await manager.submit(lambda: 1 / 0))

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program, str(journal)], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_nothing_optional_is_imported(journal: Path) -> None:
    """Neither the command's libraries, nor those of telemetry and tests, nor Alembic."""
    program = """
import sys
import ailf.async_tasks
print(sorted({"click", "rich", "opentelemetry", "pytest", "alembic", "redis", "celery"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"
