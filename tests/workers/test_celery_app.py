"""The application as its users start it, in a working directory of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PATIENCE_SECONDS

SCRIPT = """
import asyncio
from ailf.async_tasks import TaskManager
from ailf.workers.tasks import batch_process, process_document

assert (process_document.name, batch_process.name) == ("tasks.process_document", "tasks.batch_process")

async def poll_until_all_are_ready(ids):
    sent = [process_document.delay(one) for one in ids]
    while not all(result.ready() for result in sent):
        await asyncio.sleep(0.02)
    return [result.get()["title"] for result in sent]

async def main():
    async with TaskManager("journal.db") as manager:
        print(await manager.result(await manager.submit(poll_until_all_are_ready(["a", "b"]))))

asyncio.run(main())
print(process_document("a", {"top": 1})["terms"])
"""


def test_worker_and_sender_meet_in_their_working_directory(tmp_path: Path) -> None:
    """Without a server and without a setting: the celery command here, a program with delay() there."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.md").write_text("# Alpha\n\nalpha beta\n")
    (tmp_path / "documents" / "b.txt").write_text("Beta\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AILF_", "CELERY_"))}
    celery = [sys.executable, "-m", "celery", "-A", "ailf.workers.celery_app"]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [*celery, "worker", "-c", "1", "-l", "INFO"], cwd=tmp_path, env=environment, stdout=output, stderr=output
        )
    try:
        program = [sys.executable, "-W", "error", "-c", SCRIPT]
        ended = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.stderr == ""
        assert ended.stdout == "['Alpha', 'Beta']\n[{'term': 'alpha', 'count': 2}]\n"
        asked = subprocess.run(
            [*celery, "inspect", "ping"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert "pong" in asked.stdout, asked.stderr
    finally:
        worker.terminate()
        worker.wait(PATIENCE_SECONDS)
    # After a clean stop no message is left to anybody.
    assert list((tmp_path / "ailf_celery").rglob("*.msg")) == []


@pytest.mark.parametrize(
    ("missing", "module", "extra"),
    [("redis", "ailf.messaging.redis", "ailf[redis]"), ("celery", "ailf.workers", "ailf[celery]")],
)
def test_a_missing_package_is_named_with_its_remedy(missing: str, module: str, extra: str) -> None:
    """An ImportError that has the command to type."""
    program = f"import sys; sys.modules[{missing!r}] = None\nimport {module}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "MissingExtraError" in ended.stderr
    assert f'pip install "{extra}"' in ended.stderr


def test_the_task_manager_imports_neither_redis_nor_celery() -> None:
    """Nor do the rooms of messaging and workers import each other."""
    program = """
import sys, ailf.async_tasks, ailf.errors
assert not {"redis", "celery", "kombu"} & set(sys.modules)
import ailf.messaging.redis
assert not {"celery", "kombu", "ailf.workers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    program = "import sys, ailf.workers.tasks; assert 'ailf.messaging' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
