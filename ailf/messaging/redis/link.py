"""One pub/sub connection, from its opening to its loss: it never comes back, a new one takes its place."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol, cast

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisPyConnectionError
from redis.exceptions import ResponseError

from ailf.errors import RedisCommandError
from ailf.messaging.redis.address import CONNECTION_FAILURES
from ailf.messaging.redis.client import AsyncRedisClient
from ailf.messaging.redis.delivery import YIELD_EVERY, Subscription, cancel
from ailf.messaging.redis.message import decode

_log = logging.getLogger("ailf.messaging.redis")


class _PubSub(Protocol):
    """What is used here of redis-py's ``PubSub``, which has types only in part."""

    connection: AbstractConnection | None

    async def connect(self) -> None: ...
    async def subscribe(self, name: str) -> None: ...
    async def psubscribe(self, name: str) -> None: ...
    async def unsubscribe(self, name: str) -> None: ...
    async def punsubscribe(self, name: str) -> None: ...
    async def ping(self) -> None: ...
    async def parse_response(self, *, block: bool) -> list[bytes] | bytes | None: ...
    async def aclose(self) -> None: ...


class Topic:
    """A channel or a pattern, with the handlers on it."""

    def __init__(self, name: str, *, is_pattern: bool) -> None:
        self.name = name
        self.is_pattern = is_pattern
        self.key = (is_pattern, name.encode())
        self.subscriptions: list[Subscription] = []
        self.confirmed = asyncio.Event()
        self.leaving = False
        self.removed = asyncio.Event()
        self.refusal: ResponseError | None = None

    async def wait_confirmed(self) -> None:
        """Wait until the server has confirmed the subscription.

        Raises:
            RedisCommandError: it refused instead.
        """
        await self.confirmed.wait()
        if self.refusal is not None:
            raise RedisCommandError(
                f"Redis refused the subscription to {self.name!r}: {self.refusal}. Its ACL has to allow the channel."
            ) from self.refusal


class Link:
    """A connection to the server that is subscribed to topics.

    Invariant: redis-py never reconnects it behind our back. Its retries are off, and every call here
    looks first whether the connection still stands.
    """

    def __init__(self, client: AsyncRedisClient, heartbeat: float) -> None:
        self._heartbeat = heartbeat
        # RESP2, because every server speaks it; bytes, because a message need not be UTF-8.
        self._redis = client.open(protocol=2, decode_responses=False)
        self._pubsub = cast("_PubSub", self._redis.pubsub())
        self._asked: list[Topic] = []
        self._leaving: list[Topic] = []
        self._heard = True

    async def open(self) -> None:
        """Connect.

        Raises:
            RedisError: that failed.
        """
        await self._pubsub.connect()

    async def subscribe(self, topics: Iterable[Topic]) -> None:
        """Ask for topics; the confirmations come while :meth:`read` runs.

        It is one command each, because the server refuses a command as a whole.
        """
        for topic in topics:
            self._check_standing()
            self._asked.append(topic)
            await (self._pubsub.psubscribe if topic.is_pattern else self._pubsub.subscribe)(topic.name)

    async def unsubscribe(self, topic: Topic, *, timeout: float) -> None:
        """Ask to be rid of a topic, and wait up to ``timeout`` seconds for the confirmation."""
        self._check_standing()
        self._leaving.append(topic)
        await (self._pubsub.punsubscribe if topic.is_pattern else self._pubsub.unsubscribe)(topic.name)
        async with asyncio.timeout(timeout):
            await topic.removed.wait()

    async def read(self, topics: Mapping[tuple[bool, bytes], Topic]) -> None:
        """Hand messages to the topics' handlers until the connection breaks.

        Args:
            topics: the topics by (is it a pattern, name), as they are at the time of each message.

        Raises:
            RedisError: the connection broke.
            TimeoutError: the server gave no sign of life.
        """
        async with asyncio.timeout(None) as silence:
            beat = asyncio.create_task(self._keep_alive(silence), name="ailf-redis-heartbeat")
            try:
                await self._read(topics)
            finally:
                await cancel([beat])

    async def close(self) -> None:
        """Close the connection; on one that is broken already it only frees what is left."""
        for topic in self._leaving:
            topic.removed.set()
        with suppress(*CONNECTION_FAILURES):
            await self._pubsub.aclose()
        with suppress(*CONNECTION_FAILURES):
            await self._redis.aclose()

    async def _read(self, topics: Mapping[tuple[bool, bytes], Topic]) -> None:
        turn = 0
        while True:
            self._check_standing()
            try:
                reply = await self._pubsub.parse_response(block=True)
            except ResponseError as refusal:
                self._refused(refusal)
                continue
            self._heard = True
            if isinstance(reply, list):
                self._dispatch(reply, topics)
            turn += 1
            if turn % YIELD_EVERY == 0:
                # What is in the buffer already is read without a pause: the handlers need their turn.
                await asyncio.sleep(0)

    def _dispatch(self, reply: list[bytes], topics: Mapping[tuple[bool, bytes], Topic]) -> None:
        kind = reply[0]
        # A topic that was unsubscribed an instant ago may still have a message on the way.
        if kind == b"message":
            topic = topics.get((False, reply[1]))
            if topic is not None:
                for subscription in topic.subscriptions:
                    subscription.offer(topic.name, reply[2])
        elif kind == b"pmessage":
            topic = topics.get((True, reply[1]))
            if topic is not None:
                channel = decode(reply[2])
                for subscription in topic.subscriptions:
                    subscription.offer(channel, reply[3])
        elif kind in {b"subscribe", b"psubscribe"}:
            self._confirmed((kind == b"psubscribe", reply[1]))
        elif kind in {b"unsubscribe", b"punsubscribe"}:
            self._removed((kind == b"punsubscribe", reply[1]))

    def _confirmed(self, key: tuple[bool, bytes]) -> None:
        for topic in [asked for asked in self._asked if asked.key == key]:
            self._asked.remove(topic)
            topic.refusal = None
            topic.confirmed.set()

    def _removed(self, key: tuple[bool, bytes]) -> None:
        for topic in [leaving for leaving in self._leaving if leaving.key == key]:
            self._leaving.remove(topic)
            topic.removed.set()

    def _refused(self, refusal: ResponseError) -> None:
        if not self._asked:
            raise refusal
        # Redis answers in the order of the commands, so the refused one is the oldest without an answer.
        topic = self._asked.pop(0)
        topic.refusal = refusal
        topic.confirmed.set()
        _log.warning("Redis refused the subscription to %r: %s", topic.name, refusal)

    def _check_standing(self) -> None:
        connection = self._pubsub.connection
        if connection is None or not connection.is_connected:
            raise RedisPyConnectionError("the connection was closed")

    async def _keep_alive(self, silence: asyncio.Timeout) -> None:
        """Notice a server that went away without closing the connection."""
        while True:
            self._heard = False
            await asyncio.sleep(self._heartbeat)
            if self._heard:
                continue
            # A failure to send shows in the reader as well.
            with suppress(*CONNECTION_FAILURES):
                self._check_standing()
                await self._pubsub.ping()
            await asyncio.sleep(self._heartbeat)
            if not self._heard:
                _log.warning("Redis gave no sign of life for %g s", 2 * self._heartbeat)
                silence.reschedule(asyncio.get_running_loop().time())
                return
