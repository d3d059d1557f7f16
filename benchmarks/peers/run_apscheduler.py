"""APScheduler 4 with the SQLAlchemy store on SQLite, its scheduler on the same loop."""

import asyncio
import logging

from apscheduler import AsyncScheduler
from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore
from common import ameasure, arguments, say

RESULT_SECONDS = 3600


async def noop() -> None:
    """Do nothing."""


async def main() -> None:
    """Run it."""
    folder, tasks, samples = arguments()
    logging.disable(logging.CRITICAL)
    store = SQLAlchemyDataStore(f"sqlite+aiosqlite:///{folder}/jobs.db")
    async with AsyncScheduler(store) as scheduler:
        await scheduler.configure_task("noop", func=noop, max_running_jobs=None)
        await scheduler.start_in_background()
        seconds, latencies = await ameasure(
            lambda: scheduler.add_job("noop", result_expiration_time=RESULT_SECONDS),
            scheduler.get_job_result,
            tasks,
            samples,
        )
        await scheduler.stop()
        await scheduler.wait_until_stopped()
    # What has run is deleted, and so is a result that was read: there is no history to ask.
    say(seconds, latencies, None)


if __name__ == "__main__":
    asyncio.run(main())
