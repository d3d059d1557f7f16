"""DBOS on SQLite."""

import asyncio
import logging

from common import NEWEST, ameasure, aquery, arguments, say
from dbos import DBOS


@DBOS.workflow()
async def noop() -> None:
    """Do nothing."""


async def main() -> None:
    """Run it."""
    folder, tasks, samples = arguments()
    logging.disable(logging.CRITICAL)
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
            "run_admin_server": False,
            "log_level": "CRITICAL",
        }
    )
    DBOS.launch()
    seconds, latencies = await ameasure(
        lambda: DBOS.start_workflow_async(noop), lambda handle: handle.get_result(), tasks, samples
    )
    history = await aquery(lambda: DBOS.list_workflows_async(status="SUCCESS", sort_desc=True, limit=NEWEST))
    say(seconds, latencies, history)
    DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main())
