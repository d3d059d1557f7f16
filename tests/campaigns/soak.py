"""Pub/sub and Celery tasks under everything that goes wrong at night, at random from a seed.

``python -m tests.campaigns.soak --seconds 600 --seed 1``: the server is restarted, connections are cut and stalled, a
user's rights are taken away and given back, workers are killed. Every message that was published and not received has
to lie in a time that ``on_reconnect`` told of, every task has to end with its result or with an error of ours, and
no connection may be left behind.
"""

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis.asyncio
import redis.exceptions

from ailf.errors import AilfError
from ailf.messaging.redis import AsyncRedisClient, Reconnection, RedisPubSub
from ailf.workers import run_celery
from tests.campaigns.proxy import Proxy
from tests.redis_server import HOST, PrivateServer
from tests.workers.worker_process import Worker, sender

CHANNEL = "soak"
AT_ONCE = 6
"""Tasks that are waited for at the same time."""
PAUSE = (2.0, 6.0)
"""Seconds between two faults."""
LONGEST_TASK = 120.0
"""Seconds after which a task that is still waited for counts as hung."""
PRECISION = 0.05
"""Seconds by which two clocks' readings of one moment may differ here."""
RIGHTS = ("bob", "on", ">pw", "~*", "&*", "+@all")


@dataclass
class Findings:
    """What the campaign found."""

    faults: Counter[str] = field(default_factory=Counter)
    published: dict[int, tuple[float, float]] = field(default_factory=dict)
    """When each message that the server took was sent, and when that was confirmed."""
    received: set[int] = field(default_factory=set)
    told: list[tuple[float, float]] = field(default_factory=list)
    """The times that were told of, from and to."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How the tasks ended."""
    wrong: list[str] = field(default_factory=list)
    """What must not be: a wrong result, an error that is none of ours, a task that hung."""
    connections: list[str] = field(default_factory=list)
    """Connections of this process that were left behind."""
    tasks: list[str] = field(default_factory=list)
    """Tasks in the event loop that were left behind."""

    @property
    def lost(self) -> list[int]:
        """Messages that were published and not received."""
        return [number for number in self.published if number not in self.received]

    @property
    def untold(self) -> list[int]:
        """Those of them that no time that was told of covers."""
        return [number for number in self.lost if not self._is_told(*self.published[number])]

    def _is_told(self, sent: float, confirmed: float) -> bool:
        return any(since - PRECISION <= confirmed and sent <= until + PRECISION for since, until in self.told)


class Soak:
    """The server, the proxy before it, the workers, and what goes wrong with them."""

    def __init__(self, server: PrivateServer, proxy: Proxy, folder: Path, chance: random.Random) -> None:
        self.server = server
        self.proxy = proxy
        self.chance = chance
        self.found = Findings()
        self.over = False
        self._folder = folder
        self.near_url = f"redis://{HOST}:{proxy.port}/0"
        self.workers = [self._worker(number) for number in range(2)]

    def _worker(self, number: int) -> Worker:
        return Worker(self._folder, {"CELERY_BROKER_URL": self.server.url}, "-n", f"soak{number}@%h", concurrency=2)

    async def go_wrong(self, seconds: float) -> None:
        """Do what goes wrong, one thing after the other, for so long."""
        faults: dict[str, Callable[[], Awaitable[None]]] = {
            "server restarted": self._restart,
            "connections cut": self.proxy.cut,
            "connections stalled": lambda: self.proxy.stall(self.chance.uniform(0.5, 6)),
            "worker killed": self._kill,
            "rights taken": self._take_rights,
        }
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(*PAUSE))
            name = self.chance.choice(sorted(faults))
            self.found.faults[name] += 1
            await faults[name]()

    async def _restart(self) -> None:
        await asyncio.to_thread(self.server.stop)
        await asyncio.sleep(self.chance.uniform(0, 3))
        await asyncio.to_thread(self.server.start)

    async def _kill(self) -> None:
        number = self.chance.randrange(len(self.workers))
        await asyncio.to_thread(self.workers[number].kill)
        self.workers[number] = self._worker(number)

    async def _take_rights(self) -> None:
        with contextlib.suppress(redis.exceptions.RedisError, OSError):
            async with redis.asyncio.from_url(self.server.url) as admin:
                await admin.execute_command("ACL", "SETUSER", "bob", "resetchannels")  # type: ignore[no-untyped-call]  # redis-py has no types here
                await asyncio.sleep(self.chance.uniform(0, 3))
                await admin.execute_command("ACL", "SETUSER", "bob", "allchannels")  # type: ignore[no-untyped-call]  # the same

    async def publish(self) -> None:
        """Publish numbers, each once, and take note of those that the server took."""
        number = 0
        async with redis.asyncio.from_url(self.server.url, retry=None) as client:
            while not self.over:
                number += 1
                sent = time.monotonic()
                with contextlib.suppress(redis.exceptions.RedisError, OSError):
                    await client.publish(CHANNEL, str(number))
                    self.found.published[number] = (sent, time.monotonic())
                await asyncio.sleep(0.02)

    def hear(self, _channel: str, message: str) -> None:
        """Take note of what was received."""
        self.found.received.add(int(message))

    def be_told(self, news: Reconnection) -> None:
        """Take note of what may be missing."""
        now = time.monotonic()
        self.found.told.append((now - news.downtime, now))

    async def work(self, app: Any) -> None:
        """Wait for tasks, one after the other."""
        number = 0
        while not self.over:
            number += 1
            signature = app.signature("test.nap", args=[self.chance.uniform(0, 1), number])
            try:
                async with asyncio.timeout(LONGEST_TASK):
                    result = await run_celery(signature, worker_timeout=15)
            except AilfError as error:
                self.found.outcomes[type(error).__name__] += 1
                # What cannot be reached is not asked a thousand times a second.
                await asyncio.sleep(0.2)
            except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
                self.found.wrong.append(repr(error))
            else:
                self.found.outcomes["result"] += 1
                if result != number:
                    self.found.wrong.append(f"{result} in place of {number}")


