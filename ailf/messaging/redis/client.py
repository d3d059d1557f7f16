"""The connection to a Redis server."""

import asyncio
import os
from datetime import timedelta
from typing import Any, Protocol, Self

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from ailf.errors import AilfError, InvalidArgumentError, MessagingError, RedisNotConnectedError
from ailf.messaging.redis.address import mask, redis_errors, resolve_url, without
from ailf.messaging.redis.message import milliseconds_of
from ailf.messaging.redis.patience import Patience


class _Closable(Protocol):
    async def aclose(self) -> None: ...

    def abandon(self) -> None: ...


class AsyncRedisClient:
    """A client of a Redis or Valkey server, for asyncio.

    It wraps what nearly every program needs. All else (locks, streams, pipelines, scripts) is
    redis-py's own, at :attr:`redis`::

        async with AsyncRedisClient() as client:
            await client.set("greeting", "hello", expire=60)
            async with client.redis.lock("nightly", timeout=30):
                ...
            await client.redis.xadd("jobs", {"id": "1"})

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; None is ``$AILF_REDIS_URL``, else
            ``redis://localhost:6379/0``.
        **options: keyword arguments of :meth:`redis.asyncio.Redis.from_url`, such as ``ssl_ca_certs``,
            ``socket_timeout`` (seconds) or ``max_connections``. Unless given, ``decode_responses`` is True, and
            ``retry`` rides out a server that is away or hangs for some ten seconds; a command that was cut off may
            then have run twice.

    Raises:
        InvalidArgumentError: the URL is none of a Redis server.
        InvalidTypeError: the URL is no text.
    """

    def __init__(self, url: str | None = None, **options: Any) -> None:
        self._url = resolve_url(url)
        self._options: dict[str, Any] = {"decode_responses": True, "retry": Patience(), **options}
        self._redis: Redis | None = None
        self._process = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._attached: set[_Closable] = set()

    def __repr__(self) -> str:
        """Show the address, without the password, and whether it is connected."""
        return f"<AsyncRedisClient {self.address} {'connected' if self.is_connected else 'not connected'}>"

    @property
    def address(self) -> str:
        """The URL of the server, with every password masked."""
        return mask(self._url)

    @property
    def is_connected(self) -> bool:
        """Whether ``connect()`` succeeded and ``disconnect()`` was not called since."""
        return self._redis is not None

    @property
    def redis(self) -> Redis:
        """The redis-py client underneath, for whatever this class does not wrap.

        Raises:
            RedisNotConnectedError: ``connect()`` was not called, or was called in the parent of a forked process or
                in another event loop.
        """
        if self._redis is None:
            raise RedisNotConnectedError(
                f"This client of {self.address} is not connected: await client.connect() first, "
                "or use it as async with AsyncRedisClient() as client."
            )
        self._check_place()
        return self._redis

    def _check_place(self) -> None:
        """Refuse to be used where its connections do not belong."""
        if self._process != os.getpid():
            raise RedisNotConnectedError(
                "This client was connected in the parent of this process: two processes cannot share a connection. "
                "Make and connect a client of its own in each process."
            )
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Outside of any loop nothing can be awaited either.
            return
        if loop is not self._loop:
            raise RedisNotConnectedError(
                f"This client of {self.address} was connected in another event loop: two loops cannot share a "
                "connection. Make and connect a client of its own in each, or await client.disconnect() in the first "
                "one before it ends."
            )

    async def connect(self) -> Self:
        """Connect, and verify that with a PING; does nothing where it is connected already.

        It is tried once, so that a wrong address shows at once; later commands are tried again, as ``retry`` says.

        Returns:
            The client itself.

        Raises:
            RedisConnectionError: the server is not there, is no Redis, turned the client away, or TLS failed.
            RedisCommandError: the server refused what a connection begins with, such as a database that it has not.
            RedisNotConnectedError: it was connected in another event loop, or in the parent of a forked process.
            InvalidArgumentError: redis-py does not take the URL or an option.
        """
        if self._redis is not None:
            self._check_place()
        else:
            lasting = self._open(self._options)
            probe = self.open()
            for redis in (lasting, probe):
                self._check_options(redis)
            try:
                with redis_errors(self.address):
                    await probe.ping()
            except (TypeError, ValueError, AttributeError, LookupError) as error:
                # Some options redis-py uses without having looked at them.
                if isinstance(error, AilfError):
                    raise
                raise self._unfit(error) from error
            finally:
                await probe.aclose()
            self._redis = lasting
            self._process = os.getpid()
            self._loop = asyncio.get_running_loop()
        return self

    async def disconnect(self) -> None:
        """Close every connection, and first each ``RedisPubSub`` of this client; does nothing twice.

        Connections of an event loop that has ended are let go of, after which the client may connect again; so are
        those that the parent of a forked process goes on using.

        Raises:
            RedisNotConnectedError: it was connected in another event loop, which still runs.
        """
        if self._redis is not None and self._process == os.getpid() and not (self._loop and self._loop.is_closed()):
            self._check_place()
        if self._redis is not None and (self._process != os.getpid() or (self._loop and self._loop.is_closed())):
            for attached in list(self._attached):
                attached.abandon()
            self._attached.clear()
            self._redis = None
        for attached in list(self._attached):
            await attached.aclose()
        redis, self._redis = self._redis, None
        if redis is not None:
            await redis.aclose()

    async def __aenter__(self) -> Self:
        """Connect."""
        return await self.connect()

    async def __aexit__(self, *exc_info: object) -> None:
        """Disconnect."""
        await self.disconnect()

    async def ping(self) -> bool:
        """Ask the server for a sign of life.

        Returns:
            True, since it answered.

        Raises:
            RedisConnectionError: it did not.
            RedisNotConnectedError: ``connect()`` was not called.
        """
        redis = self.redis
        with redis_errors(self.address):
            return bool(await redis.ping())

    async def get(self, key: str) -> str | None:
        """Read a value.

        Args:
            key: its name.

        Returns:
            The value as text, or None where there is no such key.

        Raises:
            MessagingError: the value is not UTF-8 text.
            RedisCommandError: the key holds no string.
            RedisConnectionError: the server cannot be reached.
            RedisNotConnectedError: ``connect()`` was not called.
        """
        redis = self.redis
        try:
            with redis_errors(self.address):
                value = await redis.get(key)
            return value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            raise MessagingError(
                f"The value of {key!r} is not UTF-8 text: read it as bytes, with client.redis.get of a client "
                "that was made with decode_responses=False."
            ) from error

    async def set(self, key: str, value: str | bytes | float, *, expire: float | timedelta | None = None) -> None:
        """Write a value.

        Args:
            key: its name.
            value: text, bytes or a number.
            expire: after how many seconds (or what timedelta) the key goes, to the millisecond; None keeps it.

        Raises:
            InvalidArgumentError: ``expire`` is not above 0, or no number of seconds that a key can be kept for.
            InvalidTypeError: ``expire`` is neither a number nor a timedelta, or ``value`` has no form in Redis.
            RedisConnectionError: the server cannot be reached.
            RedisNotConnectedError: ``connect()`` was not called.
        """
        redis = self.redis
        milliseconds = None if expire is None else milliseconds_of(expire)
        with redis_errors(self.address):
            await redis.set(key, value, px=milliseconds)

    async def delete(self, *keys: str) -> int:
        """Delete keys.

        Args:
            *keys: their names.

        Returns:
            How many of them there were.

        Raises:
            RedisConnectionError: the server cannot be reached.
            RedisNotConnectedError: ``connect()`` was not called.
        """
        redis = self.redis
        if not keys:
            return 0
        with redis_errors(self.address):
            return int(await redis.delete(*keys))

    async def exists(self, *keys: str) -> int:
        """Count the keys that are there.

        Args:
            *keys: their names; one given twice counts twice.

        Returns:
            How many there are; of one key, 1 or 0.

        Raises:
            RedisConnectionError: the server cannot be reached.
            RedisNotConnectedError: ``connect()`` was not called.
        """
        redis = self.redis
        if not keys:
            return 0
        with redis_errors(self.address):
            return int(await redis.exists(*keys))

    async def publish(self, channel: str, message: str | bytes) -> int:
        """Publish a message.

        Args:
            channel: the channel's name.
            message: text or bytes.

        Returns:
            How many subscribers of this server received it.

        Raises:
            RedisConnectionError: the server cannot be reached.
            RedisNotConnectedError: ``connect()`` was not called.
        """
        redis = self.redis
        with redis_errors(self.address):
            return int(await redis.publish(channel, message))

    def open(self, **overrides: Any) -> Redis:
        """Make a redis-py client of the same server that tries everything once; the caller closes it.

        Args:
            **overrides: options that go before this client's own.

        Returns:
            A client with a pool of its own, not connected yet.

        Raises:
            InvalidArgumentError: redis-py does not take the URL or an option.
        """
        once = {"retry": Retry(NoBackoff(), 0), "retry_on_timeout": False, "retry_on_error": []}
        return self._open({**self._options, **once, **overrides}, [*once, *overrides])

    def attach(self, dependent: _Closable) -> None:
        """Close ``dependent`` before this client disconnects, unless it is detached by then."""
        self._attached.add(dependent)

    def detach(self, dependent: _Closable) -> None:
        """Forget about ``dependent``, which has closed."""
        self._attached.discard(dependent)

    def _open(self, options: dict[str, Any], fixed: list[str] | None = None) -> Redis:
        try:
            return Redis.from_url(without(self._url, fixed) if fixed else self._url, **options)
        except (TypeError, ValueError, RedisError) as error:
            raise self._unfit(error) from error

    def _check_options(self, redis: Redis) -> None:
        # redis-py looks at most options only when it makes a connection, which may be much later.
        try:
            redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types here
        except (TypeError, ValueError, AttributeError, RedisError) as error:
            raise self._unfit(error) from error

    def _unfit(self, error: Exception) -> InvalidArgumentError:
        return InvalidArgumentError(f"redis-py does not take {self.address} with these options: {error}.")
