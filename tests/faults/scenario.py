"""A fixed programme of tasks that says what was acknowledged to it, and how each of its tasks must end."""

import asyncio
import platform
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ailf.async_tasks import TaskManager, current_task
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.errors import JournalError, TaskCancelledError, TaskFailedError

T = TypeVar("T")
Say = Callable[[dict[str, Any]], None]
"""Takes an acknowledgement: what a call has returned, said as soon as it has."""

ENDS: dict[str, tuple[str, str | None, str | None]] = {
    "quick": ("completed", None, '{"square":49}'),
    "threaded": ("completed", None, '"from a thread"'),
    "talkative": ("completed", None, "3"),
    "failing": ("failed", "error", None),
    "late": ("failed", "timeout", None),
    "cancelled": ("cancelled", "cancelled", None),
    "waiting": ("cancelled", "cancelled", None),
    "left": ("cancelled", "shutdown", None),
    "orphan": ("failed", "process_died", None),
}
"""By the first word of a task's id: its state, reason and result once it has ended."""

SLOTS = 6
RETENTION = timedelta(days=1)

OLD_TASKS = """
INSERT INTO owners (id, pid, host, boot_id, started_at, stopped_at) VALUES
    ('stopped', 1, 'elsewhere', 'b', '2020-01-01T00:00:00.000000Z', '2020-01-02T00:00:00.000000Z'),
    ('rebooted', 1, :host, 'an earlier boot', '2020-01-01T00:00:00.000000Z', NULL);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 39)
INSERT INTO tasks (id, name, status, created_at, started_at, owner_id)
    SELECT iif(i < 38, 'old-', 'orphan-') || i, 'work', 'running', '2020-01-01T00:00:00.000000Z',
        '2020-01-01T00:00:00.000000Z', iif(i < 38, 'stopped', 'rebooted') FROM n;
INSERT INTO task_events (task_id, at, kind) SELECT id, created_at, 'submitted' FROM tasks;
INSERT INTO task_events (task_id, at, kind) SELECT id, created_at, 'started' FROM tasks;
UPDATE tasks SET status = 'completed', completed_at = created_at, result = '1', result_format = 'json'
    WHERE id LIKE 'old-%';
INSERT INTO task_events (task_id, at, kind) SELECT id, completed_at, 'completed' FROM tasks WHERE id LIKE 'old-%';
"""
"""A history: tasks that clean-up is to delete, and two whose owner died in an earlier boot of this machine."""


async def quick() -> dict[str, int]:
    """Return at once."""
    return {"square": 7 * 7}


def threaded() -> str:
    """Return from a thread."""
    return "from a thread"


async def talkative() -> int:
    """Report some progress, then return how often."""
    for step in (25, 50, 75):
        current_task().update_progress(step, f"at {step}")
        await asyncio.sleep(0)
    return 3


async def failing() -> None:
    """Raise."""
    raise ValueError("as it should")


async def endless() -> None:
    """Never return."""
    current_task().update_progress(1)
    await asyncio.Event().wait()


def make_history(journal: Path) -> None:
    """Make a journal that has a past."""
    ensure_current(journal)
    host = platform.node().replace("'", "''")
    with closing(sqlite3.connect(journal)) as connection:
        connection.executescript(OLD_TASKS.replace(":host", f"'{host}'"))


class Programme:
    """The fixed programme; a call that the journal refuses is made again, as a patient user would."""

    def __init__(self, journal: Path, say: Say, durability: str = "process") -> None:
        self._manager = TaskManager(journal, retention=RETENTION, max_concurrency=SLOTS, durability=durability)
        self._say = say

    async def run(self) -> None:
        """Run all of it."""
        await self._insist(self._manager.start)
        self._say({"what": "started"})
        for number in range(4):
            await self._submit(f"quick-{number}", quick)
            await self._ended(f"quick-{number}")
        await self._submit("talkative-0", talkative)
        await self._submit("threaded-0", threaded)
        await self._submit("failing-0", failing)
        await self._submit("late-0", endless, timeout=0.02)
        for task_id in ("talkative-0", "threaded-0", "failing-0", "late-0"):
            await self._ended(task_id)
        burst = [f"quick-burst-{number}" for number in range(8)]
        await asyncio.gather(*(self._submit(task_id, quick) for task_id in burst))
        await asyncio.gather(*map(self._ended, burst))
        await self._submit("cancelled-0", endless)
        await self._cancel("cancelled-0")
        for number in range(SLOTS):
            await self._submit(f"left-{number}", endless)
        await self._submit("waiting-0", endless)
        await self._submit("left-waiting", endless)
        await self._cancel("waiting-0")
        await self._insist(self._manager.cleanup)
        self._say({"what": "cleaned"})
        await self._manager.stop()
        self._say({"what": "stopped"})

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                return await call()
            except JournalError as error:
                self._say({"what": "refused", "error": str(error)})
                await asyncio.sleep(0.001)

    async def _submit(self, task_id: str, function: Callable[[], Any], timeout: float | None = None) -> None:
        """Submit; a second try under the same id is only taken where the first one left no row."""
        await self._insist(partial(self._manager.submit, function, task_id=task_id, timeout=timeout))
        self._say({"what": "submitted", "id": task_id})

    async def _ended(self, task_id: str) -> None:
        with suppress(TaskFailedError, TaskCancelledError):
            await self._manager.result(task_id)
        self._say_end(task_id)

    async def _cancel(self, task_id: str) -> None:
        assert await self._manager.cancel_task(task_id)
        self._say_end(task_id)

    def _say_end(self, task_id: str) -> None:
        info = self._manager.get_task_info(task_id)
        assert info is not None, task_id
        self._say({"what": "ended", "id": task_id, "status": info.status})


def run_programme(journal: Path, say: Say, durability: str = "process") -> None:
    """Run the programme on a loop of its own."""
    asyncio.run(Programme(journal, say, durability).run())
