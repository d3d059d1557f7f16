"""A writer with its journal and what it answers, and the changes that tests hand to it."""

import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ailf.async_tasks.journal.writing.backlog import Record
from ailf.async_tasks.journal.writing.door import Door
from ailf.async_tasks.journal.writing.writer import Writer
from ailf.async_tasks.model import Change, Ended, Outcome, Started, Submitted
from ailf.async_tasks.states import ResultFormat, TaskStatus
from ailf.errors import AilfError

NOW = time.time_ns() // 1000


def submitted(task_id: str, name: str = "work", *, starts: bool = False) -> Submitted:
    """A task that was accepted."""
    return Submitted(task_id, NOW, name, None, "{}", starts)


def started(task_id: str) -> Started:
    """A task that waited and is about to run."""
    return Started(task_id, NOW)


def completed(task_id: str) -> Ended:
    """A running task that returned 1."""
    return Ended(task_id, NOW, TaskStatus.RUNNING, Outcome(TaskStatus.COMPLETED), "1", ResultFormat.JSON)


@dataclass
class Desk:
    """A writer with its journal, and what it has answered."""

    writer: Writer
    door: Door
    path: Path
    answers: dict[str, AilfError | None] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    commits: int = 0
    is_closed: bool = False

    @property
    def connection(self) -> sqlite3.Connection:
        """The writer's connection."""
        return self.door.connection

    def record(self, label: str, change: Change) -> None:
        """Record a change, and note the answer under a label."""
        self.writer.record((change, self._done, label))

    def _done(self, label: str, refusal: AilfError | None) -> None:
        self.answers[label] = refusal
        self.order.append(label)

    def rows(self, sql: str) -> list[Any]:
        """What another connection reads."""
        reader = sqlite3.connect(self.path)
        try:
            return reader.execute(sql).fetchall()
        finally:
            reader.close()

    def close(self, patience: float = 10) -> list[Record]:
        """Close the writer."""
        self.is_closed = True
        return self.writer.close(patience)
