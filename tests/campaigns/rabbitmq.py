"""Celery tasks over RabbitMQ, with a Redis that keeps the results.

``python -m tests.campaigns.rabbitmq``: needs ``rabbitmq-server``, as Debian packages it. Tasks wait in a queue of their
own, are held back by a rate limit, run on a worker that cannot answer, on one that is killed, and while the broker is
restarted: none of those that live is given up, and all that are dead are.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from ailf.errors import RemoteTaskError
from ailf.workers import run_celery
from tests.conftest import PATIENCE_SECONDS
from tests.redis_server import HOST, PrivateServer, free_port
from tests.workers.worker_process import Worker

PROGRAM = "rabbitmq-server"
LONG = 25.0
"""Seconds that a task takes, which is longer than it would take to give it up."""


class RabbitMQ:
    """A broker of the campaign's own, which it may stop and start."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"amqp://guest:guest@{HOST}:{self.port}//"
        folder.chmod(0o755)
        self._folder = folder
        # What the script runs as another user has to be able to write here.
        data = folder / "rabbitmq"
        data.mkdir(mode=0o777)
        data.chmod(0o777)
        self._environment = {
            **os.environ,
            "HOME": str(data),
            "RABBITMQ_NODENAME": f"ailf{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
            "RABBITMQ_LOG_BASE": str(data / "log"),
            "RABBITMQ_PID_FILE": str(data / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "plugins"),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": HOST,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        with (self._folder / "rabbitmq.log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM], env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 4 * PATIENCE_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection((HOST, self.port), timeout=1) as link:
                    link.sendall(b"AMQP\x00\x00\x09\x01")
                    if link.recv(8):
                        return self
            except OSError:
                time.sleep(0.1)
        raise RuntimeError((self._folder / "rabbitmq.log").read_text())

    def stop(self) -> None:
        """Stop it as its operator would; what is durable stays."""
        if self._process is not None:
            os.killpg(self._process.pid, 15)
            self._process.wait(60)
            self._process = None

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        """Stop it."""
        self.stop()


class Campaign:
    """The workers, and what is tried with them."""

    def __init__(self, broker: RabbitMQ, redis: PrivateServer, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self._environment = {"CELERY_BROKER_URL": broker.url, "CELERY_RESULT_BACKEND": redis.url}
        self.workers = {
            "plain": self._worker("-n", "plain@%h", concurrency=4),
            "slow": self._worker("-n", "slow@%h", "-Q", "slow"),
            "far": self._worker("-n", "solo@far.example", "-Q", "far", pool="solo"),
            "mortal": self._worker("-n", "mortal@%h", "-Q", "mortal"),
        }
        self.app = self.workers["plain"].app

    def _worker(self, *arguments: str, pool: str = "prefork", concurrency: int = 1) -> Worker:
        return Worker(self._folder, self._environment, *arguments, pool=pool, concurrency=concurrency)

    def nap(self, seconds: float, queue: str = "ailf") -> Any:
        """A task that takes so long."""
        return self.app.signature("test.nap", args=[seconds, 1], options={"queue": queue})

    async def in_a_queue(self) -> None:
        """Wait behind another task of the same queue."""
        for result in await asyncio.gather(run_celery(self.nap(LONG, "slow")), run_celery(self.nap(0, "slow"))):
            assert result == 1

    async def behind_a_rate_limit(self) -> None:
        """Wait for one's turn, three seconds each."""
        assert await asyncio.gather(*(run_celery(self.app.signature("test.limited")) for _ in range(5))) == ["run"] * 5

    async def on_a_silent_worker(self) -> None:
        """Run, and wait, where nobody answers meanwhile."""
        for result in await asyncio.gather(run_celery(self.nap(LONG, "far")), run_celery(self.nap(0, "far"))):
            assert result == 1

    async def on_a_worker_that_is_killed(self) -> None:
        """Be given to the next worker, which the broker does at once."""
        waiting = asyncio.create_task(run_celery(self.nap(4, "mortal")))
        await asyncio.sleep(2)
        await asyncio.to_thread(self.workers["mortal"].kill)
        self.workers["mortal"] = self._worker("-n", "mortal@%h", "-Q", "mortal")
        assert await waiting == 1

    async def without_a_result(self) -> None:
        """End with nothing stored."""
        try:
            await run_celery(self.app.signature("test.ignoring"), worker_timeout=20)
        except RemoteTaskError:
            return
        raise AssertionError("a result of nothing")

    async def in_a_queue_that_nobody_takes(self) -> None:
        """Be given up when the time is up."""
        try:
            await run_celery(self.nap(0, "nobody"), worker_timeout=10)
        except RemoteTaskError:
            return
        raise AssertionError("a result from nobody")

    async def while_the_broker_restarts(self) -> None:
        """Run on."""
        waiting = asyncio.create_task(run_celery(self.nap(LONG)))
        await asyncio.sleep(2)
        await asyncio.to_thread(self._broker.stop)
        await asyncio.to_thread(self._broker.start)
        assert await waiting == 1
        assert await run_celery(self.nap(0)) == 1


async def campaign(broker: RabbitMQ, redis: PrivateServer, folder: Path) -> dict[str, str]:
    """Try everything; gives what was found for each."""
    tried = Campaign(broker, redis, folder)
    found: dict[str, str] = {}

    async def attempt(call: Callable[[], Awaitable[None]]) -> None:
        began = time.monotonic()
        try:
            async with asyncio.timeout(180):
                await call()
            found[call.__name__] = f"as it should, {time.monotonic() - began:.1f} s"
        except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
            found[call.__name__] = f"WRONG after {time.monotonic() - began:.1f} s: {error!r}"

    try:
        await asyncio.to_thread(lambda: [worker.wait_ready() for worker in tried.workers.values()])
        together = (
            tried.in_a_queue,
            tried.behind_a_rate_limit,
            tried.on_a_silent_worker,
            tried.on_a_worker_that_is_killed,
            tried.in_a_queue_that_nobody_takes,
        )
        await asyncio.gather(*map(attempt, together))
        await attempt(tried.without_a_result)
        await attempt(tried.while_the_broker_restarts)
    finally:
        for worker in tried.workers.values():
            worker.stop()
    return found


def main() -> None:
    """Run it, and say what was found."""
    if shutil.which(PROGRAM) is None:
        print(f"skipped: there is no {PROGRAM} on the PATH (Debian: apt install rabbitmq-server)")
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        RabbitMQ(Path(folder)) as broker,
        PrivateServer() as redis,
    ):
        found = asyncio.run(campaign(broker, redis, Path(folder)))
    for name, outcome in found.items():
        print(f"{name.replace('_', ' '):32} {outcome}")
    if any(outcome.startswith("WRONG") for outcome in found.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
