"""Publish and subscribe, against a real server."""

import asyncio
import contextvars
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest

from ailf.errors import (
    InvalidArgumentError,
    InvalidTypeError,
    RedisCommandError,
    RedisConnectionError,
)
from ailf.messaging.redis import AsyncRedisClient, RedisPubSub
from ailf.messaging.redis.link import Topic
from ailf.messaging.redis.listener import Listener
from tests.conftest import until
from tests.redis_server import PrivateServer


def append_to(received: list[str]) -> Callable[[str, str], None]:
    """Make a handler that keeps the messages."""
    return lambda _, message: received.append(message)


async def test_nothing_published_after_subscribe_is_missed(pubsub: RedisPubSub, channel: str) -> None:
    """The call returns when Redis has confirmed, so the very next message arrives."""
    got: list[tuple[str, str]] = []
    for number in range(50):
        name = f"{channel}:{number}"
        await pubsub.subscribe(name, lambda on, message: got.append((on, message)))
        assert await pubsub.publish(name, "first") == 1
    await until(lambda: len(got) == 50)
    assert got == [(f"{channel}:{number}", "first") for number in range(50)]


@pytest.mark.parametrize(
    ("message", "received"),
    [
        ("text", "text"),
        ("grüße ☃", "grüße ☃"),
        (b"bytes", "bytes"),
        ({"a": [1, "ü"]}, '{"a":[1,"ü"]}'),
        ([1, None], "[1,null]"),
        ("", ""),
    ],
)
async def test_a_message_arrives_as_text(pubsub: RedisPubSub, channel: str, message: Any, received: str) -> None:
    """Text and bytes as they are, a dict or a list as JSON."""
    got: list[str] = []
    await pubsub.subscribe(channel, lambda _, text: got.append(text))
    await pubsub.publish(channel, message)
    await until(lambda: got)
    assert got == [received]


async def test_bytes_that_are_no_text_lose_nothing(pubsub: RedisPubSub, channel: str) -> None:
    """They come as surrogate escapes, which give the bytes back."""
    got: list[str] = []
    await pubsub.subscribe(channel, lambda _, text: got.append(text))
    await pubsub.publish(channel, bytes(range(256)))
    await until(lambda: got)
    assert got[0].encode("utf-8", "surrogateescape") == bytes(range(256))


@pytest.mark.parametrize("message", [1, None, {1, 2}, {"a": object()}, {"a": float("nan")}, object()])
async def test_what_cannot_be_sent_is_refused(pubsub: RedisPubSub, channel: str, message: Any) -> None:
    """The error is ours, and nothing is published."""
    with pytest.raises(InvalidTypeError):
        await pubsub.publish(channel, message)


async def test_publish_counts_the_receivers(redis_url: str, pubsub: RedisPubSub, channel: str) -> None:
    """One for each connection that is subscribed, however many handlers it has."""
    assert await pubsub.publish(channel, "x") == 0
    await pubsub.subscribe(channel, lambda *_: None)
    await pubsub.subscribe(channel, lambda *_: 0)
    async with AsyncRedisClient(redis_url) as other, RedisPubSub(other) as second:
        await second.subscribe(channel, lambda *_: None)
        assert await pubsub.publish(channel, "x") == 2


async def test_every_handler_of_a_channel_gets_every_message_in_order(pubsub: RedisPubSub, channel: str) -> None:
    """A plain one, an async one and a slow one."""
    plain: list[str] = []
    later: list[str] = []

    async def slow(_channel: str, message: str) -> None:
        await asyncio.sleep(0.001)
        later.append(message)

    await pubsub.subscribe(channel, lambda _, message: plain.append(message))
    await pubsub.subscribe(channel, slow)
    await pubsub.subscribe(channel, slow)
    sent = [str(number) for number in range(100)]
    for message in sent:
        await pubsub.publish(channel, message)
    await until(lambda: len(later) == 100)
    assert plain == later == sent


