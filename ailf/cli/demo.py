"""The demo: the main job on real files, every kind of ending, a process that dies, and what the journal says."""

import asyncio
import hashlib
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ailf.async_tasks import TaskInfo, TaskManager, TaskStatus, current_task
from ailf.async_tasks.journal.form import journal_path
from ailf.async_tasks.journal.reading import runs_query, view_query
from ailf.cli.demo_child import READY
from ailf.cli.layout import Column
from ailf.cli.options import reading
from ailf.cli.screens import COLOURS
from ailf.cli.tables import Fitted
from ailf.cli.words import short_id

MOST_FILES = 300
CONCURRENCY = 8
BLOCK_BYTES = 16 * 1024
RETENTION = timedelta(days=30)
LATEST = 8


def run(folder: Path | None, journal: Path) -> None:
    """Run the demo.

    Args:
        folder: whose files to survey; None is the folder of Python's standard library.
        journal: the journal, which keeps the history of all runs.

    Raises:
        JournalError: the journal cannot be used.
    """
    chosen = folder or Path(sysconfig.get_path("stdlib"))
    console = Console()
    asyncio.run(_demo(list(files_of(chosen)), chosen, journal, console))
    _show_history(journal, console)


def files_of(folder: Path) -> Iterator[Path]:
    """The files of a folder and of the folders in it, a few hundred at most, in a steady order."""
    found = 0
    for path in sorted(folder.rglob("*")):
        if found == MOST_FILES:
            return
        if "__pycache__" not in path.parts and path.is_file():
            found += 1
            yield path


async def survey(path: Path) -> dict[str, Any]:
    """Read a file in a thread, hash it, count its lines and words, and say how far that is."""
    return await asyncio.to_thread(_survey, path)


