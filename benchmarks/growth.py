"""Journals of many tasks, made quickly: the library's own batches on a connection of the writer's kind."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import islice
from pathlib import Path

from ailf.async_tasks.journal.care import owners
from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.form import indexes
from ailf.async_tasks.journal.form.engine import Access, connect
from ailf.async_tasks.journal.writing.batch import Batch
from ailf.async_tasks.model import Ended, Outcome, Submitted
from ailf.async_tasks.states import Reason, ResultFormat, TaskStatus
from benchmarks.values import Setting

TASKS_A_BATCH = 5_000

FAILED_EVERY = 10
CANCELLED_EVERY = 25

KEY = "customer"
"""The key in everybody's metadata."""

INDEXED_KEY = "account"
"""A key beside it, with the same values, that the journal has an index of."""

TASKS_A_CUSTOMER = 10
"""How many tasks have one value of them, in a journal of any size."""

AGE = timedelta(days=30)
"""How long ago all of it was."""

COMPLETED = Outcome(TaskStatus.COMPLETED, value={"rows": 12})
FAILED = Outcome(TaskStatus.FAILED, Reason.ERROR, None, "no such file", "FileNotFoundError", "Traceback ...")
CANCELLED = Outcome(TaskStatus.CANCELLED, Reason.CANCELLED)


def task_id(number: int) -> str:
    """The id of the task that was submitted as this one: rising, as the library's are."""
    return f"{number:08x}-0000-7000-8000-{number:012x}"


def customer(number: int, tasks: int) -> str:
    """The value of the key in a task's metadata: those of one customer are spread over the whole journal."""
    return f"c{number % max(1, tasks // TASKS_A_CUSTOMER)}"


def _tasks(number: int) -> Iterator[tuple[Submitted, Ended]]:
    begin = round((time.time() - AGE.total_seconds()) * 1e6)
    result = json.dumps(COMPLETED.value, separators=(",", ":"))
    for index in range(number):
        one, at = task_id(index), begin + 1_000 * index
        who = customer(index, number)
        metadata = f'{{"{INDEXED_KEY}":"{who}","{KEY}":"{who}"}}'
        end = Ended(one, at, TaskStatus.RUNNING, COMPLETED, result, ResultFormat.JSON)
        if index % FAILED_EVERY == 0:
            end = Ended(one, at, TaskStatus.RUNNING, FAILED)
        elif index % CANCELLED_EVERY == 1:
            end = Ended(one, at, TaskStatus.RUNNING, CANCELLED)
        yield Submitted(one, at, f"work {index % 20}", None, metadata, starts=True), end


def build(path: Path, number: int) -> None:
    """Make a journal of so many ended tasks of a stopped owner, and leave it closed."""
    ensure_current(path)
    owner = owners.this_process()
    tasks = _tasks(number)
    with closing(connect(path, Access.WRITE)) as connection:
        indexes.make(connection, [INDEXED_KEY])
        owners.register(connection, owner)
        while chunk := list(islice(tasks, TASKS_A_BATCH)):
            batch = Batch(owner.id, 0)
            for submitted, ended in chunk:
                batch.add(submitted)
                batch.add(ended)
            connection.execute("BEGIN IMMEDIATE")
            batch.execute(connection)
            connection.execute("COMMIT")
        owners.unregister(connection, owner)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def journal(setting: Setting, number: int) -> Path:
    """The journal of so many tasks, made when it is first asked for."""
    if number not in setting.journals:
        path = setting.file(f"journal-{number}")
        build(path, number)
        setting.journals[number] = path
    return setting.journals[number]


def copy(setting: Setting, number: int) -> Path:
    """A copy of it, for what changes it; it is closed, so that the file is all there is."""
    path = setting.file(f"copy-{number}")
    shutil.copyfile(journal(setting, number), path)
    return path
