"""A writer with its journal and what it answers, and the changes that tests hand to it."""

import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ailf.async_tasks.journal.backlog import Record
from ailf.async_tasks.journal.writer import Writer
from ailf.async_tasks.model import Change, Ended, Outcome, Started, Submitted
from ailf.async_tasks.states import ResultFormat, TaskStatus
from ailf.errors import AilfError

NOW = datetime.now(UTC)


def submitted(task_id: str, name: str = "work") -> Submitted:
    """A task that was accepted."""
    return Submitted(task_id, NOW, name, None, "{}")


def started(task_id: str) -> Started:
    """A task that is about to run."""
    return Started(task_id, NOW)


def completed(task_id: str) -> Ended:
    """A running task that returned 1."""
    return Ended(task_id, NOW, TaskStatus.RUNNING, Outcome(TaskStatus.COMPLETED), "1", ResultFormat.JSON)


@dataclass
class Desk:
    """A writer with its journal, and what it has answered."""

    writer: Writer
    connection: sqlite3.Connection
    path: Path
    answers: dict[str, AilfError | None] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    commits: int = 0
    is_closed: bool = False

    def record(self, label: str, *changes: Change) -> None:
        """Record changes, and note the answer under a label."""

        def done(refusal: AilfError | None) -> None:
            self.answers[label] = refusal
            self.order.append(label)

        self.writer.record(changes, done)

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