def _survey(path: Path) -> dict[str, Any]:
    task = current_task()
    data = path.read_bytes()
    digest = hashlib.sha256()
    lines = words = 0
    for start in range(0, len(data), BLOCK_BYTES):
        block = data[start : start + BLOCK_BYTES]
        digest.update(block)
        lines += block.count(b"\n")
        words += len(block.split())
        task.update_progress(min(100, 100 * (start + len(block)) // len(data)), f"{lines} lines")
    return {"bytes": len(data), "lines": lines, "words": words, "sha256": digest.hexdigest()}


async def _demo(files: list[Path], folder: Path, journal: Path, console: Console) -> None:
    console.print(
        f"{len(files)} files of {folder}, a task each; the journal is {journal}", soft_wrap=True, markup=False
    )
    async with TaskManager(journal, max_concurrency=CONCURRENCY, retention=RETENTION) as manager:
        earlier = manager.count_tasks()
        child = await asyncio.to_thread(_start_child, journal)
        try:
            odd = [
                await manager.submit(partial(asyncio.sleep, 60), name="too slow", timeout=0.5),
                await manager.submit(partial(survey, folder / "not-there.txt"), name="no such file"),
                await manager.submit(partial(asyncio.sleep, 60), name="unwanted"),
            ]
            ids = [
                await manager.submit(
                    partial(survey, path), name=str(path.relative_to(folder)), metadata={"folder": str(folder)}
                )
                for path in files
            ]
            await _follow(manager, [*odd, *ids], unwanted=odd[-1], console=console)
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()
        # What the scheduled clean-up does every minute: the dead process's tasks get their end.
        await manager.cleanup()
        _show_ends(manager, {*odd, *ids}, earlier, child.pid, console)


def _start_child(journal: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(  # noqa: S603 - this Python, this package
        [sys.executable, "-m", "ailf.cli.demo_child", str(journal)], stdout=subprocess.PIPE, text=True
    )
    with child.stdout or sys.stdin as said:
        if said.readline().strip() != READY:
            child.kill()
            raise RuntimeError("The demo's second process did not start.")
    return child


async def _follow(manager: TaskManager, ids: list[str], *, unwanted: str, console: Console) -> None:
    """Show the tasks as they run, until all have ended."""
    everything = asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
    overall = Progress(TextColumn("[bold]tasks ended"), BarColumn(bar_width=40), MofNCompleteColumn(), console=console)
    bar = overall.add_task("all", total=len(ids))
    began = asyncio.get_running_loop().time()
    with Live(overall, console=console, refresh_per_second=12, transient=False) as live:
        while not everything.done():
            running = manager.list_tasks(TaskStatus.RUNNING)
            left = manager.count_tasks(TaskStatus.PENDING) + len(running)
            overall.update(bar, completed=max(0, len(ids) - left))
            live.update(_running_table(overall, running))
            if asyncio.get_running_loop().time() - began > 1:
                await manager.cancel_task(unwanted)
            await asyncio.wait([everything], timeout=0.08)
        overall.update(bar, completed=len(ids))
        live.update(overall)
    if not console.is_terminal:
        console.print()
    await everything


def _running_table(overall: Progress, running: list[TaskInfo]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row(overall)
    for info in running[:CONCURRENCY]:
        row = Table.grid(padding=(0, 2))
        name = Text(info.name[-40:], style="cyan")
        row.add_row(Text(f"{info.progress:3.0f}%"), name, Text(info.progress_message or "", style="dim"))
        table.add_row(row)
    return table


def _show_ends(manager: TaskManager, ids: set[str], earlier: int, pid: int, console: Console) -> None:
    """Say what became of the tasks of both processes, in numbers that add up."""
    tasks = manager.list_tasks(offset=earlier)
    ours = [info for info in tasks if info.id in ids]
    theirs = [info for info in tasks if info.id not in ids]
    surveyed = [info.result for info in ours if info.status is TaskStatus.COMPLETED]
    lines, words = (sum(result[what] for result in surveyed) for what in ("lines", "words"))
    console.print(f"{len(ours)} tasks of this process: {_ends(ours)}", soft_wrap=True)
    console.print(
        f"{len(theirs)} tasks of a second process (pid {pid}), killed with SIGKILL: {_ends(theirs)}, "
        "which is what it left unfinished",
        soft_wrap=True,
    )
    before = f", beside {earlier} of earlier runs" if earlier else ""
    console.print(f"{len(tasks)} tasks in all{before}; {lines:,} lines and {words:,} words counted\n", soft_wrap=True)


def _ends(tasks: Sequence[TaskInfo]) -> str:
    """How many ended how, as rich is told to colour it."""
    counted = Counter(info.status for info in tasks)
    return ", ".join(f"[{COLOURS[status]}]{counted[status]} {status}[/]" for status in TaskStatus if counted[status])


def _show_history(journal: Path, console: Console) -> None:
    with reading(journal) as reader:
        runs = reader.rows(runs_query())
        history = reader.rows(view_query("task_history", ("name", "status", "ran_s", "outcome"), LATEST))
        failures = reader.rows(view_query("failed_tasks", ("name", "reason", "error", "id"), LATEST))
    ends = sorted(status for status in TaskStatus if status.is_ended)
    _show_table(console, "Every run that this journal remembers", ("started", "pid", "tasks", *ends), runs)
    _show_table(console, "The latest tasks", ("name", "status", "seconds", "outcome"), history)
    _show_table(console, "The latest failures", ("name", "reason", "error"), [row[:3] for row in failures])
    console.print("Try next:")
    for line in _next_steps(journal, next(row[3] for row in failures if row[1] == "error")):
        console.print(f"  {line}", style="bold", soft_wrap=True, markup=False)


def _next_steps(journal: Path, failed: str) -> list[str]:
    """Three command lines that work where this one did."""
    option = "" if journal == journal_path() else f" --journal {shlex.quote(str(journal))}"
    query = "select * from task_history limit 5"
    return [
        f"{_command()}{option} tasks list --failed",
        f"{_command()}{option} tasks show {short_id(failed)}",
        f"sqlite3 {shlex.quote(str(journal))} {shlex.quote(query)}",
    ]


def _command() -> str:
    """How this command is called here."""
    if Path(sys.argv[0]).name == "ailf":
        return "ailf" if shutil.which("ailf") == sys.argv[0] else shlex.quote(sys.argv[0])
    python = Path(sys.executable)
    here = python.relative_to(Path.cwd()) if python.is_relative_to(Path.cwd()) else python
    return f"{shlex.quote(str(here))} -m ailf"


def _show_table(console: Console, title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    columns = [Column(head, stays=len(heads) - place) for place, head in enumerate(heads)]
    columns[-1] = replace(columns[-1], least=len(heads[-1]))
    table = []
    for row in rows:
        texts = ["" if value is None else str(value) for value in row]
        style = next((COLOURS[TaskStatus(text)] for text in texts if text in set(TaskStatus)), "")
        table.append([Text(text, style=style) for text in texts])
    console.print(Text(title, style="bold"))
    console.print(Fitted(columns, table))
    console.print()