async def test_a_pattern_gives_the_channel_of_each_message(pubsub: RedisPubSub, channel: str) -> None:
    """A channel and a pattern on the same message are two subscriptions."""
    got: list[tuple[str, str, str]] = []
    await pubsub.psubscribe(f"{channel}:*", lambda on, message: got.append(("pattern", on, message)))
    await pubsub.subscribe(f"{channel}:a", lambda on, message: got.append(("channel", on, message)))
    await pubsub.publish(f"{channel}:a", "1")
    await pubsub.publish(f"{channel}:b", "2")
    await until(lambda: len(got) == 3)
    assert sorted(got) == [
        ("channel", f"{channel}:a", "1"),
        ("pattern", f"{channel}:a", "1"),
        ("pattern", f"{channel}:b", "2"),
    ]


async def test_a_slow_handler_holds_up_no_other_channel(pubsub: RedisPubSub, channel: str) -> None:
    """Not even another channel of the same pattern and handler."""
    release = asyncio.Event()
    got: list[str] = []

    async def handler(on: str, _message: str) -> None:
        if on.endswith(":slow"):
            await release.wait()
        got.append(on)

    await pubsub.psubscribe(f"{channel}:*", handler)
    await pubsub.publish(f"{channel}:slow", "x")
    await pubsub.publish(f"{channel}:fast", "x")
    await until(lambda: got)
    assert got == [f"{channel}:fast"]
    release.set()
    await until(lambda: len(got) == 2)


