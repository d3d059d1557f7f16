"""The client, against a real server."""

import asyncio
import os
from datetime import timedelta

import pytest

from ailf.errors import (
    InvalidArgumentError,
    MessagingError,
    RedisCommandError,
    RedisConnectionError,
    RedisNotConnectedError,
)
from ailf.messaging.redis import AsyncRedisClient, RedisPubSub
from tests.redis_server import PrivateServer, free_port


async def test_values_are_written_read_counted_and_deleted(client: AsyncRedisClient, channel: str) -> None:
    """The plain commands do what they say."""
    assert await client.ping() is True
    assert await client.get(channel) is None
    await client.set(channel, "grüße")
    assert await client.get(channel) == "grüße"
    assert await client.exists(channel, channel, channel + "x") == 2
    assert await client.delete(channel, channel + "x") == 1
    assert await client.exists(channel) == 0
    assert await client.delete() == await client.exists() == 0


@pytest.mark.parametrize("expire", [90, 90.0, timedelta(seconds=90)])
async def test_a_key_expires_after_what_was_given(
    client: AsyncRedisClient, channel: str, expire: float | timedelta
) -> None:
    """Seconds and timedeltas mean the same."""
    await client.set(channel, 1, expire=expire)
    assert 80_000 < await client.redis.pttl(channel) <= 90_000
    await client.set(channel, 2)
    assert await client.redis.pttl(channel) == -1


@pytest.mark.parametrize("expire", [0, -1, 0.0001])
async def test_an_expiry_that_is_none_is_refused(client: AsyncRedisClient, channel: str, expire: float) -> None:
    """Nothing is written with an expiry below a millisecond."""
    with pytest.raises(InvalidArgumentError, match="at least a millisecond"):
        await client.set(channel, "x", expire=expire)
    assert await client.exists(channel) == 0


async def test_what_redis_py_offers_is_within_reach(client: AsyncRedisClient, channel: str) -> None:
    """Locks, streams and pipelines are redis-py's own."""
    async with client.redis.lock(channel + ":lock", timeout=10):
        assert await client.exists(channel + ":lock") == 1
    await client.redis.xadd(channel, {"id": "1"})
    async with client.redis.pipeline() as pipe:
        pipe.xlen(channel)
        pipe.delete(channel)
        assert await pipe.execute() == [1, 1]


async def test_a_value_that_is_no_text_is_refused_with_the_way_to_read_it(
    redis_url: str, client: AsyncRedisClient, channel: str
) -> None:
    """Bytes are written as they are, and read through a client that does not decode."""
    await client.set(channel, b"\xff\xfe")
    with pytest.raises(MessagingError, match="decode_responses=False"):
        await client.get(channel)
    async with AsyncRedisClient(redis_url, decode_responses=False) as binary:
        assert await binary.redis.get(channel) == b"\xff\xfe"
        await binary.set(channel, "text")
        assert await binary.get(channel) == "text"


async def test_a_command_that_the_server_refuses_says_why(client: AsyncRedisClient, channel: str) -> None:
    """The server's own words are in the error."""
    await client.redis.lpush(channel, "a")
    with pytest.raises(RedisCommandError, match="WRONGTYPE"):
        await client.get(channel)


async def test_before_connect_every_call_says_to_connect(redis_url: str) -> None:
    """Neither a crash nor a silent connection."""
    client = AsyncRedisClient(redis_url)
    for call in (client.ping(), client.get("k"), client.set("k", 1), client.delete("k"), client.publish("c", "m")):
        with pytest.raises(RedisNotConnectedError, match=r"await client.connect\(\)"):
            await call
    with pytest.raises(RedisNotConnectedError):
        await RedisPubSub(client).subscribe("c", print)
    await client.disconnect()


async def test_connecting_and_disconnecting_twice_is_harmless(redis_url: str) -> None:
    """After disconnect the client may connect again."""
    client = AsyncRedisClient(redis_url)
    assert await client.connect() is client
    assert await client.connect() is client
    await client.disconnect()
    await client.disconnect()
    assert not client.is_connected
    async with client:
        assert await client.ping()


async def test_no_server_is_one_clear_error() -> None:
    """It names the address and what to do, and hides the password."""
    port = free_port()
    with pytest.raises(RedisConnectionError) as caught:
        await AsyncRedisClient(f"redis://user:s3cret@127.0.0.1:{port}/0").connect()
    message = str(caught.value)
    assert f"redis://user:***@127.0.0.1:{port}/0" in message
    assert "$AILF_REDIS_URL" in message
    assert "s3cret" not in message
    assert isinstance(caught.value, ConnectionError)


async def test_a_wrong_password_is_called_that() -> None:
    """With a wrong one, and with none where one is needed."""
    with PrivateServer("--requirepass", "right") as server:
        for credentials in (":wr0ng@", ""):
            url = server.url.replace("redis://", f"redis://{credentials}")
            with pytest.raises(RedisConnectionError, match="refused the credentials") as caught:
                await AsyncRedisClient(url).connect()
            assert "wr0ng" not in str(caught.value)
        async with AsyncRedisClient(server.url, password="right") as client:
            assert await client.ping()


async def test_tls_with_a_server_that_speaks_none_is_called_that(private_server: PrivateServer) -> None:
    """Such a server does not answer at all, so the error asks for the scheme."""
    with pytest.raises(RedisConnectionError, match=r"that it speaks TLS on that port \(redis:// is without\)"):
        await AsyncRedisClient(private_server.url.replace("redis:", "rediss:"), socket_connect_timeout=0.2).connect()


async def test_tls_that_fails_is_called_that() -> None:
    """The error names TLS, the reason and both schemes."""

    async def answer_in_plain_text(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR what is this?\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer_in_plain_text, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RedisConnectionError, match=r"TLS with Redis at rediss://.*failed: .*redis:// is without"):
            await AsyncRedisClient(f"rediss://127.0.0.1:{port}").connect()


async def test_a_server_that_does_not_answer_is_given_up_in_time(private_server: PrivateServer) -> None:
    """A stopped process holds the connection open, and still the call ends."""
    private_server.pause()
    try:
        with pytest.raises(RedisConnectionError, match="did not answer in time"):
            await AsyncRedisClient(private_server.url, socket_timeout=0.2, socket_connect_timeout=0.2).connect()
    finally:
        private_server.resume()


async def test_an_option_that_redis_py_does_not_know_is_refused(redis_url: str) -> None:
    """The error shows what was wrong with it."""
    with pytest.raises(InvalidArgumentError, match="no_such_option"):
        await AsyncRedisClient(redis_url, no_such_option=1).connect()


async def test_a_forked_child_is_told_to_connect_itself(
    client: AsyncRedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parent and child would mix up their answers on one connection."""
    here = os.getpid()
    monkeypatch.setattr(os, "getpid", lambda: here + 1)
    with pytest.raises(RedisNotConnectedError, match="parent"):
        await client.ping()
    monkeypatch.undo()


async def test_disconnect_closes_the_pubsub_of_the_client(redis_url: str, channel: str) -> None:
    """No reader is left behind in the event loop."""
    before = asyncio.all_tasks()
    client = await AsyncRedisClient(redis_url).connect()
    await RedisPubSub(client).subscribe(channel, print)
    assert asyncio.all_tasks() > before
    await client.disconnect()
    assert asyncio.all_tasks() == before
