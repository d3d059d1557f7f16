"""Options in the address, other event loops, arguments that are none, and advice that is true."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.errors import InvalidArgumentError, InvalidTypeError, RedisConnectionError, RedisNotConnectedError
from ailf.messaging.redis import AsyncRedisClient, RedisPubSub, TaskEventSubscriber
from ailf.messaging.redis.patience import RETRIES
from tests.conftest import until
from tests.redis_server import HOST, PrivateServer


@pytest.mark.parametrize(
    "options",
    ["decode_responses=true", "protocol=3", "health_check_interval=1", "max_connections=2", "encoding=latin-1"],
)
async def test_options_in_the_address_leave_pubsub_what_it_needs(private_server: PrivateServer, options: str) -> None:
    """Subscriptions are confirmed, and messages come as they were sent."""
    got: list[str] = []
    async with AsyncRedisClient(f"{private_server.url}?{options}") as client, RedisPubSub(client) as pubsub:
        await pubsub.subscribe("grüße", lambda _, message: got.append(message))
        await pubsub.publish("grüße", "schön") if "latin" not in options else None
        async with AsyncRedisClient(private_server.url) as plain:
            assert await plain.publish("grüße", "schön") == 1
        await until(lambda: got)
        assert set(got) == {"schön"}


async def test_a_command_on_a_server_that_hangs_has_one_deadline(
    private_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempts and the connections that they make share it."""
    async with AsyncRedisClient(private_server.url, socket_timeout=1, socket_connect_timeout=1) as client:
        await client.set("a", 1)
        monkeypatch.setattr("ailf.messaging.redis.patience.PATIENCE", 0.5)
        private_server.pause()
        began = asyncio.get_running_loop().time()
        with pytest.raises(RedisConnectionError, match="did not answer in time"):
            await client.get("a")
        assert asyncio.get_running_loop().time() - began < RETRIES
        monkeypatch.undo()
        private_server.resume()
        assert await client.get("a") == "1"


def test_another_event_loop_is_told_apart(private_server: PrivateServer) -> None:
    """One after the first, and one of another thread beside it; after disconnect() the client may connect again."""
    client = AsyncRedisClient(private_server.url)
    pubsub = RedisPubSub(client)

    async def first() -> None:
        await client.connect()
        await pubsub.subscribe("a", print)
        failed = await asyncio.to_thread(lambda: [attempt(call) for call in (*calls, client.disconnect)])
        assert failed == [RedisNotConnectedError] * (len(calls) + 1)
        assert pubsub.is_listening
        await client.disconnect()
        await client.connect()

    calls: list[Callable[[], Awaitable[Any]]] = [
        client.connect,
        client.ping,
        lambda: client.get("k"),
        lambda: pubsub.subscribe("b", print),
        lambda: pubsub.publish("b", "x"),
        lambda: pubsub.unsubscribe("a"),
        pubsub.aclose,
    ]

    def attempt(call: Callable[[], Awaitable[Any]]) -> type[Exception] | None:
        async def run() -> None:
            with pytest.raises(RedisNotConnectedError, match="another event loop"):
                await call()

        asyncio.run(run())
        return RedisNotConnectedError

    asyncio.run(first())
    for call in calls[:5]:
        attempt(call)
    asyncio.run(client.disconnect())
    asyncio.run(again(client))


async def again(client: AsyncRedisClient) -> None:
    """Use a client anew."""
    async with client:
        assert await client.ping()


@pytest.mark.parametrize("cut", ["#", "/", "?"])
def test_a_password_that_breaks_the_address_is_not_shown(cut: str) -> None:
    """Neither whole nor in part, be what is left a port or not; the error says how to write it."""
    for start in ("s3cr", "12"):
        with pytest.raises(InvalidArgumentError, match="%23") as caught:
            AsyncRedisClient(f"redis://bob:{start}{cut}et@host:6379/0")
        assert start not in str(caught.value)
        assert "et@" not in str(caught.value)


@pytest.mark.parametrize("spelled", ["none", "CERT_NONE", "required", "CERT_REQUIRED"])
def test_both_spellings_of_a_tls_option_work(spelled: str) -> None:
    """Redis-py's, and Celery's."""
    client = AsyncRedisClient(f"rediss://localhost/0?ssl_cert_reqs={spelled}")
    assert client.open().connection_pool.make_connection() is not None  # type: ignore[no-untyped-call]  # redis-py has no types here


