"""Makes the pictures of the documentation: the demo on a journal of its own, looked at with the command's screens.

At 80 columns, which is what most terminals have.

::

    python docs/screens/make.py
"""

import asyncio
import io
import logging
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

from ailf.async_tasks import TaskInfo, TaskManager, TaskStatus, current_task
from ailf.async_tasks.journal import open_reader
from ailf.async_tasks.journal.form import log_line, task_event, task_info
from ailf.async_tasks.journal.reading import logs_query, reports
from ailf.async_tasks.journal.reading.queries import events_query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.model import TaskFilter
from ailf.cli import gantt, plain, screens
from ailf.errors import AilfError

log = logging.getLogger("shop")

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
WIDTH = 80
SECONDS = 60.0
BAD_PAGE = 4
ENOUGH_RUNNING, ENOUGH_ENDED = 4, 8


def save(name: str, command: str, screen: RenderableType) -> None:
    """Write one picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(screen)
    console.save_svg(str(HERE / f"{name}.svg"), title=command, unique_id=name)


def placeless(info: TaskInfo) -> TaskInfo:
    """The task without this machine's folders in its texts."""

    def general(text: str | None) -> str | None:
        library = sysconfig.get_path("stdlib")
        return None if text is None else text.replace(library, "/usr/lib/python3").replace(f"{TOP}/", "")

    return replace(info, error=general(info.error), traceback=general(info.traceback))


def watch(journal: Path) -> None:
    """Take a picture of the live view in the middle of the demo."""
    while True:
        try:
            with open_reader(journal) as reader:
                now = reports.now(reader, running=10, latest=6, since=datetime.now(UTC) - timedelta(seconds=SECONDS))
        except AilfError:
            now = None
        if now is not None and len(now.running) > ENOUGH_RUNNING and now.counts[TaskStatus.COMPLETED] > ENOUGH_ENDED:
            now = replace(now, latest=[placeless(info) for info in now.latest])
            save("watch", "ailf tasks watch", screens.live_screen(now, datetime.now(UTC), SECONDS, journal.name))
            return
        # The demo is a process of its own; only its journal says how far it is.
        time.sleep(0.02)


def look(reader: Reader) -> None:
    """Take the other pictures, of what the demo has left."""
    at = datetime.now(UTC)
    every = reports.sorted_query(TaskFilter(), reports.Sort.CREATED, descending=False)
    infos = [placeless(task_info(row)) for row in reader.rows(every)]
    odd = [info for info in infos if info.status is not TaskStatus.COMPLETED]
    good = [info for info in infos if info.status is TaskStatus.COMPLETED]
    save("list", "ailf tasks list", screens.task_table([*odd, *good[:8]], at))
    failed = next(info for info in odd if info.traceback and info.reason == "error")
    events = [task_event(row) for row in reader.rows(events_query(failed.id))]
    events = [replace(event, message=failed.error if event.message else None) for event in events]
    save(
        "show",
        f"ailf tasks show {failed.id[-12:]}",
        screens.task_screen(failed, "pid 4242 on build, stopped", events, 0, gone=False),
    )
    shown = [*[info for info in odd if info.reason != "process_died"], *good[3::16]]
    period = gantt.fitted(shown, at, WIDTH - sum(screens.timeline_sides(shown, at, WIDTH)) - 2)
    save("timeline", "ailf tasks timeline", screens.timeline_screen(shown, period, at, WIDTH))


async def import_page(page: int) -> dict[str, int]:
    """A page of a shop's orders, some of which it does not like."""
    for step in range(1, 5):
        await asyncio.sleep(0.01 * page)
        current_task().update_progress(25 * step, f"{50 * step} of 200 orders")
    if page == BAD_PAGE:
        log.warning("order 4711 has no address: the customer is asked")
        raise ValueError(f"page {page} has 3 orders without an address")
    return {"page": page, "orders": 200}


async def import_shop(manager: TaskManager, shop: str, pages: int) -> int:
    """All pages of a shop, a task each; those that fail do not stop the others."""
    log.info("%s has %d pages of orders", shop, pages)
    ids = [await manager.submit(partial(import_page, page), name="import page") for page in range(1, pages + 1)]
    ended = [await manager.wait_for_task(task_id) for task_id in ids]
    done = [page for page in ended if page is not None]
    if len(done) < pages:
        log.error("%d of %d pages are missing; the rest is in the warehouse", pages - len(done), pages)
    current_task().log("the warehouse has been told", level="INFO")
    return sum(page["orders"] for page in done)


async def night(journal: Path) -> None:
    """A night's work of a shop: families of tasks that log, names with many tasks, one that takes too long."""
    logging.getLogger("shop").setLevel(logging.INFO)
    async with TaskManager(journal, max_concurrency=8, retention=None, capture_logs="INFO") as manager:
        ids = [
            await manager.submit(partial(import_shop, manager, shop, pages), name=f"import orders of {shop}")
            for shop, pages in (("north", 3), ("south", 4))
        ]
        ids += [await manager.submit(partial(asyncio.sleep, 0.002 * n), name="resize image") for n in range(40)]
        ids.append(await manager.submit(partial(asyncio.sleep, 60), name="send mails", timeout=0.3))
        for task_id in ids:
            await manager.wait_for_task(task_id)


def look_at_the_night(reader: Reader) -> None:
    """Take the pictures of families, logs and statistics."""
    at = datetime.now(UTC)
    save("stats", "ailf tasks stats", screens.stats_table(reports.stats(reader)))
    branches = [branch for branch in reports.tree(reader, None, reports.EVERY) if "i" in branch.line.name[:1]]
    save("tree", "ailf tasks tree", screens.tree_table(branches, at))
    logged = next(branch.line for branch in branches if "south" in branch.line.name)
    lines = [log_line(row) for row in reader.rows(logs_query(logged.id, level=None, after=0, limit=50))]
    text = "\n".join(plain.line_text(line) for line in lines)
    save("logs", f"ailf tasks logs {logged.id[-12:]}", Text(text))


def main() -> None:
    """Run the demo, and take the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "ailf_tasks.db"
        demo = subprocess.Popen(  # noqa: S603 - this Python, this package
            [sys.executable, "-m", "ailf", "demo", "--journal", str(journal)],
            stdout=subprocess.DEVNULL,
            env=os.environ | {"TERM": "dumb"},
        )
        try:
            watch(journal)
        finally:
            demo.wait()
        with open_reader(journal) as reader:
            look(reader)
        asyncio.run(night(journal.with_name("night.db")))
        with open_reader(journal.with_name("night.db")) as reader:
            look_at_the_night(reader)


if __name__ == "__main__":
    main()
