"""pulse-queue, its pool on the same loop."""

import asyncio

from common import POLL_SECONDS, ameasure, apoll, arguments, say
from pulse_queue import HandlerRegistry, Store, TaskStatus, WorkerPool


async def main() -> None:
    """Run it."""
    folder, tasks, samples = arguments()
    registry = HandlerRegistry()

    @registry.register("noop")
    async def noop(_context: object) -> None:
        """Do nothing."""

    with Store(folder / "pulse.db") as store:
        pool = WorkerPool(
            store, registry, concurrency=1, poll_interval=POLL_SECONDS, grace_period=1.0, handle_signals=False
        )
        await pool.start()

        async def has_ended(task_id: str) -> bool:
            found = await pool.async_store.find_task(task_id)
            return found is not None and found.state is TaskStatus.COMPLETED

        seconds, latencies = await ameasure(
            lambda: pool.async_store.enqueue({"type": "noop"}),
            lambda task: apoll(lambda: has_ended(task.id)),
            tasks,
            samples,
        )
        await pool.aclose()
    # It counts tasks and lists dead letters; completed tasks it does not list.
    say(seconds, latencies, None)


if __name__ == "__main__":
    asyncio.run(main())
