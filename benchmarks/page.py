"""What the page takes of a journal of any size: each view's first answer and its usual one, as time of a core.

::

    python -m benchmarks.page 10000 1000000

The rows are made straight in SQL: tasks at one rate up to now, a tenth of them failed, families of two.
"""

import argparse
import asyncio
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import httpx

from ailf.async_tasks.journal.care.migrate import ensure_current
from ailf.async_tasks.journal.form.schema import TRIGGERS
from ailf.web import dashboard

SECONDS_APART = 0.1
RUNNING = 8
ANSWERS = 9

VIEWS = {
    "Now": "",
    "Tasks": "tasks",
    "Tasks, by name": "tasks?sort=name",
    "Tasks, failed in 24 h": "tasks?state=failed&ended_since=24h",
    "One task": "task?id={id}",
    "Failures": "failures",
    "Timeline": "timeline",
    "Names": "names",
}

_OWNER = """\
INSERT INTO owners (id, pid, host, boot_id, started_at, stopped_at)
VALUES ('o1', 1, 'h', 'b', '2026-11-24T03:00:00.000000Z', '2026-11-24T03:00:00.000000Z')"""
_TASKS = """\
WITH RECURSIVE
numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < :tasks - 1),
made AS (
  SELECT
    i,
    julianday('now') - (10 + (:tasks - i) * :apart) / 86400.0 AS at,
    CASE
      WHEN i >= :tasks - :running THEN 'running'
      WHEN i % 10 = 0 THEN 'failed' WHEN i % 25 = 1 THEN 'cancelled' ELSE 'completed'
    END AS status
  FROM numbers
)
INSERT INTO tasks (
  id, name, status, reason, progress, created_at, started_at, completed_at, metadata, result, result_format, error,
  error_type, traceback, owner_id, parent_id
)
SELECT
  printf('%08x-0000-7000-8000-%012x', i, i), 'work ' || (i % 20), status,
  CASE status WHEN 'failed' THEN 'error' WHEN 'cancelled' THEN 'cancelled' END, i % 101,
  strftime('%Y-%m-%dT%H:%M:%f', at) || '000Z', strftime('%Y-%m-%dT%H:%M:%f', at) || '000Z',
  CASE WHEN status <> 'running' THEN strftime('%Y-%m-%dT%H:%M:%f', at + (1 + i % 7) / 86400.0) || '000Z' END,
  '{"customer":"c' || (i % 1000) || '"}',
  CASE status WHEN 'completed' THEN '{"rows":12}' END, CASE status WHEN 'completed' THEN 'json' END,
  CASE status WHEN 'failed' THEN 'no file ' || i || ' in folder ' || (i % 3) END,
  CASE status WHEN 'failed' THEN 'FileNotFoundError' END, CASE status WHEN 'failed' THEN 'Traceback ...' END, 'o1',
  CASE WHEN i % 10 = 3 THEN printf('%08x-0000-7000-8000-%012x', i - 3, i - 3) END
FROM made"""
_EVENTS = [
    "INSERT INTO task_events (task_id, at, kind) SELECT id, created_at, 'submitted' FROM tasks",
    "INSERT INTO task_events (task_id, at, kind) SELECT id, started_at, 'started' FROM tasks",
    (
        "INSERT INTO task_events (task_id, at, kind, message) "
        "SELECT id, completed_at, status, error FROM tasks WHERE completed_at IS NOT NULL"
    ),
]


def fill(path: Path, tasks: int) -> None:
    """Make a journal of so many tasks, the last of them running."""
    ensure_current(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        # They would let no ended task in.
        for name in TRIGGERS:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(_OWNER)
        connection.execute(_TASKS, {"tasks": tasks, "apart": SECONDS_APART, "running": RUNNING})
        for statement in _EVENTS:
            connection.execute(statement)
        for trigger in TRIGGERS.values():
            connection.execute(trigger)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


async def measure(journals: Sequence[Path]) -> dict[str, list[list[float]]]:
    """The milliseconds of a core that each answer took, by view and journal; in turns, so that all have the same."""
    found: dict[str, list[list[float]]] = {view: [[] for _ in journals] for view in VIEWS}
    clients = [
        httpx.AsyncClient(transport=httpx.ASGITransport(app=dashboard(path)), base_url="http://testserver")
        for path in journals
    ]
    ids = [re.findall(r'task\?id=([^"]+)"', (await client.get("/tasks")).text)[20] for client in clients]
    for view, address in VIEWS.items():
        for _ in range(ANSWERS):
            for place, client in enumerate(clients):
                begin = time.process_time()
                answer = await client.get("/" + address.format(id=ids[place]))
                found[view][place].append((time.process_time() - begin) * 1000)
                answer.raise_for_status()
    for client in clients:
        await client.aclose()
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a line a view."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="*", type=int, default=[10_000, 1_000_000])
    numbers = parser.parse_args(arguments).tasks
    with tempfile.TemporaryDirectory() as folder:
        journals = [Path(folder) / f"{number}.db" for number in numbers]
        for path, number in zip(journals, numbers, strict=True):
            fill(path, number)
        found = asyncio.run(measure(journals))
    print(f"{'ms, median (first)':24}" + "".join(f"{number:>20,}" for number in numbers))  # noqa: T201
    for view, answers in found.items():
        cells = [f"{statistics.median(times):.1f} ({times[0]:.1f})" for times in answers]
        print(f"{view:24}" + "".join(f"{cell:>20}" for cell in cells))  # noqa: T201


if __name__ == "__main__":
    main()
