"""A Redis server that is killed under a running agent.

``python -m tests.campaigns.outage --seconds 5``: the agent of ``examples/agent.py`` has tasks under way when the
server is killed. They run on, and end while it is away or after; when it is back, the next request is served.
"""

import argparse
import asyncio
import importlib.util
import json
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ailf.async_tasks import TaskInfo
from ailf.messaging.redis import AsyncRedisClient, RedisPubSub
from tests.redis_server import PrivateServer

AGENT = Path(__file__).parents[2] / "examples" / "agent.py"


@dataclass(frozen=True)
class Findings:
    """What the campaign found."""

    away: float
    """Seconds for which the server was away."""
    resumed: float
    """Seconds from its return to the first request that was served."""
    tasks: list[TaskInfo]
    """What the journal says of every task."""
    under_way: int
    """How many of them ran when the server was killed."""


def agent_module() -> ModuleType:
    """Load the example."""
    spec = importlib.util.spec_from_file_location("agent", AGENT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def campaign(server: PrivateServer, journal: Path, seconds: float) -> Findings:
    """Kill the server for so many seconds, under the agent."""
    agent = agent_module()
    redis, pubsub, manager = await agent.setup_agent(server.url, journal)
    try:
        # One ends early in the outage and has to wait with its result, one in the middle, one after it.
        for number, share in enumerate((0.1, 0.5, 1.5)):
            await pubsub.publish(agent.REQUESTS, {"id": number, "text": "a b a", "seconds": share * seconds})
        async with asyncio.timeout(30):
            while len(manager.list_tasks("running")) < 3:
                await asyncio.sleep(0.01)
        server.stop()
        began = time.monotonic()
        await asyncio.sleep(seconds)
        away = time.monotonic() - began
        server.start()
        back = time.monotonic()
        await ask_until_served(agent, server.url)
        resumed = time.monotonic() - back
        async with asyncio.timeout(60):
            while manager.list_tasks(["pending", "running"]):
                await asyncio.sleep(0.02)
        return Findings(away, resumed, manager.list_tasks(), 3)
    finally:
        await agent.tear_down(redis, pubsub, manager)


async def ask_until_served(agent: ModuleType, url: str) -> None:
    """Be a client that asks again until the agent hears it."""
    served = asyncio.Event()

    def hear(_channel: str, message: str) -> None:
        if json.loads(message)["id"] == "after":
            served.set()

    async with AsyncRedisClient(url) as client, RedisPubSub(client) as pubsub, asyncio.timeout(60):
        await pubsub.subscribe(agent.RESULTS, hear)
        while not await pubsub.publish(agent.REQUESTS, {"id": "after", "text": "back again"}):
            await asyncio.sleep(0.02)
        await served.wait()


def main() -> None:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    seconds = parser.parse_args().seconds
    with PrivateServer() as server, tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(campaign(server, Path(folder) / "journal.db", seconds))
    print(f"the server was killed for {found.away:.1f} s, with {found.under_way} tasks under way")
    print(f"the agent served the next request {found.resumed:.2f} s after the server was back")
    print(
        "the tasks:", ", ".join(f"{count} {status}" for status, count in Counter(i.status for i in found.tasks).items())
    )
    for info in found.tasks:
        print(f"  request {info.metadata['request_id']}: {info.status}, ran {info.duration:.2f} s")


if __name__ == "__main__":
    main()
