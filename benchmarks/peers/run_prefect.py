"""Prefect: tasks in a flow, on the server that it starts itself, with SQLite."""

import asyncio
import os

from common import NEWEST, ameasure, aquery, arguments, say

folder, tasks, samples = arguments()
os.environ.update(
    PREFECT_HOME=str(folder),
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
    PREFECT_LOGGING_LEVEL="CRITICAL",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    DO_NOT_TRACK="1",
)

# Prefect reads its settings when it is imported.
from prefect import flow, get_client, task  # noqa: E402
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterState, TaskRunFilterStateType  # noqa: E402
from prefect.client.schemas.objects import StateType  # noqa: E402
from prefect.client.schemas.sorting import TaskRunSort  # noqa: E402

SECONDS_FOR_THE_HISTORY = 10
COMPLETED = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.COMPLETED])))


@task
async def noop() -> None:
    """Do nothing."""


@flow
async def work() -> tuple[float, list[float]]:
    """Submit the tasks."""

    async def submit() -> object:
        return noop.submit()

    async def wait(future: object) -> None:
        await asyncio.to_thread(future.result)

    return await ameasure(submit, wait, tasks, samples)


async def main() -> None:
    """Run it."""
    seconds, latencies = await work()
    # Its runs come into the history seconds later, in the background.
    await asyncio.sleep(SECONDS_FOR_THE_HISTORY)
    async with get_client() as client:
        history = await aquery(
            lambda: client.read_task_runs(task_run_filter=COMPLETED, sort=TaskRunSort.END_TIME_DESC, limit=NEWEST)
        )
    say(seconds, latencies, history)


if __name__ == "__main__":
    asyncio.run(main())
