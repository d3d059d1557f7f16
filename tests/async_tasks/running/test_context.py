"""``current_task``: the task in which the caller runs."""

import asyncio
import contextvars
import threading
from pathlib import Path

import pytest

from ailf.async_tasks import CurrentTask, current_task
from ailf.async_tasks.model import Logged
from ailf.async_tasks.running.context import Desk, enter
from ailf.errors import ManagerError

lines: list[Logged] = []
Reported = list[tuple[str, float, str | None]]


def task_that_reports_to(reported: Reported, task_id: str = "x") -> CurrentTask:
    """A current task whose reports go into a list."""

    def report(task_id: str, progress: float, message: str | None) -> bool:
        reported.append((task_id, progress, message))
        return progress < 100

    return CurrentTask(task_id, "above", Desk(Path("tasks.db"), report, lines.append, lambda: None, None))


def test_there_is_none_outside_of_a_task() -> None:
    """The error says where to call it."""
    with pytest.raises(ManagerError, match="in what was submitted"):
        current_task()


def test_a_report_goes_out_under_the_tasks_id() -> None:
    """``update_progress`` passes on what it is given, and gives back the answer."""
    reported: Reported = []
    task = task_that_reports_to(reported)
    assert task.update_progress(50) is True
    assert task.update_progress(100, "over") is False
    assert reported == [("x", 50, None), ("x", 100, "over")]


def test_a_task_is_current_in_its_context_alone() -> None:
    """What is entered in one context does not show in another, nor in a new thread."""

    def inside() -> str:
        enter(task_that_reports_to([], "inner"))
        return current_task().id

    assert contextvars.copy_context().run(inside) == "inner"
    seen: list[BaseException] = []

    def look() -> None:
        try:
            current_task()
        except ManagerError as error:
            seen.append(error)

    def start_a_thread() -> None:
        enter(task_that_reports_to([]))
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()

    contextvars.copy_context().run(start_a_thread)
    assert len(seen) == 1


async def test_what_a_task_starts_inherits_it() -> None:
    """Asyncio tasks and ``to_thread`` take the context along."""
    enter(task_that_reports_to([], "outer"))

    async def child() -> str:
        return current_task().id

    assert await asyncio.create_task(child()) == "outer"
    assert await asyncio.to_thread(lambda: current_task().id) == "outer"


def test_it_shows_its_id_and_cannot_be_changed() -> None:
    """The value is frozen, and its ``repr`` is short."""
    task = task_that_reports_to([])
    assert repr(task) == "CurrentTask(id='x', parent_id='above')"
    with pytest.raises(AttributeError):
        task.id = "y"  # type: ignore[misc]
