"""A journal with tasks in every state, one of them hostile to terminals, and the command to look at it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ailf.cli.app import app
from tests.async_tasks.journal.support import CANCELLED, COMPLETED, FAILED, PENDING, RUNNING, insert, opened, update

HOSTILE = "evil\x1b]0;title\x07\x9b31m\nname"

Ailf = Callable[..., Result]


@pytest.fixture
def full(journal: Path) -> Path:
    """A journal that nobody has open: a task in each state, and their events."""
    connection = opened(journal)
    rows = [("aa-done", "report", COMPLETED), ("aa-failed", "report", FAILED), ("ab-gone", "other", CANCELLED)]
    for task_id, name, end in rows:
        insert(connection, "tasks", RUNNING | {"id": task_id, "name": name, "metadata": '{"n":3,"user":"u1"}'})
        insert(connection, "task_events", {"task_id": task_id, "at": RUNNING["created_at"], "kind": "submitted"})
        extra = {"error": "no\nway", "error_type": "ValueError", "traceback": "Traceback\n  at\x1b[2J\n"}
        update(connection, task_id, end | (extra if task_id == "aa-failed" else {}))
        insert(connection, "task_events", {"task_id": task_id, "at": end["completed_at"], "kind": end["status"]})
    insert(
        connection,
        "tasks",
        RUNNING | {"id": "ba-runs", "name": HOSTILE, "progress": 40, "progress_message": "\x1b[31m"},
    )
    insert(connection, "tasks", PENDING | {"id": "bb-waits", "name": "waits"})
    connection.close()
    return journal


@pytest.fixture
def ailf(journal: Path) -> Ailf:
    """Run the command on the journal, as in a pipe."""

    def run(*arguments: object, **options: str) -> Result:
        runner = CliRunner(env={"AILF_JOURNAL": str(journal)})
        return runner.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False, **options)  # type: ignore[arg-type]

    return run
