"""qler, its worker on the same loop."""

import asyncio
import logging

from common import NEWEST, POLL_SECONDS, ameasure, aquery, arguments, say
from qler import Queue, Worker, task
from qler.models.job import Job
from sqler import F

folder, tasks, samples = arguments()
queue = Queue(str(folder / "jobs.db"))


@task(queue)
async def noop() -> None:
    """Do nothing."""


async def main() -> None:
    """Run it."""
    logging.disable(logging.CRITICAL)
    await queue.init_db()
    worker = Worker(queue, concurrency=8, poll_interval=POLL_SECONDS)
    running = asyncio.create_task(worker.run())
    seconds, latencies = await ameasure(noop.enqueue, lambda job: job.wait(), tasks, samples)
    history = await aquery(lambda: Job.query().filter(F("status") == "completed").order_by("-ulid").limit(NEWEST).all())
    worker._running = False  # noqa: SLF001 - what its signal handler does
    await running
    await queue.close()
    say(seconds, latencies, history)


if __name__ == "__main__":
    asyncio.run(main())
