"""A journal on a volume: programs in containers, whose host names, boots and pids are not those of the next one."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ailf.async_tasks.journal.form import owners_folder
from tests.conftest import PATIENCE_SECONDS


def _can_unshare() -> bool:
    tool = shutil.which("unshare")
    probe = ["unshare", "-u", "-m", "-p", "-f", "--mount-proc", "true"]
    return tool is not None and os.geteuid() == 0 and subprocess.run(probe, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _can_unshare(), reason="containers are root's to make")

PRELUDE = """
import asyncio, os, signal, sys
from ailf.async_tasks import TaskManager
journal = sys.argv[1]
"""

LOOK = """
async def main():
    async with TaskManager(journal) as manager:
        await manager.cleanup()
        info = manager.get_task_info("job")
        print(info.status, info.reason)
asyncio.run(main())
"""

LIVE = """
async def main():
    async with TaskManager(journal, cleanup_interval=3600) as manager:
        gate = asyncio.Event()
        await manager.submit(gate.wait(), task_id="job")
        print(os.getpid(), flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        gate.set()
        print(await manager.result("job"))
asyncio.run(main())
"""


def container(program: str, journal: Path, *, host: str = "container", boot: Path | None = None) -> list[str]:
    """The command that runs a program in namespaces of its own, as a container does."""
    mount = f"mount --bind {boot} /proc/sys/kernel/random/boot_id; " if boot is not None else ""
    script = f'hostname {host}; {mount}exec "$@"'
    code = PRELUDE + textwrap.dedent(program)
    inside = ["sh", "-c", script, "sh", sys.executable, "-c", code, str(journal)]
    return ["unshare", "-u", "-m", "-p", "-f", "--mount-proc", *inside]


def run(command: list[str]) -> str:
    """Run it to its end; what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("host", "boot"), [("other", "1"), ("first", "2"), ("other", "2")])
def test_a_task_that_was_killed_in_a_container_is_failed_by_the_next(
    journal: Path, tmp_path: Path, host: str, boot: str
) -> None:
    """Another host name and another boot are what the next container has as a rule: its lock is what counts."""
    boots = {name: tmp_path / f"boot-{name}" for name in "12"}
    for name, file in boots.items():
        file.write_text(f"{name * 8}-0000-0000-0000-000000000000\n")
    die = """
    async def main():
        manager = TaskManager(journal)
        await manager.start()
        await manager.submit(asyncio.sleep(3600), task_id="job")
        os._exit(0)
    asyncio.run(main())
    """
    run(container(die, journal, host="first", boot=boots["1"]))
    assert run(container(LOOK, journal, host=host, boot=boots[boot])) == "failed process_died\n"


def test_a_living_task_in_another_container_is_let_be_without_its_lock_file(journal: Path) -> None:
    """Whoever cannot see its process does not judge it, and it ends as it would have."""
    process = subprocess.Popen(
        container(LIVE, journal), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    shutil.rmtree(owners_folder(journal))
    assert run(container(LOOK, journal)) == "running None\n"
    assert run([sys.executable, "-c", PRELUDE + LOOK, str(journal)]) == "running None\n"
    output, errors = process.communicate("go on\n", timeout=PATIENCE_SECONDS)
    assert output == "True\n", errors
    assert run(container(LOOK, journal)) == "completed None\n"


def test_a_backup_that_was_made_while_running_is_recovered_where_the_pid_is_the_same(journal: Path) -> None:
    """The program of a container is always pid 1: that somebody has that pid is not that somebody lives."""
    copy = journal.with_name("copy.db")
    process = subprocess.Popen(
        container(LIVE, journal), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    run([sys.executable, "-m", "ailf", "journal", "backup", str(copy), "--journal", str(journal)])
    assert run(container(LOOK, copy)) == "failed process_died\n"
    output, errors = process.communicate("go on\n", timeout=PATIENCE_SECONDS)
    assert output == "True\n", errors
