"""News of results as they are stored, over Redis: one connection for all the tasks that are waited for."""

import asyncio
import inspect
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, cast
from weakref import WeakKeyDictionary

import redis
import redis.asyncio as aioredis
from redis.backoff import NoBackoff

from ailf.errors import BrokerError
from ailf.workers.batch import Batch

CONFIRMATION_TIMEOUT = 5.0
"""Seconds without a word from Redis while a subscription waits to be confirmed; then it counts as out of reach."""
RECONNECT_DELAY = 0.5
"""Seconds between two attempts to reconnect; meanwhile results are looked for."""

CLIENT_NAME = "ailf-results"
"""What the connection is called in ``CLIENT LIST``."""

FAILURES = (redis.exceptions.RedisError, OSError)

_SSL_OPTIONS = tuple(name for name in inspect.signature(aioredis.Redis.__init__).parameters if name[:4] == "ssl_")
_PLAIN_OPTIONS = ("host", "port", "db", "username", "password")


class _Connection(Protocol):
    """What is used here of redis-py's ``Connection``, which has types only in part.

    Not its ``PubSub``: at a command that fails that makes another connection, while the reader waits at the first.
    """

    @property
    def is_connected(self) -> bool: ...

    async def send_command(self, *arguments: bytes | str) -> None: ...
    async def read_response(self, *, timeout: float, disconnect_on_error: bool) -> list[bytes] | bytes | None: ...
    async def disconnect(self) -> None: ...