async def campaign(seconds: float, seed: int) -> Findings:
    """Run it for so long."""
    arguments = ("--appendonly", "yes", "--appendfsync", "always", "--user", *RIGHTS)
    with PrivateServer(*arguments) as server, tempfile.TemporaryDirectory() as folder:
        before = asyncio.all_tasks()
        async with Proxy(server.port) as proxy:
            soak = Soak(server, proxy, Path(folder), random.Random(seed))
            try:
                await asyncio.to_thread(lambda: [worker.wait_ready() for worker in soak.workers])
                await run(soak, seconds)
            finally:
                for worker in soak.workers:
                    worker.stop()
            # What this process still holds at the server, it has left behind; the administrator's own goes last.
            async with redis.asyncio.from_url(server.url, client_name="administrator") as admin:
                names = [client["name"] for client in await admin.client_list() if client["name"] != "administrator"]
            soak.found.connections = [name for name in names if name.startswith("ailf")]
        soak.found.tasks = [task.get_name() for task in asyncio.all_tasks() - before]
        return soak.found


async def run(soak: Soak, seconds: float) -> None:
    """Publish, listen and work while things go wrong, and a while longer."""
    app = sender({"CELERY_BROKER_URL": soak.near_url})
    url = soak.near_url.replace("//", "//bob:pw@")
    async with (
        AsyncRedisClient(url, client_name="ailf-soak", socket_timeout=2) as client,
        RedisPubSub(client, on_reconnect=soak.be_told, heartbeat=2) as pubsub,
    ):
        await pubsub.subscribe(CHANNEL, soak.hear)
        async with asyncio.TaskGroup() as group:
            group.create_task(soak.publish())
            for _ in range(AT_ONCE):
                group.create_task(soak.work(app))
            await soak.go_wrong(seconds)
            async with asyncio.timeout(60):
                while not pubsub.is_listening:
                    await asyncio.sleep(0.05)
            soak.over = True
        # What was published last is on its way, and so may be the last news.
        last = max(soak.found.published)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                while last not in soak.found.received or soak.found.untold:
                    await asyncio.sleep(0.05)


def main() -> None:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = asyncio.run(campaign(arguments.seconds, arguments.seed))
    print("faults:", ", ".join(f"{count} x {name}" for name, count in sorted(found.faults.items())))
    print(f"{len(found.published):,} messages published, {len(found.lost):,} of them lost, {len(found.untold)} untold")
    print("tasks:", ", ".join(f"{count} {name}" for name, count in found.outcomes.most_common()))
    print(f"wrong: {found.wrong or 'nothing'}")
    print(f"left behind: {found.connections or 'no connection'}, {found.tasks or 'no task'}")
    if found.untold or found.wrong or found.connections or found.tasks:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
