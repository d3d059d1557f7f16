"""What the tests of the page share: a journal with everything in it, a client, the command serving, a browser."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from ailf.web import dashboard
from tests.async_tasks.journal.support import CANCELLED, COMPLETED, FAILED, PENDING, RUNNING, insert, opened, update

HOSTILE = '<script>alert("x")</script><img src=x onerror=alert(1)>\x1b]0;title\x07\u202egnp.exe\u2066 {{7*7}} \'"'
"""Markup, script, a terminal's escape, marks that turn text round, a template's braces."""


@pytest.fixture
def full(journal: Path, filled: Path) -> Path:
    """A journal that nobody has open: a task in each state, a family, logs, events."""
    shutil.copyfile(filled, journal)
    return journal


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The original of it, which nobody changes."""
    journal = tmp_path_factory.mktemp("filled") / "tasks.db"
    connection = opened(journal)
    for task_id, name, end in [
        ("done", "report", COMPLETED),
        ("failed", "report", FAILED),
        ("gone", "other", CANCELLED),
    ]:
        insert(connection, "tasks", RUNNING | {"id": task_id, "name": name, "metadata": '{"n":3,"user":"u1"}'})
        insert(connection, "task_events", {"task_id": task_id, "at": RUNNING["created_at"], "kind": "submitted"})
        extra = {"error": "no way 42", "error_type": "ValueError", "traceback": "Traceback\n  at 7\n"}
        update(connection, task_id, end | (extra if task_id == "failed" else {}))
        insert(connection, "task_events", {"task_id": task_id, "at": end["completed_at"], "kind": end["status"]})
    insert(
        connection, "tasks", RUNNING | {"id": "runs", "name": "runs long", "progress": 40, "progress_message": "half"}
    )
    insert(connection, "tasks", PENDING | {"id": "child", "name": "waits", "parent_id": "runs"})
    for number, level in enumerate((10, 20, 30, 40)):
        log = {"task_id": "runs", "at": RUNNING["created_at"], "level": level, "level_name": f"L{level}"}
        insert(connection, "task_logs", log | {"logger": "app", "message": f"line {number}"})
    progress = {"task_id": "runs", "at": RUNNING["started_at"], "kind": "progress", "progress": 40, "message": "half"}
    insert(connection, "task_events", progress)
    connection.close()
    return journal


@pytest.fixture
def hostile(full: Path) -> Path:
    """The same with a task of which every text means harm, one of them a megabyte long."""
    connection = opened_again(full)
    row = RUNNING | {
        "id": HOSTILE,
        "name": HOSTILE,
        "progress_message": HOSTILE,
        "error_type": None,
        "parent_id": "runs",
    }
    insert(connection, "tasks", row | {"metadata": json_text({HOSTILE: HOSTILE})})
    log = {"task_id": HOSTILE, "at": RUNNING["created_at"], "level": 20, "level_name": HOSTILE, "logger": HOSTILE}
    insert(
        connection, "task_logs", log | {"message": HOSTILE, "exception": HOSTILE, "fields": json_text({"k": HOSTILE})}
    )
    insert(
        connection,
        "task_events",
        {"task_id": HOSTILE, "at": RUNNING["created_at"], "kind": "failed", "message": HOSTILE},
    )
    harm = {"error": HOSTILE, "error_type": HOSTILE, "traceback": HOSTILE}
    update(connection, HOSTILE, FAILED | harm)
    insert(connection, "tasks", RUNNING | {"id": "big", "name": "n" * 1_000_000, "progress_message": "m" * 1_000_000})
    update(connection, "big", COMPLETED | {"result": json_text(["r" * 1_000_000])})
    connection.close()
    return full


def opened_again(path: Path) -> sqlite3.Connection:
    """A plain connection to a journal that is there."""
    return sqlite3.connect(path, isolation_level=None)


def json_text(value: Any) -> str:
    """A value as JSON."""
    return json.dumps(value)


Client = Callable[[ASGIApp], httpx.AsyncClient]


@pytest.fixture
async def client(full: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Asks a page on the full journal."""
    async with client_of(dashboard(full)) as client:
        yield client


def client_of(app: ASGIApp, base: str = "http://testserver") -> httpx.AsyncClient:
    """Asks an application in this process."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=base)


@contextmanager
def served(journal: Path, *options: str) -> Iterator[str]:
    """The command serving a journal in a process of its own; gives the page's address."""
    command = [sys.executable, "-m", "ailf", "serve", "--journal", str(journal), "--port", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as page:
        try:
            assert page.stdout is not None
            said = page.stdout.readline()
            yield next(word for word in said.split() if word.startswith("http://"))
        finally:
            page.terminate()
            page.wait(timeout=30)


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no Chromium here: apt-get install chromium, then these tests run as well"
)
