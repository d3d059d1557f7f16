"""What must hold of a journal after an attack: what was acknowledged is there, the rest has ended, all is sound."""

import asyncio
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from ailf.async_tasks import TaskEvent, TaskInfo, TaskManager
from tests.faults.scenario import ENDS

DIED = ("failed", "process_died", None)
END_KINDS = {"completed", "failed", "cancelled"}

End = tuple[str, str | None, str | None]
"""The state, reason and result of a task."""

Said = Iterable[dict[str, Any]]


def reopened(journal: Path) -> dict[str, tuple[TaskInfo, list[TaskEvent]]]:
    """Start a manager on the journal, which recovers it, and read everything through the API."""

    async def read() -> dict[str, tuple[TaskInfo, list[TaskEvent]]]:
        async with TaskManager(journal, retention=None) as manager:
            return {task.id: (task, manager.get_task_events(task.id)) for task in manager.list_tasks()}

    return asyncio.run(read())


def recover(journal: Path) -> None:
    """Start a manager on the journal, which ends what dead processes left, and stop it."""

    async def start_and_stop() -> None:
        async with TaskManager(journal, retention=None):
            pass

    asyncio.run(start_and_stop())


def assert_sound(journal: Path) -> None:
    """The file is whole, each timeline is one that the state machine allows, and it agrees with its task's row."""
    with closing(sqlite3.connect(journal)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        timelines = defaultdict(list)
        last_times: dict[str, str] = {}
        for task_id, at, kind in connection.execute("SELECT task_id, at, kind FROM task_events ORDER BY seq"):
            timelines[task_id].append(kind)
            assert last_times.get(task_id, at) <= at, (task_id, kind)
            last_times[task_id] = at
        rows = connection.execute("SELECT id, status, started_at IS NOT NULL FROM tasks").fetchall()
    assert {task_id for task_id, _, _ in rows} == set(timelines)
    for task_id, status, has_started in rows:
        kinds = timelines[task_id]
        assert kinds[0] == "submitted", (task_id, kinds)
        assert kinds.count("submitted") == 1, (task_id, kinds)
        assert kinds.count("started") == has_started, (task_id, kinds)
        ends = [kind for kind in kinds if kind in END_KINDS]
        assert ends == ([status] if status in END_KINDS else []), (task_id, status, kinds)
        assert not ends or kinds[-1] == status, (task_id, kinds)


def assert_nothing_lost(journal: Path, said: Said, *, was_killed: bool) -> int:
    """Reopen the journal and compare it with what was acknowledged.

    Args:
        journal: the journal.
        said: the acknowledgements.
        was_killed: whether the process died: what it had not ended is FAILED then, and else as it was told.

    Returns:
        How many acknowledgements were compared.
    """
    tasks = reopened(journal)
    assert_sound(journal)
    ends = ends_in(journal)
    for task_id, end in ends.items():
        if not task_id.startswith("old"):
            told = ENDS[task_id.split("-")[0]]
            assert end in ([told, DIED] if was_killed else [told]), (task_id, tasks[task_id])
    compared = 0
    for line in said:
        match line:
            case {"what": "cleaned"}:
                assert not any(task_id.startswith("old") for task_id in ends), "the acknowledged clean-up is lost"
            case {"what": "submitted", "id": task_id}:
                assert task_id in ends, f"the acknowledged task {task_id} is lost"
            case {"what": "ended", "id": task_id}:
                assert ends[task_id] == ENDS[task_id.split("-")[0]], f"the acknowledged end of {task_id} is lost"
                if task_id.startswith("talkative"):
                    progress = [(event.progress, event.message) for event in tasks[task_id][1] if event.progress]
                    assert progress == [(25, "at 25"), (50, "at 50"), (75, "at 75")]
            case _:
                continue
        compared += 1
    return compared


def ends_in(journal: Path) -> dict[str, End]:
    """The state, reason and result of every task, as SQL says."""
    with closing(sqlite3.connect(journal)) as connection:
        rows = connection.execute("SELECT id, status, reason, result FROM tasks").fetchall()
    return {task_id: (status, reason, result) for task_id, status, reason, result in rows}
