"""Makes the pictures of the documentation: the demo on a journal of its own, looked at with the command's screens.

At 80 columns, which is what most terminals have.

::

    python docs/screens/make.py
"""

import io
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console, RenderableType

from ailf.async_tasks import TaskInfo, TaskStatus
from ailf.async_tasks.journal import open_reader
from ailf.async_tasks.journal.form.rows import task_event, task_info
from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.queries import events_query
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.model import TaskFilter
from ailf.cli import gantt, screens
from ailf.errors import AilfError

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
WIDTH = 80
SECONDS = 60.0
MOST_NAMES = 12
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
    save("stats", "ailf tasks stats", screens.stats_table(reports.stats(reader)[:MOST_NAMES]))
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


if __name__ == "__main__":
    main()
