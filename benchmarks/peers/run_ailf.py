"""ailf at the work of all."""

import asyncio

from common import NEWEST, ameasure, arguments, query, say, variant

from ailf.async_tasks import TaskManager, TaskStatus


async def noop() -> None:
    """Do nothing."""


async def main() -> None:
    """Run it."""
    folder, tasks, samples = arguments()
    durability = variant() or "process"
    async with TaskManager(folder / "tasks.db", retention=None, durability=durability) as manager:
        seconds, latencies = await ameasure(lambda: manager.submit(noop()), manager.result, tasks, samples)
        history = query(lambda: manager.list_tasks(TaskStatus.COMPLETED, newest_first=True, limit=NEWEST))
    say(seconds, latencies, history)


if __name__ == "__main__":
    asyncio.run(main())
