"""One pub/sub connection, from its opening to its loss: it never comes back, a new one takes its place."""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, cast

from redis.exceptions import ConnectionError as RedisPyConnectionError
from redis.exceptions import NoPermissionError, ResponseError

from ailf.errors import RedisCommandError
from ailf.messaging.redis.address import CONNECTION_FAILURES
from ailf.messaging.redis.client import AsyncRedisClient
from ailf.messaging.redis.delivery import YIELD_EVERY, Subscription, cancel, uninterrupted
from ailf.messaging.redis.message import decode

PING_INTERVAL = 1.0
"""Seconds, at most, between two signs of life: messages may have been lost for so long before a loss is noticed."""
LATE = 1.0
"""Seconds by which a timer is late where the event loop was held up: what came meanwhile is still to be read."""

_log = logging.getLogger("ailf.messaging.redis")


class _Connection(Protocol):
    """What is used here of redis-py's ``Connection``, which has types only in part."""

    @property
    def is_connected(self) -> bool: ...

    async def send_command(self, *arguments: str) -> None: ...
    async def read_response(self, *, timeout: float, disconnect_on_error: bool) -> list[bytes] | bytes | None: ...
    async def disconnect(self) -> None: ...


class Topic:
    """A channel or a pattern, with the handlers on it."""

    def __init__(self, name: str, *, is_pattern: bool) -> None:
        self.name = name
        self.is_pattern = is_pattern
        self.key = (is_pattern, name.encode())
        self.subscriptions: list[Subscription] = []
        # Whether the server has answered on this connection, be it with a refusal.
        self.answered = asyncio.Event()
        self.leaving = False
        self.removed = asyncio.Event()
        self.refusal: ResponseError | None = None
        # Since when, on the clock of time.monotonic(), messages may be lost because of a refusal.
        self.unheard_since: float | None = None

    @property
    def is_heard(self) -> bool:
        """Whether the server has confirmed the subscription."""
        return self.answered.is_set() and self.refusal is None

    async def wait_confirmed(self) -> None:
        """Wait until the server has confirmed the subscription.

        Raises:
            RedisCommandError: it refused instead.
        """
        await self.answered.wait()
        if self.refusal is not None:
            is_forbidden = isinstance(self.refusal, NoPermissionError)
            advice = "Its ACL has to allow the channel." if is_forbidden else "Try again."
            raise RedisCommandError(
                f"Redis refused the subscription to {self.name!r}: {self.refusal}. {advice}"
            ) from self.refusal


@dataclass(frozen=True, slots=True)
class _Asked:
    """A command whose answer is to come; the server answers in the order of the commands."""

    kind: bytes
    topic: Topic | None
    at: float
    """When, on the clock of ``time.monotonic()``."""


