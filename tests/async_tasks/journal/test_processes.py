"""Several processes on one journal: killed, stopped, forked, racing; the living are never touched."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ailf.async_tasks import TaskInfo, TaskManager
from ailf.async_tasks.journal.form.paths import owners_folder
from tests.async_tasks.journal.support import python
from tests.conftest import PATIENCE_SECONDS, until

WORKER = """
import asyncio, os, sys
from ailf.async_tasks import TaskManager

journal, name, then = sys.argv[1:]

async def answer():
    return {"answer": 42}

async def main():
    async with TaskManager(journal, max_concurrency=2) as manager:
        await manager.wait_for_task(await manager.submit(answer(), task_id=f"{name} done"))
        for number in range(3):
            await manager.submit(asyncio.sleep(3600), task_id=f"{name} {number}")
        if then == "fork" and os.fork() == 0:
            sys.stdin.read()
            os._exit(0)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


class Worker:
    """A process with one task that is done, two that run and one that waits for a slot."""

    def __init__(self, journal: Path, name: str, then: str = "wait") -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(journal), name, then], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        self.pid = self._process.pid

    def kill(self) -> None:
        """End it as the kernel does when memory runs out: nothing of it runs any more."""
        self._process.kill()
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def let_stop(self) -> None:
        """Let it stop its manager and end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(PATIENCE_SECONDS) == 0

    def close(self) -> None:
        """Leave nothing of it behind, forked children included, which end with their standard input."""
        if self._process.poll() is None:
            self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


@contextmanager
def worker(journal: Path, name: str, then: str = "wait") -> Iterator[Worker]:
    """A worker that is ready, and gone afterwards."""
    process = Worker(journal, name, then)
    try:
        yield process
    finally:
        process.close()


def told(manager: TaskManager, name: str) -> list[tuple[str, str | None]]:
    """Status and reason of each of a worker's tasks: 0, 1, 2 and the one that is done."""
    return [(info.status, info.reason) for info in infos(manager, name)]


def infos(manager: TaskManager, name: str) -> list[TaskInfo]:
    """Each of a worker's tasks."""
    found = [manager.get_task_info(f"{name} {which}") for which in ("0", "1", "2", "done")]
    return [info for info in found if info is not None]


def kinds(manager: TaskManager, info: TaskInfo) -> list[str]:
    """What happened to a task."""
    return [str(event.kind) for event in manager.get_task_events(info.id)]


DIED = [("failed", "process_died")] * 3 + [("completed", None)]
ALIVE = [("running", None), ("running", None), ("pending", None), ("completed", None)]
STOPPED = [("cancelled", "shutdown")] * 3 + [("completed", None)]


async def test_a_start_ends_what_a_killed_process_left_and_nothing_else(journal: Path) -> None:
    """Its unfinished tasks fail and say so, its result is kept, and a living process's tasks run on untouched."""
    with worker(journal, "dead") as dead, worker(journal, "living") as living:
        dead.kill()
        async with TaskManager(journal) as manager:
            assert told(manager, "dead") == DIED
            assert told(manager, "living") == ALIVE
            *failed, done = infos(manager, "dead")
            assert done.result == {"answer": 42}
            for info in failed:
                assert info.error is not None
                assert f"pid {dead.pid} " in info.error
                assert info.completed_at is not None
                assert info.completed_at >= (info.started_at or info.created_at)
                assert kinds(manager, info) == ["submitted", *(["started"] if info.started_at else []), "failed"]
            for info in infos(manager, "living"):
                assert "failed" not in kinds(manager, info)
            assert len(list(owners_folder(journal).glob("*-*.lock"))) == 2
            living.let_stop()
            assert told(manager, "living") == STOPPED
            assert len(list(owners_folder(journal).glob("*-*.lock"))) == 1


async def test_the_next_clean_up_of_a_living_manager_does_so_too(journal: Path) -> None:
    """It need not be a start: whoever lives finds the dead one with its next round."""
    async with TaskManager(journal) as manager:
        with worker(journal, "dead") as dead, worker(journal, "living"):
            await manager.cleanup()
            assert told(manager, "dead") == ALIVE
            dead.kill()
            waiting = asyncio.ensure_future(manager.wait_for_task("dead 0"))
            await manager.cleanup()
            assert told(manager, "dead") == DIED
            assert told(manager, "living") == ALIVE
            assert await waiting is None


async def test_the_clean_up_in_the_background_does_it_by_itself(journal: Path) -> None:
    """Nobody has to call anything."""
    async with TaskManager(journal, cleanup_interval=0.05) as manager:
        with worker(journal, "dead") as dead:
            dead.kill()
            await until(lambda: told(manager, "dead") == DIED)


async def test_a_stopped_process_is_not_dead(journal: Path) -> None:
    """SIGSTOP, a debugger or a suspended laptop: it keeps its lock, goes on later, and ends its tasks itself."""
    with worker(journal, "asleep") as asleep:
        asleep.signal(signal.SIGSTOP)
        async with TaskManager(journal) as manager:
            await manager.cleanup()
            assert told(manager, "asleep") == ALIVE
            asleep.signal(signal.SIGCONT)
            asleep.let_stop()
            assert told(manager, "asleep") == STOPPED


