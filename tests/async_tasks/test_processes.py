"""Managers and the ends of processes: a forgotten stop, an exit, a kill, a fork."""

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from tests.conftest import PATIENCE_SECONDS, until

PRELUDE = """
import asyncio, atexit, os, signal, sys, threading
from ailf.async_tasks import TaskManager, current_task
from ailf.errors import ManagerError
journal = sys.argv[1]
"""


def start(program: str, journal: Path) -> subprocess.Popen[str]:
    """Run a program with the journal's path as its argument."""
    return subprocess.Popen(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", PRELUDE + textwrap.dedent(program), str(journal)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(program: str, journal: Path) -> tuple[int, str, str]:
    """Run a program to its end: its exit status, what it printed, and its errors."""
    process = start(program, journal)
    try:
        output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    return process.returncode, output, errors


def rows(journal: Path) -> list[tuple[Any, ...]]:
    """The tasks in the file."""
    with closing(sqlite3.connect(journal)) as connection:
        return connection.execute("SELECT id, status, reason, result FROM tasks ORDER BY rowid").fetchall()


def test_a_process_that_forgets_to_stop_exits(journal: Path) -> None:
    """It ends by itself, and what its tasks did up to then is in the journal."""
    program = """
    async def main():
        manager = TaskManager(journal)
        await manager.start()
        await manager.result(await manager.submit(asyncio.sleep(0, 7), task_id="done"))
        await manager.alist_tasks()
        await manager.submit(asyncio.sleep(3600), task_id="running")
        manager.update_progress("running", 40)
    asyncio.run(main())
    print("out")
    """
    status, output, errors = run(program, journal)
    assert (status, output) == (0, "out\n"), errors
    assert rows(journal) == [("done", "completed", None, "7"), ("running", "cancelled", "cancelled", None)]


def test_a_process_with_a_private_journal_leaves_no_folder(tmp_path: Path) -> None:
    """What a forgotten ":memory:" manager made goes when the process does."""
    program = """
    import tempfile
    tempfile.tempdir = journal
    async def main():
        manager = TaskManager(":memory:")
        await manager.start()
        print(manager.journal.is_file())
    asyncio.run(main())
    """
    assert run(program, tmp_path)[:2] == (0, "True\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["sys.exit(3)", "raise RuntimeError('main')", "os._exit(3)"])
async def test_a_process_that_ends_in_the_middle_is_made_up_for(journal: Path, ending: str) -> None:
    """However the process ends, no task of it is unfinished after the next start, and finished ones are kept."""
    program = f"""
    async def main():
        manager = TaskManager(journal)
        await manager.start()
        await manager.result(await manager.submit(asyncio.sleep(0, 7), task_id="done"))
        await manager.submit(asyncio.sleep(3600), task_id="running")
        {ending}
    asyncio.run(main())
    """
    status, _, errors = run(program, journal)
    assert status != 0
    assert "never awaited" not in errors
    async with TaskManager(journal) as manager:
        done, running = manager.list_tasks()
        assert (done.status, done.result) == (TaskStatus.COMPLETED, 7)
        assert running.status in {TaskStatus.CANCELLED, TaskStatus.FAILED}
        assert running.reason in {"cancelled", "process_died"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_does_not_use_its_parents_manager(journal: Path) -> None:
    """Every call in the child says so and changes nothing; a manager of its own is for other journals."""
    program = """
    def refused(call, *arguments):
        try:
            result = call(*arguments)
            if asyncio.iscoroutine(result):
                asyncio.run(result)
        except ManagerError as error:
            return "after a fork" in str(error)
        return False

    async def own():
        async with TaskManager(journal + ".own") as manager:
            return await manager.result(await manager.submit(asyncio.sleep(0, "own"), task_id="child's"))

    async def main():
        async with TaskManager(journal) as manager:
            await manager.submit(asyncio.sleep(0, "parent"), task_id="parent's")
            pid = os.fork()
            if pid == 0:
                asyncio._set_running_loop(None)
                calls = [
                    refused(manager.get_task_info, "parent's"), refused(manager.list_tasks),
                    refused(manager.update_progress, "parent's", 5), refused(manager.submit, asyncio.sleep),
                    refused(manager.stop), refused(manager.start), refused(manager.cancel_task, "parent's"),
                ]
                os._exit(0 if all(calls) and asyncio.run(own()) == "own" else 9)
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            print(os.waitstatus_to_exitcode(status), await manager.result("parent's"))
            print(await manager.result(await manager.submit(asyncio.sleep(0, "on"))))
    asyncio.run(main())
    """
    status, output, errors = run(program, journal)
    assert (status, output) == (0, "0 parent\non\n"), errors
    assert [row[1] for row in rows(journal)] == ["completed"] * 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.parametrize("call", ["start", "stop"])
def test_a_forked_child_does_not_put_its_parents_manager_in_order(journal: Path, call: str) -> None:
    """Where the parent's loop was closed without a stop, what was left open is the parent's to close."""
    program = f"""
    manager = TaskManager(journal)
    async def main():
        await manager.start()
        await manager.submit(asyncio.sleep(3600), task_id="running")
    asyncio.run(main())
    if (pid := os.fork()) == 0:
        try:
            asyncio.run(manager.{call}())
        except ManagerError as error:
            os._exit(0 if "after a fork" in str(error) else 8)
        os._exit(9)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    asyncio.run(manager.stop())
    """
    status, output, errors = run(program, journal)
    assert (status, output) == (0, "0\n"), errors
    assert rows(journal) == [("running", "cancelled", "cancelled", None)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_of_a_task_cannot_report_for_it(journal: Path) -> None:
    """``current_task()`` goes along with the context, and refuses: nobody would write the report."""
    program = """
    async def forking():
        task = current_task()
        if (pid := os.fork()) == 0:
            try:
                task.update_progress(50)
            except ManagerError as error:
                os._exit(0 if "after a fork" in str(error) else 8)
            os._exit(9)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        return os.waitstatus_to_exitcode(status), task.update_progress(60)

    async def main():
        async with TaskManager(journal) as manager:
            print(await manager.result(await manager.submit(forking())))
    asyncio.run(main())
    """
    status, output, errors = run(program, journal)
    assert (status, output) == (0, "(0, True)\n"), errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_that_exits_takes_nothing_of_its_parent_along(tmp_path: Path) -> None:
    """A forked child that ends in the ordinary way leaves its parent's private journal where it is."""
    program = """
    async def main():
        async with TaskManager(":memory:") as manager:
            if (pid := os.fork()) == 0:
                # What an ordinary exit does; the event loop itself is not to be touched in a child.
                atexit._run_exitfuncs()
                os._exit(0)
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            print(manager.journal.is_file(), await manager.result(await manager.submit(asyncio.sleep(0, "on"))))
    asyncio.run(main())
    """
    status, output, errors = run(program, tmp_path / "unused")
    assert (status, output) == (0, "True on\n"), errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
async def test_a_child_does_not_keep_its_dead_parent_alive(journal: Path) -> None:
    """A parent that was killed is found dead though its forked child lives on."""
    program = """
    async def main():
        manager = TaskManager(journal)
        await manager.start()
        await manager.submit(asyncio.sleep(3600), task_id="running")
        if (pid := os.fork()) == 0:
            os.close(1), os.close(2)
            signal.pause()
            os._exit(0)
        print(pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    asyncio.run(main())
    """
    process = start(program, journal)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        os.kill(child, 0)
        async with TaskManager(journal) as manager:
            [info] = manager.list_tasks()
            assert (info.status, info.reason) == (TaskStatus.FAILED, "process_died")
    finally:
        os.kill(child, signal.SIGKILL)
        process.communicate()


async def test_a_living_process_is_let_be(journal: Path) -> None:
    """While another process is killed and made up for, one that runs, or stands still, keeps its tasks."""
    program = """
    async def main():
        async with TaskManager(journal) as manager:
            await manager.submit(asyncio.sleep(0, "kept"), task_id=f"done of {sys.argv[2:] or os.getpid()}")
            await manager.submit(asyncio.sleep(3600), task_id=f"running of {os.getpid()}")
            await asyncio.sleep(0.01)
            print(os.getpid(), flush=True)
            await asyncio.Event().wait()
    asyncio.run(main())
    """
    processes = [start(program, journal) for _ in range(2)]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == f"{process.pid}\n"
        killed, living = processes
        os.kill(living.pid, signal.SIGSTOP)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait(PATIENCE_SECONDS)
        async with TaskManager(journal) as manager:
            await until(lambda: manager.count_tasks("failed") == 1)
            await manager.cleanup()
            states = {info.id: (str(info.status), info.result) for info in manager.list_tasks()}
            assert states == {
                f"done of {killed.pid}": ("completed", "kept"),
                f"running of {killed.pid}": ("failed", None),
                f"done of {living.pid}": ("completed", "kept"),
                f"running of {living.pid}": ("running", None),
            }
    finally:
        for process in processes:
            process.kill()
            process.communicate()
