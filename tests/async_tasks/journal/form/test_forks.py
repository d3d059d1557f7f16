"""A forked child refuses every journal that was open at the fork, by whatever name, and may use all others."""

import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ailf.async_tasks.journal.form import forks
from ailf.async_tasks.journal.form.engine import Access, connect
from tests.async_tasks.journal.support import fill

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")

PRELUDE = """
import asyncio, os, sqlite3, sys, threading, traceback
from pathlib import Path
from ailf.async_tasks import TaskManager
from ailf.async_tasks.journal import open_reader
from ailf.async_tasks.journal.care import upkeep
from ailf.async_tasks.journal.reading import Query
from ailf.errors import ManagerError
journal = Path(sys.argv[1])

def refused(call):
    try:
        call()
    except ManagerError as error:
        return "'spawn'" in str(error) and "'forkserver'" in str(error)
    return False

async def use(path):
    async with TaskManager(path, retention=None) as manager:
        return await manager.result(await manager.submit(asyncio.sleep(0, True)))

def use_it(path):
    return asyncio.run(use(path))

def in_child(work):
    if (pid := os.fork()) == 0:
        try:
            # What the parent's loop was doing is none of the child's business.
            asyncio._set_running_loop(None)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(9)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def check(*facts):
    assert all(facts), facts
"""


def run(program: str, journal: Path) -> str:
    """Run a program with the journal's path as its argument; what it prints."""
    # Newer Pythons warn of a fork beside threads, which is what is tried here.
    command = [
        sys.executable,
        "-W",
        "ignore::DeprecationWarning",
        "-c",
        PRELUDE + textwrap.dedent(program),
        str(journal),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def rows(journal: Path) -> int:
    """How many tasks are in the file, which is whole."""
    connection = sqlite3.connect(journal)
    [(whole,)] = connection.execute("PRAGMA integrity_check").fetchall()
    assert whole == "ok"
    [(count,)] = connection.execute("SELECT count(*) FROM tasks").fetchall()
    connection.close()
    return int(count)


def test_a_child_refuses_what_its_parent_s_manager_had_open(journal: Path) -> None:
    """A manager of its own, a reader, the command: by its path, by a link to it, for good; others are as ever."""
    program = """
    async def main():
        async with TaskManager(journal) as manager:
            link = journal.with_name("link.db")
            link.symlink_to(journal)
            def child():
                check(
                    refused(lambda: use_it(journal)),
                    refused(lambda: use_it(link)),
                    refused(lambda: open_reader(journal)),
                    refused(lambda: upkeep.facts(journal)),
                    refused(lambda: upkeep.recover(journal)),
                    refused(lambda: manager.list_tasks()),
                    use_it(journal.with_name("own.db")),
                    use_it(":memory:"),
                    in_child(lambda: check(refused(lambda: use_it(journal)))) == 0,
                )
            print(await asyncio.to_thread(in_child, child))
            for _ in range(50):
                await manager.result(await manager.submit(asyncio.sleep(0)))
    asyncio.run(main())
    """
    assert run(program, journal) == "0\n"
    assert rows(journal) == 50


def test_a_child_refuses_what_only_a_reader_of_its_parent_had_open(journal: Path) -> None:
    """A connection is a connection: reading alone takes locks that the child would believe to be its own."""
    fill(journal)
    program = """
    reader = open_reader(journal)
    count = Query("SELECT count(*) FROM tasks", ())
    reader.rows(count)
    print(in_child(lambda: check(refused(lambda: use_it(journal)), refused(lambda: reader.rows(count)))))
    print(reader.rows(count))
    reader.close()
    print(in_child(lambda: check(use_it(journal))))
    """
    assert run(program, journal) == "0\n[(1,)]\n0\n"


def test_what_was_closed_before_the_fork_is_free(journal: Path) -> None:
    """A program that starts and stops a manager before it forks, to migrate say, has children that work."""
    program = """
    manager = TaskManager(journal, retention=None)
    use_it(journal)
    print(in_child(lambda: check(use_it(journal))))
    async def own():
        async with manager:
            return await manager.result(await manager.submit(asyncio.sleep(0, True)))
    print([in_child(lambda: check(asyncio.run(own()))) for _ in range(3)])
    """
    assert run(program, journal) == "0\n[0, 0, 0]\n"
    assert rows(journal) == 5


def test_a_journal_that_is_just_being_made_counts_as_open(journal: Path) -> None:
    """A thread may fork at any moment of another thread's start."""
    program = """
    from ailf.async_tasks.journal.form.engine import create_file
    from ailf.async_tasks.journal.form import forks
    with forks.opening(journal):
        create_file(journal)
        print(in_child(lambda: check(refused(lambda: use_it(journal)))))
    print(in_child(lambda: check(use_it(journal))))
    """
    assert run(program, journal) == "0\n0\n"


def test_another_file_under_the_name_is_another_file(journal: Path) -> None:
    """What was put in the place of the parent's journal was not open, and what was moved away was."""
    program = """
    async def main():
        async with TaskManager(journal) as manager:
            away = journal.with_name("away.db")
            def child():
                journal.rename(away)
                check(use_it(journal), refused(lambda: use_it(away)))
                for file in journal.parent.glob(f"{journal.name}*"):
                    if file.is_file():
                        file.unlink()
                away.rename(journal)
            print(await asyncio.to_thread(in_child, child))
    asyncio.run(main())
    """
    assert run(program, journal) == "0\n"


def test_celery_s_children_refuse_it_too(journal: Path) -> None:
    """Celery's prefork pool forks with billiard, and a manager of its parent's is as open there."""
    pytest.importorskip("billiard")
    program = """
    import billiard
    def child():
        check(refused(lambda: use_it(journal)))
    async def main():
        async with TaskManager(journal):
            process = billiard.get_context("fork").Process(target=lambda: in_child(child) == 0 or os._exit(9))
            process.start()
            await asyncio.to_thread(process.join)
            print(process.exitcode)
    asyncio.run(main())
    """
    assert run(program, journal) == "0\n"


def test_a_connection_is_known_while_it_is_open(journal: Path) -> None:
    """Closed or forgotten, it is not held to be open any more."""
    fill(journal)
    before = len(forks._in_use)
    connection = connect(journal, Access.READ)
    assert len(forks._in_use) == before + 1
    connection.close()
    assert len(forks._in_use) == before