class Link:
    """A connection to the server that is subscribed to topics.

    Invariant: redis-py never reconnects it behind our back. Its ``PubSub`` does, at a command that fails while another
    task waits for messages, which then waits for ever: so the connection is used without it, and every call here
    looks first whether it still stands.
    """

    def __init__(self, client: AsyncRedisClient, heartbeat: float, answered: Callable[[Topic], object]) -> None:
        self._heartbeat = heartbeat
        self._answered = answered
        # RESP2, because every server speaks it; bytes, because a message need not be UTF-8; and no PINGs but our own,
        # whose answers are waited for in order.
        self._redis = client.open(
            protocol=2,
            decode_responses=False,
            encoding="utf-8",
            encoding_errors="strict",
            health_check_interval=0,
            max_connections=1,
        )
        self._connection: _Connection | None = None
        self._asked: deque[_Asked] = deque()
        self._heard_at = self.alive_at = time.monotonic()
        self._ping_refused = False

    async def open(self) -> None:
        """Connect.

        Raises:
            RedisError: that failed.
        """
        self.alive_at = time.monotonic()
        self._connection = cast("_Connection", await self._redis.connection_pool.get_connection())  # type: ignore[no-untyped-call]  # redis-py has no types here
        self._heard_at = time.monotonic()

    async def subscribe(self, topics: Iterable[Topic]) -> None:
        """Ask for topics; the confirmations come while :meth:`read` runs.

        It is one command each, because the server refuses a command as a whole.
        """
        for topic in topics:
            await self._send("psubscribe" if topic.is_pattern else "subscribe", topic)

    async def unsubscribe(self, topic: Topic, *, timeout: float) -> None:
        """Ask to be rid of a topic, and wait up to ``timeout`` seconds for the confirmation."""
        await self._send("punsubscribe" if topic.is_pattern else "unsubscribe", topic)
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
        for asked in self._asked:
            if asked.topic is not None and asked.kind.endswith(b"unsubscribe"):
                asked.topic.removed.set()
        with suppress(*CONNECTION_FAILURES):
            if self._connection is not None:
                await self._connection.disconnect()
        with suppress(*CONNECTION_FAILURES):
            await self._redis.aclose()

    async def _read(self, topics: Mapping[tuple[bool, bytes], Topic]) -> None:
        turn = 0
        while True:
            connection = self._standing()
            try:
                reply = await connection.read_response(timeout=math.inf, disconnect_on_error=False)
            except ResponseError as refusal:
                self._heard_at = time.monotonic()
                self._refused(refusal)
                continue
            self._heard_at = time.monotonic()
            if isinstance(reply, list):
                self._dispatch(reply, topics)
            else:
                # Where nothing is subscribed, the answer to a PING is a plain one.
                self._done(b"ping", None)
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
        elif kind == b"pong":
            self._done(b"ping", None)
        else:
            self._confirmed(kind, reply[1])

    def _confirmed(self, kind: bytes, name: bytes) -> None:
        asked = self._done(kind, name)
        if asked is None or asked.topic is None:
            return
        topic = asked.topic
        if kind.endswith(b"unsubscribe"):
            topic.removed.set()
            return
        topic.refusal = None
        topic.answered.set()
        self._answered(topic)

    def _done(self, kind: bytes, name: bytes | None) -> _Asked | None:
        """Take the command off the list that this is the answer to: it was alive when that was sent."""
        for asked in self._asked:
            if asked.kind == kind and (asked.topic is None or asked.topic.key[1] == name):
                self._asked.remove(asked)
                self.alive_at = max(self.alive_at, asked.at)
                return asked
        return None

    def _refused(self, refusal: ResponseError) -> None:
        if not self._asked:
            raise refusal
        # Redis answers in the order of the commands, so the refused one is the oldest without an answer.
        asked = self._asked.popleft()
        self.alive_at = max(self.alive_at, asked.at)
        topic = asked.topic
        if topic is None:
            # It lives, whatever it thinks of a PING.
            if not self._ping_refused:
                _log.warning("Redis refused a PING, which also is a sign of life: %s", refusal)
            self._ping_refused = True
            return
        if asked.kind.endswith(b"unsubscribe"):
            topic.removed.set()
            return
        if topic.refusal is None:
            _log.warning("Redis refused the subscription to %r: %s", topic.name, refusal)
        topic.refusal = refusal
        topic.answered.set()
        self._answered(topic)

    def _standing(self) -> _Connection:
        if self._connection is None or not self._connection.is_connected:
            raise RedisPyConnectionError("the connection was closed")
        return self._connection

    async def _send(self, command: str, topic: Topic | None = None) -> None:
        connection = self._standing()
        self._asked.append(_Asked(command.encode(), topic, time.monotonic()))
        try:
            await uninterrupted(connection.send_command(command.upper(), *([] if topic is None else [topic.name])))
        except AttributeError as error:
            # Redis-py trips over the stream that another command, which failed, has closed meanwhile.
            if connection.is_connected:
                raise
            raise RedisPyConnectionError("the connection was closed") from error

    async def _keep_alive(self, silence: asyncio.Timeout) -> None:
        """Notice a server that went away without closing the connection, and know when it was last there."""
        pause = min(self._heartbeat, PING_INTERVAL)
        while True:
            began = time.monotonic()
            await asyncio.sleep(pause)
            now = time.monotonic()
            if now - began > pause + LATE:
                continue
            if now - self._heard_at > 2 * self._heartbeat:
                _log.warning("Redis gave no sign of life for %g s", 2 * self._heartbeat)
                silence.reschedule(asyncio.get_running_loop().time())
                return
            if any(asked.kind == b"ping" for asked in self._asked):
                continue
            # A failure to send shows in the reader as well.
            with suppress(*CONNECTION_FAILURES):
                await self._send("ping")