async def test_a_forked_child_does_not_keep_its_parent_alive(journal: Path) -> None:
    """The child inherits every open file but must not inherit the lock: the parent's death is seen while it lives."""
    with worker(journal, "parent", "fork") as parent:
        parent.kill()
        async with TaskManager(journal) as manager:
            assert told(manager, "parent") == DIED


async def test_a_removed_lock_file_does_not_kill_a_living_process(journal: Path) -> None:
    """Somebody tidied up; the process's pid speaks for it until it is gone."""
    with worker(journal, "living") as living:
        [file] = owners_folder(journal).glob("*-*.lock")
        file.unlink()
        async with TaskManager(journal) as manager:
            await manager.cleanup()
            assert told(manager, "living") == ALIVE
            living.kill()
            await manager.cleanup()
            assert told(manager, "living") == DIED


async def test_a_link_leads_to_the_same_locks(journal: Path) -> None:
    """Whatever name a process has for the journal, its death is proven by the lock, and not by its pid alone."""
    link = journal.with_name("link.db")
    link.symlink_to(journal)
    with worker(journal, "dead") as dead:
        async with TaskManager(link) as manager:
            await manager.cleanup()
            assert told(manager, "dead") == ALIVE
            assert len(list(owners_folder(journal).glob("*-*.lock"))) == 2
            dead.kill()
            await manager.cleanup()
            assert told(manager, "dead") == DIED
    assert {path.name for path in journal.parent.iterdir()} == {"link.db", "tasks.db", "tasks.db.owners"}


def test_recoverers_that_race_end_each_task_once(journal: Path) -> None:
    """However many find the dead one at the same time, each of its tasks has one ending and one event of it."""
    with worker(journal, "dead") as dead:
        dead.kill()
    program = """
import sys
from pathlib import Path
from ailf.async_tasks.journal.form.engine import Access, connect
from ailf.async_tasks.journal.care.owners import this_process
from ailf.async_tasks.journal.care.recovery import recover
journal = Path(sys.argv[1])
connection = connect(journal, Access.WRITE)
print("ready", flush=True)
sys.stdin.read()
print(recover(connection, journal, this_process()).failed)
connection.close()
"""
    command = [sys.executable, "-W", "error", "-c", program, str(journal)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.close()
        racer.stdin = None
    counts = [int(racer.communicate()[0]) for racer in racers]
    assert sum(counts) == 3
    connection = sqlite3.connect(journal)
    events = connection.execute("SELECT task_id, count(*) FROM task_events WHERE kind = 'failed' GROUP BY 1").fetchall()
    connection.close()
    assert sorted(events) == [("dead 0", 1), ("dead 1", 1), ("dead 2", 1)]
    assert [file.name for file in owners_folder(journal).iterdir()] == ["migration.lock"]


async def test_a_reader_elsewhere_does_not_hold_up_a_stop(journal: Path) -> None:
    """A shell with an open transaction keeps the log from being cut back, which can wait for another time."""
    manager = TaskManager(journal)
    await manager.start()
    reader = sqlite3.connect(journal, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM tasks").fetchone()
    await manager.wait_for_task(await manager.submit(asyncio.sleep(0)))
    async with asyncio.timeout(PATIENCE_SECONDS / 2):
        await manager.stop()
    reader.close()


async def test_a_stop_cuts_the_log_back(journal: Path) -> None:
    """With nobody in the way, what is left is one file; another process that has it open sees an empty log."""
    reader = sqlite3.connect(journal)
    async with TaskManager(journal) as manager:
        await manager.wait_for_task(await manager.submit(asyncio.sleep(0)))
        reader.execute("SELECT count(*) FROM tasks").fetchone()
        assert journal.with_name("tasks.db-wal").stat().st_size > 0
    assert journal.with_name("tasks.db-wal").stat().st_size == 0
    reader.close()


def test_a_forked_child_that_exits_leaves_its_parent_s_temporary_journal(tmp_path: Path) -> None:
    """What a process removes at its exit is its own, not its parent's."""
    program = """
import asyncio, atexit, os
from ailf.async_tasks import TaskManager

async def main():
    async with TaskManager(":memory:") as manager:
        if (child := os.fork()) == 0:
            # What sys.exit() does, but for the event loop, which the two would tear down together.
            atexit._run_exitfuncs()
            os._exit(0)
        os.waitpid(child, 0)
        print(manager.journal.exists())
        await manager.submit(asyncio.sleep(0))

asyncio.run(main())
"""
    assert python(program, TMPDIR=str(tmp_path)) == "True\n"
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_forgets_to_stop_exits_and_writes_what_it_has(journal: Path) -> None:
    """What its tasks had done is in the journal; what they had not is the next start's to end."""
    program = """
import asyncio, sys
from ailf.async_tasks import TaskManager

async def main():
    manager = TaskManager(sys.argv[1])
    await manager.start()
    for number in range(50):
        task_id = await manager.submit(asyncio.sleep(3600), task_id=str(number))
        manager.update_progress(task_id, number)

loop = asyncio.new_event_loop()
loop.run_until_complete(main())
"""
    assert (
        subprocess.run(
            [sys.executable, "-c", program, str(journal)], timeout=PATIENCE_SECONDS, check=False, capture_output=True
        ).returncode
        == 0
    )
    connection = sqlite3.connect(journal)
    assert connection.execute("SELECT count(*), max(progress) FROM tasks").fetchone() == (50, 49)
    connection.close()