def client_options(parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """Translate the connection that Celery's Redis back-end uses.

    Args:
        parameters: its ``connparams``.

    Returns:
        Arguments for ``redis.asyncio.Redis``; None where the connection is of a kind that is not translated
        (Sentinel, a credential provider), and results are looked for instead.
    """
    kind = parameters.get("connection_class")
    if "hosts" in parameters or "credential_provider" in parameters:
        return None
    options = {name: parameters[name] for name in _PLAIN_OPTIONS if parameters.get(name) is not None}
    if kind is None:
        return options
    if issubclass(kind, redis.SSLConnection):
        given = {name: parameters[name] for name in _SSL_OPTIONS if parameters.get(name) is not None}
        return {**options, "ssl": True, **given}
    if issubclass(kind, redis.UnixDomainSocketConnection):
        return {**options, "unix_socket_path": parameters["path"]}
    return None


def _was_cut(error: BaseException) -> bool:
    """Whether a connection was made, and then cut off."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConnectionResetError | BrokenPipeError) or "closed by server" in str(cause):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class ResultFeed:
    """Listens to the channels that Celery's Redis back-end announces results on.

    Each listener has a queue of what was announced. None in it says that announcements may have been
    missed, and that the stored result is to be looked at.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._redis: aioredis.Redis | None = None
        self._connection: _Connection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._listeners: dict[bytes, asyncio.Queue[bytes | None]] = {}
        self._confirmed: dict[bytes, asyncio.Event] = {}
        self._changing = asyncio.Lock()
        self._heard_at = 0.0
        self._failures = 0
        self._looks: Batch[bytes, bytes | None] = Batch(self._get_all)

    async def listen(self, key: bytes) -> asyncio.Queue[bytes | None]:
        """Begin to listen for a task's announcements; returns when Redis has confirmed it.

        Args:
            key: the key that the back-end stores the task's result under.

        Returns:
            The queue that they come in.

        Raises:
            BrokerError: Redis cannot be reached.
        """
        queue = self._listeners[key] = asyncio.Queue()
        confirmed = self._confirmed[key] = asyncio.Event()
        try:
            failures = self._failures
            async with self._changing:
                if failures != self._failures:
                    raise redis.exceptions.ConnectionError("it could not be reached a moment ago")  # noqa: TRY301  told as such
                # The limit is for what Redis does: how long others had their turn before is not its fault.
                async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                    await self._subscribe(key)
            await self._confirmation(confirmed)
        except FAILURES as error:
            self._failures += 1
            await self.leave(key)
            reason = str(error) or f"it did not answer within {CONFIRMATION_TIMEOUT:g} s"
            raise BrokerError(
                f"The Celery result back-end at {self._address} cannot be reached: {reason}. "
                "Start it, or set $CELERY_RESULT_BACKEND to where it is."
            ) from error
        except BaseException:
            await self.leave(key)
            raise
        return queue

    async def _subscribe(self, key: bytes) -> None:
        if self._reader is None:
            await self._connect_first()
            self._reader = asyncio.create_task(self._read(), name="ailf-celery-results")
        elif self._connection is not None and self._connection.is_connected:
            # What fails here fails the reader as well: its next connection asks for everything again.
            with suppress(*FAILURES):
                await self._connection.send_command("SUBSCRIBE", key)

    async def _connect_first(self) -> None:
        try:
            await self._connect()
        except FAILURES as error:
            # Who is not there, or has a wrong certificate, is not asked twice.
            if not _was_cut(error):
                raise
            await self._disconnect()
            await self._connect()

    async def _confirmation(self, confirmed: asyncio.Event) -> None:
        """Wait for it for as long as Redis says anything: with thousands at once it has a lot to say."""
        asked_at = time.monotonic()
        while not confirmed.is_set():
            left = CONFIRMATION_TIMEOUT - (time.monotonic() - max(asked_at, self._heard_at))
            if left <= 0:
                raise TimeoutError
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await confirmed.wait()

    async def leave(self, key: bytes) -> None:
        """Stop listening for a task; without listeners the connection is closed."""
        self._listeners.pop(key, None)
        self._confirmed.pop(key, None)
        async with self._changing:
            if self._listeners:
                if self._connection is not None and self._connection.is_connected:
                    with suppress(*FAILURES):
                        await self._connection.send_command("UNSUBSCRIBE", key)
                return
            reader, self._reader = self._reader, None
            if reader is not None:
                # Again, should it be lost: asyncio's own wait_for, which redis-py sends with, did that before 3.12.
                while not reader.done():
                    reader.cancel()
                    await asyncio.wait([reader], timeout=CONFIRMATION_TIMEOUT)
            await self._disconnect()

    async def get(self, key: bytes) -> bytes | None:
        """Look at a stored result.

        Raises:
            RedisError: Redis cannot be reached.
        """
        return await self._looks.get(key)

    async def _get_all(self, keys: Sequence[bytes]) -> Sequence[bytes | Exception | None]:
        if self._redis is None:
            raise redis.exceptions.ConnectionError("not connected")
        return cast("list[bytes | None]", await self._redis.mget(keys))

    @property
    def _address(self) -> str:
        return str(self._options.get("unix_socket_path") or f"{self._options.get('host')}:{self._options.get('port')}")

    async def _connect(self) -> None:
        retry = aioredis.retry.Retry(NoBackoff(), 0)
        self._redis = aioredis.Redis(
            **self._options,
            retry=retry,
            protocol=2,
            socket_timeout=CONFIRMATION_TIMEOUT,
            client_name=CLIENT_NAME,
        )
        pool = self._redis.connection_pool
        connection = cast("_Connection", await pool.get_connection())  # type: ignore[no-untyped-call]  # redis-py has no types here
        self._connection = connection
        for key in list(self._listeners):
            await connection.send_command("SUBSCRIBE", key)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        client, self._redis = self._redis, None
        with suppress(*FAILURES):
            if connection is not None:
                await connection.disconnect()
        with suppress(*FAILURES):
            if client is not None:
                await client.aclose()

    async def _read(self) -> None:
        while True:
            with suppress(*FAILURES):
                await self._read_until_lost()
            async with self._changing:
                await self._disconnect()
            self._look_yourselves()
            await asyncio.sleep(RECONNECT_DELAY)
            with suppress(*FAILURES):
                async with self._changing:
                    await self._connect()
            self._look_yourselves()

    async def _read_until_lost(self) -> None:
        while self._connection is not None and self._connection.is_connected:
            reply = await self._connection.read_response(timeout=math.inf, disconnect_on_error=False)
            self._heard_at = time.monotonic()
            if not isinstance(reply, list):
                continue
            kind, key = reply[0], reply[1]
            if kind == b"message" and key in self._listeners:
                self._listeners[key].put_nowait(reply[2])
            elif kind == b"subscribe" and key in self._confirmed:
                self._confirmed[key].set()

    def _look_yourselves(self) -> None:
        for queue in self._listeners.values():
            queue.put_nowait(None)


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, ResultFeed]] = WeakKeyDictionary()


def feed_of(options: Mapping[str, Any]) -> ResultFeed:
    """Give the feed of a Redis server for the running event loop, which everybody there shares."""
    feeds = _feeds.setdefault(asyncio.get_running_loop(), {})
    return feeds.setdefault(repr(sorted(options.items(), key=lambda item: item[0])), ResultFeed(options))
