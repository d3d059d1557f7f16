"""A connection that is cut, a server that goes away, one that falls silent."""

import asyncio
from collections.abc import Sized
from contextlib import suppress
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.errors import RedisConnectionError
from ailf.messaging.redis import AsyncRedisClient, Reconnection, RedisPubSub
from ailf.messaging.redis.delivery import cancel
from ailf.messaging.redis.listener import FIRST_DELAY, LONGEST_DELAY, backoff
from tests.conftest import until
from tests.redis_server import PrivateServer


async def test_a_killed_connection_comes_back_with_every_subscription(redis_url: str, channel: str) -> None:
    """Channels and patterns are subscribed again, and on_reconnect is told after that."""
    got: list[str] = []
    news: list[Reconnection] = []
    receivers: list[int] = []

    async with AsyncRedisClient(redis_url, client_name=channel.replace(":", "-")) as client:

        async def on_reconnect(reconnection: Reconnection) -> None:
            receivers.append(await client.publish(channel, "after"))
            news.append(reconnection)

        async with RedisPubSub(client, on_reconnect=on_reconnect) as pubsub:
            await pubsub.subscribe(channel, lambda on, message: got.append(f"{on} {message}"))
            await pubsub.psubscribe(f"{channel}?p*", lambda on, message: got.append(f"{on} {message}"))
            for round_ in range(1, 4):
                await client.redis.client_kill_filter(_type="pubsub")
                await until(partial(has_length, news, round_))
            assert receivers == [1, 1, 1]
            await pubsub.publish(f"{channel}:p", "pattern")
            await until(lambda: len(got) == 4)
            assert got == [f"{channel} after"] * 3 + [f"{channel}:p pattern"]
            assert all(one.downtime > 0 and one.attempts >= 1 and one.cause for one in news)


async def test_a_server_that_was_restarted_is_found_again(private_server: PrivateServer) -> None:
    """However long it is away: attempts go on, and calls meanwhile fail clearly."""
    got: list[str] = []
    news: list[Reconnection] = []
    async with (
        AsyncRedisClient(private_server.url) as client,
        RedisPubSub(client, on_reconnect=news.append) as pubsub,
    ):
        await pubsub.subscribe("kept", lambda _, message: got.append(message))
        private_server.stop()
        await until(lambda: not pubsub.is_listening)
        pubsub._timeout = 0.2
        with pytest.raises(RedisConnectionError, match="did not confirm"):
            await pubsub.subscribe("meanwhile", print)
        assert await pubsub.unsubscribe("nothing") is False
        private_server.start()
        await until(lambda: news)
        assert await pubsub.publish("kept", "again") == 1
        await until(lambda: got)
        assert pubsub.is_listening
        assert [info.channel for info in pubsub.subscriptions()] == ["kept"]


async def test_what_is_subscribed_during_an_outage_is_there_after_it(private_server: PrivateServer) -> None:
    """A call that waits long enough is confirmed by the next connection."""
    got: list[str] = []
    async with AsyncRedisClient(private_server.url) as client, RedisPubSub(client, timeout=30) as pubsub:
        await pubsub.subscribe("first", print)
        private_server.stop()
        await until(lambda: not pubsub.is_listening)
        waiting = asyncio.create_task(pubsub.subscribe("second", lambda _, message: got.append(message)))
        await asyncio.sleep(0)
        private_server.start()
        await waiting
        await pubsub.publish("second", "x")
        await until(lambda: got)


async def test_a_cancelled_subscription_leaves_no_handler_behind(private_server: PrivateServer) -> None:
    """Nothing is called for a subscription that its caller gave up."""
    async with AsyncRedisClient(private_server.url) as client, RedisPubSub(client) as pubsub:
        await pubsub.subscribe("first", print)
        private_server.pause()
        waiting = asyncio.create_task(pubsub.subscribe("second", print))
        await until(lambda: len(pubsub.subscriptions()) == 2)
        waiting.cancel()
        private_server.resume()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert [info.channel for info in pubsub.subscriptions()] == ["first"]
        assert await client.publish("second", "x") == 0


