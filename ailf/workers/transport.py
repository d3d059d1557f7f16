"""The broker of the embedded default: kombu's filesystem transport, with a spool that loses nothing.

Kombu's own writes a message into a file that readers see already, and so loses some under load; and it
deletes a message when a worker takes it, so that a killed worker takes it along. Here a message comes
into being whole, and is kept until it is acknowledged.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

from ailf.workers.spool import Claim, Spool, private_folder

RECOVERY_INTERVAL = 2.0
"""Seconds between two looks for messages that a dead process had claimed."""

LONGEST_DRAIN = 0.5
"""Seconds that a wait for messages lasts: a worker that is told to stop hears it only in between."""


class Channel(filesystem.Channel):
    """A channel over a spool; the bindings of the exchanges stay kombu's, under a lock."""

    def __init__(self, connection: Any, **options: Any) -> None:
        super().__init__(connection, **options)
        self._spool = Spool(Path(self.transport_options["folder"]))
        self._claims: dict[str, Claim] = {}
        self._unacknowledged: set[str] = set()
        self._recovered_at = float("-inf")

    def basic_consume(
        self,
        queue: str,
        no_ack: bool,  # noqa: FBT001  kombu's signature
        callback: Callable[..., Any],
        consumer_tag: str,
        **options: Any,
    ) -> None:
        """Consume from a queue."""
        if no_ack:
            self._unacknowledged.add(queue)
        super().basic_consume(queue, no_ack, callback, consumer_tag, **options)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:  # noqa: FBT001, FBT002  kombu's signature
        """Let go of a message that was dealt with."""
        super().basic_ack(delivery_tag, multiple)
        self._finish(delivery_tag)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002  kombu's signature
        """Let go of a message, or put it back."""
        super().basic_reject(delivery_tag, requeue)
        self._finish(delivery_tag)

    def close(self) -> None:
        """Close the channel; what was not acknowledged goes back."""
        super().close()
        self._spool.close()

    def get_table(self, exchange: str) -> Any:
        """Read the bindings of an exchange."""
        with self._bindings(fcntl.LOCK_SH):
            return super().get_table(exchange)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        with self._bindings(fcntl.LOCK_EX):
            super()._queue_bind(exchange, routing_key, pattern, queue)

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **options: Any) -> None:
        with self._bindings(fcntl.LOCK_EX):
            super()._delete(queue, exchange, routing_key, pattern, *args, **options)
        self._spool.drop(queue)

    def _put(self, queue: str, payload: Any, **_options: Any) -> None:  # type: ignore[override]  # kombu calls it message here and payload there
        self._spool.put(queue, dumps(payload).encode())

    def _get(self, queue: str, timeout: Any = None) -> Any:  # noqa: ARG002  kombu's signature
        now = time.monotonic()
        if now - self._recovered_at > RECOVERY_INTERVAL:
            self._recovered_at = now
            self._spool.recover()
        claim = self._spool.claim(queue)
        if claim is None:
            raise Empty
        payload = loads(claim.payload)
        if queue in self._unacknowledged:
            self._spool.finish(claim)
        else:
            self._claims[payload["properties"]["delivery_tag"]] = claim
        return payload

    def _restore(self, message: Any) -> None:
        super()._restore(message)
        self._finish(message.delivery_tag)

    def _size(self, queue: str) -> int:
        return self._spool.size(queue)

    def _purge(self, queue: str) -> int:
        return self._spool.purge(queue)

    def _finish(self, delivery_tag: str) -> None:
        claim = self._claims.pop(delivery_tag, None)
        if claim is not None:
            self._spool.finish(claim)

    @contextmanager
    def _bindings(self, mode: int) -> Iterator[None]:
        folder = Path(self.control_folder)
        handle = os.open(private_folder(folder) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, mode)
            yield
        finally:
            os.close(handle)


class Transport(filesystem.Transport):
    """The transport ``spool://``, whose folders are in ``broker_transport_options``."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:  # type: ignore[override]  # kombu's two bases differ
        """Wait for a message, for ``timeout`` seconds at most."""
        super().drain_events(connection, None if timeout is None else min(timeout, LONGEST_DRAIN))
