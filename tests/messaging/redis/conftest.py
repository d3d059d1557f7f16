"""A Redis server, a client of it and a pub/sub for each test."""

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from ailf.messaging.redis import AsyncRedisClient, RedisPubSub
from tests.redis_server import PrivateServer, given_url


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The server given by ``$REDIS_URL``, else a private one for the whole run."""
    given = given_url()
    if given is not None:
        yield given
        return
    with PrivateServer() as server:
        yield server.url


@pytest.fixture
def private_server() -> Iterator[PrivateServer]:
    """A server that the test may stop and start."""
    with PrivateServer() as server:
        yield server


@pytest.fixture
def channel() -> str:
    """A name that no other test uses."""
    return f"test:{uuid4().hex}"


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[AsyncRedisClient]:
    """A connected client."""
    async with AsyncRedisClient(redis_url) as connected:
        yield connected


@pytest.fixture
async def pubsub(client: AsyncRedisClient) -> AsyncIterator[RedisPubSub]:
    """A pub/sub of that client."""
    async with RedisPubSub(client=client) as opened:
        yield opened