async def test_a_tls_option_that_is_none_is_refused() -> None:
    """By an error of ours."""
    with pytest.raises(InvalidArgumentError, match="with these options"):
        await AsyncRedisClient("rediss://localhost/0?ssl_cert_reqs=perhaps").connect()


async def test_what_is_no_text_is_refused(client: AsyncRedisClient, pubsub: RedisPubSub) -> None:
    """Where it would break something later, or Redis has no form for it."""
    anything: Any = b"bytes"
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: pubsub.subscribe(anything, print),
        lambda: pubsub.psubscribe(anything, print),
        lambda: pubsub.unsubscribe(anything),
        lambda: pubsub.publish(anything, "x"),
    ]
    for call in calls:
        with pytest.raises(InvalidTypeError, match="is text"):
            await call()
    with pytest.raises(InvalidTypeError, match="is text"):
        await TaskEventSubscriber(pubsub, anything).__aenter__()
    with pytest.raises(InvalidTypeError, match="is text"):
        AsyncRedisClient(anything)
    nothing: Any = None
    with pytest.raises(InvalidTypeError, match="text, bytes and numbers"):
        await client.set("k", nothing)
    with pytest.raises(InvalidArgumentError, match="UTF-8"):
        await client.get("half \ud83d")
    with pytest.raises(InvalidArgumentError, match="UTF-8"):
        await pubsub.publish("c", "half \ud83d")
    with pytest.raises(InvalidTypeError, match="backlog"):
        RedisPubSub(client, backlog=anything)


async def test_half_a_character_in_json_is_escaped(pubsub: RedisPubSub, channel: str) -> None:
    """A message that JSON can hold arrives."""
    got: list[str] = []
    await pubsub.subscribe(channel, lambda _, message: got.append(message))
    await pubsub.publish(channel, {"text": "half \ud83d"})
    await until(lambda: got)
    assert got == ['{"text":"half \\ud83d"}']


@pytest.mark.parametrize("expire", [float("inf"), float("nan"), 10**30, timedelta.max, -float("inf")])
async def test_an_expiry_beyond_all_bounds_is_refused(client: AsyncRedisClient, expire: Any) -> None:
    """As one that is too short is."""
    with pytest.raises(InvalidArgumentError, match="expire is"):
        await client.set("k", "v", expire=expire)
    wrong: Any = "60"
    with pytest.raises(InvalidTypeError, match="expire is '60'"):
        await client.set("k", "v", expire=wrong)


async def test_a_pool_that_is_used_up_is_called_that(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is there, and needs no starting."""
    monkeypatch.setattr("ailf.messaging.redis.patience.PATIENCE", 0.1)
    async with AsyncRedisClient(redis_url, max_connections=1) as client:
        waiting = asyncio.ensure_future(client.redis.blpop(["nothing"], timeout=0))
        await until(lambda: client.redis.connection_pool._in_use_connections)
        with pytest.raises(RedisConnectionError, match="max_connections=") as caught:
            await client.ping()
        assert "Start the server" not in str(caught.value)
        waiting.cancel()


async def test_a_file_for_tls_that_is_missing_is_called_that(private_server: PrivateServer, tmp_path: Path) -> None:
    """The error names the options that it may be in."""
    url = private_server.url.replace("redis:", "rediss:")
    with pytest.raises(RedisConnectionError, match="ssl_ca_certs=") as caught:
        await AsyncRedisClient(url, ssl_ca_certs=str(tmp_path / "none.pem")).connect()
    assert "Start the server" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"encoding": "none such"}, {"retry": 5}, {"credential_provider": object()}],
)
async def test_an_option_of_a_wrong_type_is_refused(redis_url: str, options: dict[str, Any]) -> None:
    """By an error of ours, at connect(), whatever redis-py makes of it."""
    with pytest.raises(InvalidArgumentError, match="with these options"):
        await AsyncRedisClient(redis_url, **options).connect()


async def test_what_is_no_redis_server_is_called_that() -> None:
    """A web server, say: there is nothing to start."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RedisConnectionError, match=r"is no Redis server: .*HTTP"):
            await AsyncRedisClient(f"redis://{HOST}:{port}/0").connect()
