"""What a server does not let a user hear, and what it then lets it hear again."""

import asyncio

import pytest
import redis
from redis import CredentialProvider

from ailf.errors import RedisCommandError
from ailf.messaging.redis import AsyncRedisClient, Reconnection, RedisPubSub
from tests.conftest import until
from tests.redis_server import PrivateServer


class Administrator:
    """Gives and takes the rights of a user called bob."""

    def __init__(self, server: PrivateServer) -> None:
        self.redis = redis.Redis.from_url(server.url)
        self.url = server.url.replace("//", "//bob:pw@")
        self.set("on", ">pw", "~*", "&*", "+@all")

    def set(self, *rules: str) -> None:
        """Change the user."""
        self.redis.execute_command("ACL", "SETUSER", "bob", *rules)  # type: ignore[no-untyped-call]  # redis-py has no types here


@pytest.fixture
def bob(private_server: PrivateServer) -> Administrator:
    """The administrator of a server with that user."""
    return Administrator(private_server)


async def test_a_channel_that_is_forbidden_later_is_not_heard_and_is_heard_again(
    bob: Administrator, caplog: pytest.LogCaptureFixture
) -> None:
    """That is shown while it lasts, logged once, tried again, and told with all of its time."""
    got: list[str] = []
    told: list[Reconnection] = []
    async with AsyncRedisClient(bob.url) as client, RedisPubSub(client, on_reconnect=told.append) as pubsub:
        await pubsub.subscribe("jobs", lambda _, message: got.append(message))
        loop = asyncio.get_running_loop()
        began = loop.time()
        bob.set("resetchannels")
        await until(lambda: pubsub.subscriptions()[0].refusal)
        assert pubsub.is_listening is False
        assert told == []
        with pytest.raises(RedisCommandError, match="Its ACL has to allow the channel"):
            await pubsub.subscribe("jobs", print)
        assert len(pubsub.subscriptions()) == 1
        bob.set("allchannels")
        await until(lambda: told and pubsub.is_listening)
        assert pubsub.subscriptions()[0].refusal is None
        assert bob.redis.publish("jobs", "again") == 1
        await until(lambda: got)
        assert [news.downtime >= loop.time() - began - 1 for news in told] == [True]
    assert caplog.text.count("refused the subscription to 'jobs'") == 1


async def test_a_refusal_is_never_held_against_a_new_call(bob: Administrator) -> None:
    """It asks again, and does not wait for the next attempt in the background."""
    async with AsyncRedisClient(bob.url) as client, RedisPubSub(client, timeout=30) as pubsub:
        await pubsub.subscribe("kept", print)
        await pubsub.subscribe("jobs", print)
        bob.set("resetchannels", "&kept")
        await until(lambda: pubsub.subscriptions()[1].refusal)
        assert pubsub.subscriptions()[0].refusal is None
        bob.set("allchannels")
        await pubsub.subscribe("jobs", print)
        assert pubsub.is_listening


async def test_a_forbidden_ping_is_a_sign_of_life(
    bob: Administrator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stays, and messages go on."""
    monkeypatch.setattr("ailf.messaging.redis.link.PING_INTERVAL", 0.05)
    got: list[str] = []
    told: list[Reconnection] = []
    async with (
        AsyncRedisClient(bob.url) as client,
        RedisPubSub(client, on_reconnect=told.append) as pubsub,
    ):
        await pubsub.subscribe("jobs", lambda _, message: got.append(message))
        bob.set("-ping")
        await until(lambda: "refused a PING" in caplog.text)
        for number in range(3):
            bob.redis.publish("jobs", str(number))
            await until(lambda: len(got) == number + 1)  # noqa: B023  awaited before the next turn
    assert told == []


async def test_a_password_that_changes_keeps_working(bob: Administrator) -> None:
    """Whoever provides it is asked for each connection."""
    passwords = ["pw"]

    class Provider(CredentialProvider):
        def get_credentials(self) -> tuple[str, str]:
            return "bob", passwords[-1]

    told: list[Reconnection] = []
    url = bob.url.replace("bob:pw@", "")
    async with (
        AsyncRedisClient(url, credential_provider=Provider()) as client,
        RedisPubSub(client, on_reconnect=told.append) as pubsub,
    ):
        await pubsub.subscribe("jobs", print)
        passwords.append("new")
        bob.set(">new", "<pw")
        bob.redis.client_kill_filter(_type="pubsub")
        await until(lambda: told)
        assert await pubsub.publish("jobs", "x") == 1


async def test_downtime_counts_from_the_last_sign_of_life(private_server: PrivateServer) -> None:
    """Not from when a busy event loop noticed the loss."""
    admin = redis.Redis.from_url(private_server.url)
    got: list[str] = []
    told: list[Reconnection] = []
    async with AsyncRedisClient(private_server.url) as client, RedisPubSub(client, on_reconnect=told.append) as pubsub:
        await pubsub.subscribe("a", lambda _, message: got.append(message))
        admin.publish("a", "first")
        await until(lambda: got)
        loop = asyncio.get_running_loop()
        began = loop.time()
        admin.client_kill_filter(_type="pubsub")
        while loop.time() - began < 1.5:
            admin.publish("a", "lost")
        lost_until = loop.time()
        await until(lambda: told)
        assert told[0].downtime >= lost_until - began
        assert told[0].downtime <= loop.time() - began + 3
    assert got == ["first"]