async def test_a_server_that_falls_silent_counts_as_lost(
    private_server: PrivateServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A connection that is open and dead is noticed by the heartbeat, and made anew."""
    news: list[Reconnection] = []
    options = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
    async with (
        AsyncRedisClient(private_server.url, **options) as client,
        RedisPubSub(client, heartbeat=0.1, on_reconnect=news.append) as pubsub,
    ):
        await pubsub.subscribe("c", print)
        private_server.pause()
        await until(lambda: "no sign of life" in caplog.text)
        private_server.resume()
        await until(lambda: news)
        assert await pubsub.publish("c", "x") == 1


async def test_a_cancellation_that_is_lost_in_sending_holds_up_nothing(
    redis_url: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As asyncio's own wait_for loses one before Python 3.12: a heartbeat at that moment hides no loss."""
    monkeypatch.setattr("ailf.messaging.redis.link.PING_INTERVAL", 0.01)
    monkeypatch.setattr("ailf.messaging.redis.delivery.UNWINDING", 0.2)
    news: list[Reconnection] = []
    sending = asyncio.Event()

    async def lose_one(*_command: str) -> None:
        sending.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()

    async with (
        AsyncRedisClient(redis_url) as client,
        RedisPubSub(client, heartbeat=1000, on_reconnect=news.append) as pubsub,
    ):
        await pubsub.subscribe(channel, print)
        link = pubsub._listener._link
        assert link is not None
        monkeypatch.setattr(link._connection, "send_command", lose_one)
        await sending.wait()
        await client.redis.client_kill_filter(_type="pubsub")
        await until(lambda: news)
        assert await pubsub.publish(channel, "x") == 1


async def test_a_connection_that_goes_while_a_command_is_sent_is_a_lost_one(
    redis_url: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis-py trips over what it has just closed: who subscribes then is subscribed on the next connection."""
    news: list[Reconnection] = []
    async with (
        AsyncRedisClient(redis_url) as client,
        RedisPubSub(client, timeout=30, on_reconnect=news.append) as pubsub,
    ):
        await pubsub.subscribe(f"{channel}:first", print)
        link = pubsub._listener._link
        assert link is not None
        connection = link._connection
        assert connection is not None

        async def trip(*_command: str) -> None:
            await connection.disconnect()
            raise AttributeError("'NoneType' object has no attribute 'writelines'")

        monkeypatch.setattr(connection, "send_command", trip)
        await pubsub.subscribe(channel, print)
        await until(lambda: news)
        assert await pubsub.publish(channel, "x") == 1


async def test_who_is_cancelled_and_does_not_unwind_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at once: it may be cleaning up."""
    monkeypatch.setattr("ailf.messaging.redis.delivery.UNWINDING", 0.05)
    lost = 0

    async def stubborn() -> None:
        nonlocal lost
        while lost < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel([task])
    assert (task.done(), lost) == (True, 3)


def has_length(values: Sized, length: int) -> bool:
    """Whether there are so many."""
    return len(values) == length


async def pings(client: AsyncRedisClient) -> int:
    """Count the PINGs that the server has had."""
    return int((await client.redis.info("commandstats"))["cmdstat_ping"]["calls"])


async def test_an_idle_connection_is_left_alone(redis_url: str, channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The heartbeat's question is answered, so nothing is made anew."""
    monkeypatch.setattr("ailf.messaging.redis.link.PING_INTERVAL", 0.05)
    news: list[Reconnection] = []
    async with (
        AsyncRedisClient(redis_url) as client,
        RedisPubSub(client, on_reconnect=news.append) as pubsub,
    ):
        await pubsub.subscribe(channel, print)
        for _ in range(3):
            asked = await pings(client)
            while await pings(client) == asked:
                await asyncio.sleep(0.01)
        assert pubsub.is_listening
        assert news == []


async def test_a_first_connection_that_fails_is_the_callers_error(private_server: PrivateServer) -> None:
    """Nothing is tried in the background for a subscription that was never made."""
    async with AsyncRedisClient(private_server.url) as client, RedisPubSub(client) as pubsub:
        private_server.stop()
        with pytest.raises(RedisConnectionError, match="Start the server"):
            await pubsub.subscribe("c", print)
        assert pubsub.subscriptions() == []
        private_server.start()
        await pubsub.subscribe("c", print)


async def test_a_callback_that_raises_stops_nothing(
    client: AsyncRedisClient, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the messages go on."""
    got: list[str] = []

    def broken(_news: Reconnection) -> None:
        raise ValueError("in the callback")

    async with RedisPubSub(client, on_reconnect=broken) as pubsub:
        await pubsub.subscribe(channel, lambda _, message: got.append(message))
        await client.redis.client_kill_filter(_type="pubsub")
        await until(lambda: "in the callback" in caplog.text)
        await pubsub.publish(channel, "x")
        await until(lambda: got)


@given(st.integers(min_value=0, max_value=10**9), st.floats(min_value=0, max_value=1))
def test_pauses_grow_up_to_a_bound(attempt: int, jitter: float) -> None:
    """Never zero, never beyond the longest, never shorter for a later attempt of the same jitter."""
    assert FIRST_DELAY / 2 <= backoff(attempt, jitter) <= backoff(attempt + 1, jitter) <= LONGEST_DELAY
