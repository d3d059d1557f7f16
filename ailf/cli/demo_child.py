"""The demo's second process: it finishes some tasks, leaves others running, and waits to be killed."""

import asyncio
import sys
from datetime import timedelta
from functools import partial

from ailf.async_tasks import TaskManager, current_task

READY = "ready"


async def quick(number: int) -> int:
    """A task that ends."""
    return number * number


async def endless() -> None:
    """A task that does not."""
    current_task().update_progress(40, "half-way, when the process dies")
    await asyncio.Event().wait()


async def main(journal: str) -> None:
    """Submit both kinds, say so, and wait."""
    async with TaskManager(journal, retention=timedelta(days=30)) as manager:
        for number in range(3):
            done = await manager.submit(partial(quick, number), name=f"second process: quick {number}")
            await manager.result(done)
        started = []
        for number in range(4):
            task_id = await manager.submit(endless, name=f"second process: endless {number}")
            started.append(task_id)
        async for event in manager.watch(started[-1]):
            if event.kind == "progress":
                break
        print(READY, flush=True)  # noqa: T201 - what the parent waits for
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
