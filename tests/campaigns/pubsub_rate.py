"""How fast messages are delivered, beside redis-py's own loop in the same run.

``python -m tests.campaigns.pubsub_rate --messages 100000``: another process publishes numbered messages. First
redis-py's ``listen()`` loop takes them, then a ``RedisPubSub`` that has, besides the handler that is measured, one
on the same channel that is far too slow, so that its backlog overflows all the time.
"""

import argparse
import asyncio
import multiprocessing
import resource
import time
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess

import redis
import redis.asyncio

from ailf.messaging.redis import AsyncRedisClient, RedisPubSub, SubscriptionInfo
from tests.redis_server import PrivateServer

BACKLOG = 10_000
AT_ONCE = 500
"""Messages in a pipeline of the publisher's."""


@dataclass(frozen=True)
class Findings:
    """What the campaign found."""

    messages: int
    plain_rate: float
    """Messages a second, by redis-py's loop."""
    rate: float
    """Messages a second, by the measured handler."""
    in_order: bool
    """Whether the measured handler had every message, each at its place."""
    slow: SubscriptionInfo
    """What became of the slow handler."""
    slow_in_order: bool
    """Whether what it did get was in order."""
    most_waiting: int
    """The highest number of messages that were seen waiting for both."""
    growth: int
    """By how many KiB the memory of the process grew at its peak, from one loop to the other."""


def publish(url: str, channel: str, messages: int) -> None:
    """Publish the numbers, from a process of its own."""
    with redis.Redis.from_url(url) as client:
        for start in range(0, messages, AT_ONCE):
            pipe = client.pipeline(transaction=False)
            for number in range(start, min(start + AT_ONCE, messages)):
                pipe.publish(channel, str(number))
            pipe.execute()


def publisher(url: str, channel: str, messages: int) -> SpawnProcess:
    """Start that process."""
    process = multiprocessing.get_context("spawn").Process(target=publish, args=(url, channel, messages))
    process.start()
    return process


async def plain(url: str, messages: int) -> float:
    """Take them with redis-py's loop; returns messages a second, from the first on."""
    async with redis.asyncio.Redis.from_url(url) as client, client.pubsub() as pubsub:
        await pubsub.subscribe("plain")
        process = publisher(url, "plain", messages)
        taken = 0
        began = time.perf_counter()
        async for message in pubsub.listen():
            if message["type"] != "message":
                continue
            if not taken:
                began = time.perf_counter()
            taken += 1
            if taken == messages:
                break
        seconds = time.perf_counter() - began
        await asyncio.to_thread(process.join)
    return messages / seconds


async def measured(url: str, messages: int, plain_rate: float) -> Findings:
    """Take them with a handler, beside a slow one."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    received: list[str] = []
    slowly: list[int] = []
    times: list[float] = []
    done = asyncio.Event()
    most = 0

    def handler(_channel: str, message: str) -> None:
        nonlocal most
        received.append(message)
        if len(received) in {1, messages}:
            times.append(time.perf_counter())
        if len(received) % 1000 == 0:
            most = max(most, sum(info.waiting for info in pubsub.subscriptions()))
        if len(received) == messages:
            done.set()

    async def slow(_channel: str, message: str) -> None:
        slowly.append(int(message))
        await asyncio.sleep(0.01)

    async with AsyncRedisClient(url) as client, RedisPubSub(client, backlog=BACKLOG) as pubsub:
        await pubsub.subscribe("measured", handler)
        await pubsub.subscribe("measured", slow)
        process = publisher(url, "measured", messages)
        async with asyncio.timeout(300):
            await done.wait()
        (_, info) = pubsub.subscriptions()
        await pubsub.unsubscribe_all(drain=0.1)
        await asyncio.to_thread(process.join)
    return Findings(
        messages=messages,
        plain_rate=plain_rate,
        rate=messages / (times[-1] - times[0]),
        in_order=received == [str(number) for number in range(messages)],
        slow=info,
        slow_in_order=slowly == sorted(slowly),
        most_waiting=most,
        growth=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before,
    )


async def campaign(url: str, messages: int) -> Findings:
    """Run both loops."""
    return await measured(url, messages, await plain(url, messages))


def main() -> None:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=100_000)
    messages = parser.parse_args().messages
    with PrivateServer() as server:
        found = asyncio.run(campaign(server.url, messages))
    print(f"redis-py's listen() loop   {found.plain_rate:9,.0f} messages/s")
    print(f"RedisPubSub                {found.rate:9,.0f} messages/s, {found.rate / found.plain_rate:.2f} of it")
    print(f"{found.messages:,} messages, in order: {found.in_order}")
    print(
        f"the slow handler beside it: {found.slow.handled:,} handled (in order: {found.slow_in_order}), "
        f"{found.slow.waiting:,} waiting, {found.slow.dropped:,} dropped and counted"
    )
    print(f"at most {found.most_waiting:,} messages waited; the peak of memory rose by {found.growth / 1024:.1f} MiB")


if __name__ == "__main__":
    main()