async def test_a_full_backlog_drops_counts_and_logs(
    client: AsyncRedisClient, channel: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits keeps its order; what came on top is counted, and the log says so."""
    # A line at the first, and one at the end, however long the machine takes in between.
    monkeypatch.setattr("ailf.messaging.redis.delivery.OVERFLOW_LOG_INTERVAL", math.inf)
    release = asyncio.Event()
    slow: list[str] = []
    fast: list[str] = []

    async def stuck(_channel: str, message: str) -> None:
        await release.wait()
        slow.append(message)

    async with RedisPubSub(client, backlog=10) as pubsub:
        await pubsub.subscribe(channel, stuck)
        await pubsub.subscribe(f"{channel}:fast", lambda _, message: fast.append(message))
        for number in range(100):
            await pubsub.publish(channel, str(number))
        await pubsub.publish(f"{channel}:fast", "through")
        await until(lambda: fast)
        (info, _) = pubsub.subscriptions()
        assert (info.waiting, info.dropped, pubsub.dropped) == (10, 89, 89)
        assert "is too slow: 1 more messages dropped, 1 in all (backlog 10 messages" in caplog.text
        release.set()
        await until(lambda: len(slow) == 11)
        assert slow == [str(number) for number in range(11)]
    assert pubsub.dropped == 89
    assert "88 more messages dropped, 89 in all" in caplog.text


async def test_the_backlog_is_bounded_in_bytes_as_well(client: AsyncRedisClient, channel: str) -> None:
    """One message above the bound passes an empty queue; a second waits for none."""
    release = asyncio.Event()

    async def stuck(_channel: str, _message: str) -> None:
        await release.wait()

    async with RedisPubSub(client, backlog_bytes=1000) as pubsub:
        await pubsub.subscribe(channel, stuck)
        for _ in range(5):
            await pubsub.publish(channel, "x" * 2000)
        await until(lambda: pubsub.dropped == 3)
        assert pubsub.subscriptions()[0].waiting_bytes == 2000
        release.set()


async def test_a_handler_that_raises_is_logged_and_gets_the_next_message(
    pubsub: RedisPubSub, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The listener lives on, and the log names the channel."""
    got: list[str] = []

    async def fragile(_channel: str, message: str) -> None:
        if message == "cancel":
            raise asyncio.CancelledError
        if message == "bad":
            raise ValueError("cannot read that")
        got.append(message)

    await pubsub.subscribe(channel, fragile)
    for message in ("bad", "cancel", "good"):
        await pubsub.publish(channel, message)
    await until(lambda: got)
    assert got == ["good"]
    assert pubsub.subscriptions()[0].errors == 2
    assert f"raised at a message on '{channel}'" in caplog.text
    assert "cannot read that" in caplog.text


async def test_a_plain_handler_that_blocks_is_named_in_the_log(
    pubsub: RedisPubSub, channel: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds up the whole loop, which the log says once, with the remedy."""
    monkeypatch.setattr("ailf.messaging.redis.delivery.BLOCKING_HANDLER", 0.0)
    got: list[str] = []
    await pubsub.subscribe(channel, lambda _, message: got.append(message))
    await pubsub.publish(channel, "1")
    await pubsub.publish(channel, "2")
    await until(lambda: len(got) == 2)
    assert caplog.text.count("held up the event loop") == 1
    assert "asyncio.to_thread" in caplog.text


async def test_a_handler_runs_in_the_context_of_its_subscriber(pubsub: RedisPubSub, channel: str) -> None:
    """Not in that of whoever subscribed first and so started the reader."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []
    variable.set("first")
    await pubsub.subscribe(f"{channel}:other", lambda *_: None)
    variable.set("second")
    await pubsub.subscribe(channel, lambda *_: seen.append(variable.get()))
    variable.set("later")
    await pubsub.publish(channel, "x")
    await until(lambda: seen)
    assert seen == ["second"]


async def test_unsubscribe_takes_one_handler_or_all(pubsub: RedisPubSub, channel: str) -> None:
    """The server is told only when the last one has gone."""
    first: list[str] = []
    second: list[str] = []
    await pubsub.subscribe(channel, lambda _, message: first.append(message))
    handler = lambda _, message: second.append(message)  # noqa: E731  the same object is given again
    await pubsub.subscribe(channel, handler)
    assert await pubsub.unsubscribe(channel, print) is False
    assert await pubsub.unsubscribe(channel, handler) is True
    assert await pubsub.publish(channel, "1") == 1
    await until(lambda: first)
    assert await pubsub.unsubscribe(channel) is True
    assert await pubsub.unsubscribe(channel) is False
    assert await pubsub.publish(channel, "2") == 0
    assert (first, second) == (["1"], [])


async def test_what_was_received_before_unsubscribe_is_still_handled(pubsub: RedisPubSub, channel: str) -> None:
    """A clean end loses nothing that had arrived."""
    got: list[str] = []

    async def slow(_channel: str, message: str) -> None:
        await asyncio.sleep(0.001)
        got.append(message)

    await pubsub.subscribe(channel, slow)
    for number in range(50):
        await pubsub.publish(channel, str(number))
    await until(lambda: pubsub.subscriptions()[0].handled)
    await pubsub.unsubscribe_all()
    assert got == [str(number) for number in range(50)]


async def test_a_handler_that_never_ends_does_not_hold_up_the_end(
    pubsub: RedisPubSub, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Past the time to drain it is cancelled, and what waited for it counts as dropped."""

    async def stuck(_channel: str, _message: str) -> None:
        await asyncio.Event().wait()

    await pubsub.subscribe(channel, stuck)
    for _ in range(3):
        await pubsub.publish(channel, "x")
    await until(lambda: pubsub.subscriptions()[0].waiting == 2)
    await pubsub.unsubscribe_all(drain=0.01)
    assert pubsub.dropped == 2
    assert "2 more messages dropped" in caplog.text


async def test_a_handler_may_unsubscribe_itself(pubsub: RedisPubSub, channel: str) -> None:
    """And everything, from inside, without waiting for itself."""
    got: list[str] = []

    async def once(on: str, message: str) -> None:
        got.append(message)
        await pubsub.unsubscribe(on, once)

    async def last(_channel: str, message: str) -> None:
        await pubsub.unsubscribe_all()
        got.append(message)

    await pubsub.subscribe(channel, once)
    await pubsub.subscribe(f"{channel}:last", last)
    await pubsub.publish(channel, "once")
    await until(lambda: got)
    await until(lambda: len(pubsub.subscriptions()) == 1)
    await pubsub.publish(f"{channel}:last", "last")
    await until(lambda: len(got) == 2)
    assert pubsub.subscriptions() == []
    assert not pubsub.is_listening


async def test_after_unsubscribe_all_one_may_subscribe_again(pubsub: RedisPubSub, channel: str) -> None:
    """The next subscription opens the next connection."""
    for _ in range(3):
        got: list[str] = []
        await pubsub.subscribe(channel, append_to(got))
        assert pubsub.is_listening
        await pubsub.publish(channel, "x")
        await until(got.copy)
        await pubsub.unsubscribe_all()
        assert not pubsub.is_listening


async def test_many_subscriptions_at_once_are_all_confirmed(pubsub: RedisPubSub, channel: str) -> None:
    """Concurrent calls do not take each other's confirmation."""
    got: list[str] = []
    names = [f"{channel}:{number}" for number in range(100)]
    await asyncio.gather(*(pubsub.subscribe(name, lambda on, _: got.append(on)) for name in names))
    counts = [await pubsub.publish(name, "x") for name in names]
    assert counts == [1] * 100
    await until(lambda: sorted(got) == sorted(names))
    await asyncio.gather(*(pubsub.unsubscribe(name) for name in names))
    assert pubsub.subscriptions() == []


async def test_bad_arguments_are_refused(client: AsyncRedisClient, pubsub: RedisPubSub, channel: str) -> None:
    """Nothing is subscribed by a call that raises."""
    not_callable: Any = "print"
    with pytest.raises(InvalidTypeError, match="cannot be called"):
        await pubsub.subscribe(channel, not_callable)
    with pytest.raises(InvalidArgumentError, match="names no channel"):
        await pubsub.subscribe("", print)
    for limit in ("backlog", "backlog_bytes", "heartbeat", "timeout"):
        options: dict[str, Any] = {limit: 0}
        with pytest.raises(InvalidArgumentError, match=limit):
            RedisPubSub(client, **options)
    assert pubsub.subscriptions() == []


async def test_a_channel_that_the_acl_forbids_is_refused_alone(private_server: PrivateServer) -> None:
    """The error says so, and the other subscriptions stand."""
    got: list[str] = []
    async with AsyncRedisClient(private_server.url) as admin:
        await admin.redis.acl_setuser(
            "agent", enabled=True, passwords=["+pw"], categories=["+@all"], keys=["*"], channels=["allowed"]
        )
        url = private_server.url.replace("redis://", "redis://agent:pw@")
        async with AsyncRedisClient(url) as client, RedisPubSub(client) as pubsub:
            with pytest.raises(RedisCommandError, match="'forbidden'"):
                await pubsub.subscribe("forbidden", print)
            await pubsub.subscribe("allowed", lambda _, message: got.append(message))
            with pytest.raises(RedisCommandError, match="'forbidden'"):
                await pubsub.subscribe("forbidden", print)
            await admin.publish("allowed", "x")
            await until(lambda: got)
            assert [info.channel for info in pubsub.subscriptions()] == ["allowed"]


async def test_a_server_that_does_not_confirm_leaves_nothing_subscribed(
    private_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is bounded, and the call can be made again."""
    async with AsyncRedisClient(private_server.url) as client, RedisPubSub(client) as pubsub:
        await pubsub.subscribe("first", lambda *_: None)
        monkeypatch.setattr(pubsub, "_timeout", 0.2)
        private_server.pause()
        try:
            with pytest.raises(RedisConnectionError, match=r"did not confirm.*within 0.2 s"):
                await pubsub.subscribe("second", print)
        finally:
            private_server.resume()
        monkeypatch.undo()
        assert [info.channel for info in pubsub.subscriptions()] == ["first"]
        await pubsub.subscribe("second", print)


async def test_a_server_that_hangs_holds_up_the_end_once(
    private_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many channels there are, none of which it lets go of."""
    waits: list[float] = []
    unsubscribe = Listener.unsubscribe

    async def noted(self: Listener, topic: Topic, *, timeout: float) -> None:
        waits.append(timeout)
        await unsubscribe(self, topic, timeout=timeout)

    async with AsyncRedisClient(private_server.url) as client, RedisPubSub(client) as pubsub:
        for number in range(20):
            await pubsub.subscribe(str(number), print)
        monkeypatch.setattr(Listener, "unsubscribe", noted)
        monkeypatch.setattr(pubsub, "_timeout", 1)
        private_server.pause()
        await pubsub.unsubscribe_all()
        assert pubsub.subscriptions() == []
        private_server.resume()
    assert len(waits) == 20
    assert sum(waits) < 2


async def test_the_log_shows_no_password(caplog: pytest.LogCaptureFixture) -> None:
    """Neither when the connection is lost nor when it cannot be made again."""
    caplog.set_level(logging.DEBUG)
    with PrivateServer("--requirepass", "s3cret") as server:
        async with (
            AsyncRedisClient(server.url.replace("redis://", "redis://:s3cret@")) as client,
            RedisPubSub(client) as pubsub,
        ):
            await pubsub.subscribe("c", print)
            server.stop()
            await until(lambda: "Attempt 2" in caplog.text)
    assert "Lost the pub/sub connection" in caplog.text
    assert "s3cret" not in caplog.text
