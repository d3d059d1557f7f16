"""Publish and subscribe, on a connection that comes back by itself."""

import asyncio
import time
from dataclasses import replace
from typing import Self

from ailf.errors import InvalidArgumentError, InvalidTypeError, RedisConnectionError
from ailf.messaging.redis.client import AsyncRedisClient
from ailf.messaging.redis.delivery import Handler, Limits, Subscription, SubscriptionInfo
from ailf.messaging.redis.link import Topic
from ailf.messaging.redis.listener import Listener, OnReconnect
from ailf.messaging.redis.message import Message, encode


class RedisPubSub:
    """Publishes messages, and hands those of the channels that it subscribes to, to handlers.

    Messages of one channel reach a handler one after the other and in order. Every handler has its own
    queue for each channel, so that a slow one holds up neither the others nor the reading of the socket. What
    waits is bounded: past ``backlog`` messages or ``backlog_bytes`` for one handler, further ones are dropped,
    counted (:attr:`dropped`, :meth:`subscriptions`) and logged.

    A connection that is lost is made again, with growing pauses, and everything subscribed again. Redis
    keeps no message for a subscriber that is away: ``on_reconnect`` tells when some may have been missed.

    Args:
        client: the client, connected before the first subscription.
        backlog: how many messages may wait for one handler on one channel or pattern.
        backlog_bytes: how many bytes of them.
        on_reconnect: called, or awaited, with a :class:`Reconnection` once every subscription is back.
        heartbeat: seconds of silence after which the server is asked for a sign of life; when that
            takes as long again, the connection counts as lost.
        timeout: seconds that the confirmation of a subscription may take.

    Raises:
        InvalidArgumentError: a limit is not above 0.
        InvalidTypeError: a limit is no number.
    """

    def __init__(
        self,
        client: AsyncRedisClient,
        *,
        backlog: int = 10_000,
        backlog_bytes: int = 64 * 1024 * 1024,
        on_reconnect: OnReconnect | None = None,
        heartbeat: float = 15.0,
        timeout: float = 5.0,
    ) -> None:
        limits = {"backlog": backlog, "backlog_bytes": backlog_bytes, "heartbeat": heartbeat, "timeout": timeout}
        for name, value in limits.items():
            if not isinstance(value, int | float):
                raise InvalidTypeError(f"{name} is {value!r}: it takes a number.")
            if not value > 0:
                raise InvalidArgumentError(f"{name} is {value!r}: it has to be above 0.")
        self._client = client
        self._limits = Limits(backlog, backlog_bytes)
        self._timeout = timeout
        self._topics: dict[tuple[bool, bytes], Topic] = {}
        self._listener = Listener(client, self._topics, heartbeat, on_reconnect)
        self._dropped_before = 0
        # One change of the subscriptions at a time, so that a confirmation belongs to the change that waits for it.
        self._changing = asyncio.Lock()

    @property
    def is_listening(self) -> bool:
        """Whether there is a connection, with every subscription confirmed on it."""
        return self._listener.is_connected and all(topic.is_heard for topic in self._topics.values())

    @property
    def client(self) -> AsyncRedisClient:
        """The client that it was made with."""
        return self._client

    @property
    def dropped(self) -> int:
        """How many messages were dropped in all, because a handler was too slow."""
        return self._dropped_before + sum(info.dropped for info in self.subscriptions())

    def subscriptions(self) -> list[SubscriptionInfo]:
        """List every handler with its counters, in the order in which the channels were first subscribed."""
        return [
            replace(subscription.info, refusal=None if topic.refusal is None else str(topic.refusal))
            for topic in self._topics.values()
            for subscription in topic.subscriptions
        ]

    async def publish(self, channel: str, message: Message) -> int:
        """Publish a message.

        Args:
            channel: the channel's name.
            message: text or bytes, or a dict or a list, which go as JSON.

        Returns:
            How many subscribers received it.

        Raises:
            InvalidTypeError: the message is something else, or holds something that JSON cannot.
            RedisConnectionError: the server cannot be reached.
            RedisNotConnectedError: the client is not connected.
        """
        return await self._client.publish(_checked(channel), encode(message))

    async def subscribe(self, channel: str, handler: Handler) -> None:
        """Have the messages of a channel handled; returns when Redis has confirmed it.

        Nothing that is published after this returned is missed while the connection holds.

        Args:
            channel: the channel's name.
            handler: called with ``(channel, message)``, both text. A plain function runs in the event
                loop and must not block; an async one is awaited before it gets its next message. Bytes
                that are not UTF-8 come as surrogate escapes. A channel takes several handlers; one that is
                given twice is called once.

        Raises:
            InvalidArgumentError: the channel has no name.
            InvalidTypeError: the handler cannot be called.
            RedisCommandError: the server's ACL does not let this user subscribe to it.
            RedisConnectionError: the server cannot be reached, or did not confirm in time.
            RedisNotConnectedError: the client is not connected.
        """
        await self._add(channel, handler, is_pattern=False)

    async def psubscribe(self, pattern: str, handler: Handler) -> None:
        """Have the messages of every channel that matches a pattern handled; else like :meth:`subscribe`.

        Args:
            pattern: a glob as Redis has it: ``*``, ``?``, ``[ab]``.
            handler: called with ``(channel, message)``, the channel being the one that it was published to.

        Raises:
            InvalidArgumentError: the pattern is empty.
            InvalidTypeError: the handler cannot be called.
            RedisCommandError: the server's ACL does not let this user subscribe to it.
            RedisConnectionError: the server cannot be reached, or did not confirm in time.
            RedisNotConnectedError: the client is not connected.
        """
        await self._add(pattern, handler, is_pattern=True)

    async def unsubscribe(self, channel: str, handler: Handler | None = None, *, drain: float = 5.0) -> bool:
        """Stop handling the messages of a channel, or those of a pattern of that name.

        Args:
            channel: what was given to ``subscribe`` or ``psubscribe``.
            handler: the one to stop; None stops all of them.
            drain: seconds that the handlers have for what was received before; the rest is dropped.

        Returns:
            Whether there was such a subscription.
        """
        _checked(channel)
        self._check_loop()
        async with self._changing:
            removed: list[Subscription] = []
            for topic in [topic for topic in self._topics.values() if topic.name == channel]:
                removed += await self._remove(topic, handler)
            await self._rest()
        await self._drain(removed, drain)
        return bool(removed)

    async def unsubscribe_all(self, *, drain: float = 5.0) -> None:
        """Stop handling messages and close the connection that they came by; a later subscription opens another.

        Args:
            drain: seconds that the handlers have for what was received before; the rest is dropped.
        """
        self._check_loop()
        async with self._changing:
            removed: list[Subscription] = []
            # One limit for all of them: a server that hangs confirms none.
            deadline = time.monotonic() + self._timeout
            for topic in list(self._topics.values()):
                removed += await self._remove(topic, None, timeout=max(0.0, deadline - time.monotonic()))
            await self._rest()
        await self._drain(removed, drain)

    async def aclose(self) -> None:
        """Do what :meth:`unsubscribe_all` does."""
        await self.unsubscribe_all()

    def abandon(self) -> None:
        """Forget every subscription, without a word to a server whose connection is out of reach.

        The client calls it.
        """
        self._listener.abandon()
        self._topics.clear()
        self._changing = asyncio.Lock()

    def _check_loop(self) -> None:
        if self._listener.is_running and self._listener.loop is not asyncio.get_running_loop():
            _ = self._client.redis  # says what is wrong

    async def __aenter__(self) -> Self:
        """Give the object itself: the first subscription opens the connection."""
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Unsubscribe from everything."""
        await self.unsubscribe_all()

    async def _add(self, name: str, handler: Handler, *, is_pattern: bool) -> None:
        if not callable(handler):
            raise InvalidTypeError(f"A handler is called with (channel, message); {handler!r} cannot be called.")
        if not _checked(name):
            raise InvalidArgumentError(f"{name!r} names no channel.")
        _ = self._client.redis  # says so when the client is not connected
        try:
            async with asyncio.timeout(self._timeout), self._changing:
                await self._add_confirmed(name, handler, is_pattern=is_pattern)
        except TimeoutError as error:
            raise RedisConnectionError(
                f"Redis at {self._client.address} did not confirm the subscription to {name!r} within "
                f"{self._timeout:g} s: nothing was subscribed. Check that the server is up; timeout= is the limit."
            ) from error

    async def _add_confirmed(self, name: str, handler: Handler, *, is_pattern: bool) -> None:
        topic = Topic(name, is_pattern=is_pattern)
        topic = self._topics.setdefault(topic.key, topic)
        if topic.refusal is not None and self._listener.is_running:
            # What was refused once may be allowed by now.
            topic.answered.clear()
            await self._listener.subscribe(topic)
        if any(known.handler == handler for known in topic.subscriptions):
            await topic.wait_confirmed()
            return
        subscription = Subscription(name, handler, self._limits, is_pattern=is_pattern)
        topic.subscriptions.append(subscription)
        try:
            if not self._listener.is_running:
                await self._listener.start()
                self._client.attach(self)
            elif len(topic.subscriptions) == 1:
                await self._listener.subscribe(topic)
            await topic.wait_confirmed()
        except BaseException:
            # Not even a cancelled call leaves a handler behind that nobody knows of.
            await self._remove(topic, handler)
            await self._rest()
            raise

    async def _remove(
        self, topic: Topic, handler: Handler | None, *, timeout: float | None = None
    ) -> list[Subscription]:
        """Take handlers off a topic, and the topic off the server where none is left."""
        removed = [known for known in topic.subscriptions if handler is None or known.handler == handler]
        if removed == topic.subscriptions:
            if topic.refusal is None:
                await self._listener.unsubscribe(topic, timeout=self._timeout if timeout is None else timeout)
            self._topics.pop(topic.key, None)
        topic.subscriptions = [known for known in topic.subscriptions if known not in removed]
        return removed

    async def _rest(self) -> None:
        """Hold no connection that nothing is subscribed on."""
        if not self._topics:
            await self._listener.stop()
            self._client.detach(self)

    async def _drain(self, removed: list[Subscription], seconds: float) -> None:
        caller = asyncio.current_task()
        await asyncio.gather(*(subscription.drain(seconds, caller) for subscription in removed))
        self._dropped_before += sum(subscription.info.dropped for subscription in removed)


def _checked(name: str) -> str:
    """Give the name of a channel, if it is one."""
    if not isinstance(name, str):
        raise InvalidTypeError(f"The name of a channel is text, not {name!r}.")
    return name
