"""An agent that reads ten sources for a question, three at a time; its journal tells what each of them said.

Needs ``pip install 'ailf[cli]' httpx stamina``. The sources are made up, and answered without a network::

    python examples/research.py --journal research.db
    ailf tasks tree --journal research.db
"""

import argparse
import asyncio
import logging
import tempfile
from collections import Counter
from http import HTTPStatus
from pathlib import Path

import httpx
import stamina
from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

from ailf.async_tasks import TaskManager, current_task
from ailf.errors import TaskFailedError

SOURCES = [f"https://library.example/{number}" for number in range(1, 11)]
READ_AT_A_TIME = 3
BUSY_TIMES = 2

log = logging.getLogger("research")
# It would take structlog, where that is installed.
set_on_retry_hooks([LoggingOnRetryHook])

asked: Counter[str] = Counter()


def answer(request: httpx.Request) -> httpx.Response:
    """Stand for the sources: the fourth is busy twice, the seventh is not there."""
    asked[request.url.path] += 1
    if request.url.path == "/4" and asked[request.url.path] <= BUSY_TIMES:
        return httpx.Response(HTTPStatus.SERVICE_UNAVAILABLE)
    if request.url.path == "/7":
        return httpx.Response(HTTPStatus.NOT_FOUND)
    return httpx.Response(200, text="a journal that remembers " * int(request.url.path[1:]))


def is_busy(error: Exception) -> bool:
    """Whether it is worth another try."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == HTTPStatus.SERVICE_UNAVAILABLE


@stamina.retry(on=is_busy, attempts=5, wait_initial=0.05, wait_jitter=0)
async def fetch(client: httpx.AsyncClient, url: str) -> str:
    """Get a source, once more where it is busy."""
    response = await client.get(url)
    response.raise_for_status()
    return response.text


async def read(client: httpx.AsyncClient, url: str) -> int:
    """Read one source: a child of the task that submits it."""
    text = await fetch(client, url)
    words = len(text.split())
    current_task().log("read", source=url, words=words)
    await asyncio.sleep(0.05)  # stands for thinking about it
    return words


async def research(manager: TaskManager, question: str) -> str:
    """Have all sources read, and put together what came of it."""
    log.info("looking into %r", question)
    words = missing = 0
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        children = [
            await manager.submit(read(client, url), name=f"read {number}")
            for number, url in enumerate(SOURCES, start=1)
        ]
        for number, child in enumerate(children, start=1):
            try:
                words += await manager.result(child)
            except TaskFailedError as error:
                log.warning("going on without %s: %s", SOURCES[number - 1], error)
                missing += 1
            current_task().update_progress(100 * number // len(children), f"{number} of {len(children)}")
    log.info("%d words, %d source missing", words, missing)
    return f"{words} words from {len(children) - missing} sources"


async def run(journal: Path) -> None:
    """Ask one question, and show what came of it."""
    # One more slot than are read at a time: the one who waits for them has one as well.
    async with TaskManager(journal, capture_logs="INFO", max_concurrency=READ_AT_A_TIME + 1, retention=None) as manager:
        task_id = await manager.submit(research(manager, "what is a journal?"), name="research", timeout=60)
        print(await manager.result(task_id))
        for info in manager.list_tasks(parent=task_id):
            lines = manager.get_task_logs(info.id)
            print(f"  {info.name:9} {info.status:9} {len(lines)} lines, the last: {lines[-1].message}")


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--journal", type=Path, help="the journal; by default one that is gone afterwards")
    journal = parser.parse_args().journal
    with tempfile.TemporaryDirectory(prefix="ailf-research-") as folder:
        asyncio.run(run(journal or Path(folder) / "journal.db"))


if __name__ == "__main__":
    main()
