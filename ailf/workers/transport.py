"""The broker of the embedded default: kombu's filesystem transport, with a spool that loses nothing.

Kombu's own writes a message into a file that readers see already, and so loses some under load; and it
deletes a message when a worker takes it, so that a killed worker takes it along. Here a message comes
into being whole, and is kept until it is acknowledged.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ContentDisallowed
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

from ailf.workers.spool import Claim, Spool, private_folder, write_synced

RECOVERY_INTERVAL = 2.0
"""Seconds between two looks for messages that a dead process had claimed."""

SHORTEST_PAUSE = 0.002
"""Seconds between two looks into the folder just after something happened."""
GROWTH = 1.3
"""By how much that grows each time, up to the polling interval."""

LONGEST_DRAIN = 0.5
"""Seconds that a wait for messages lasts: a worker that is told to stop hears it only in between."""


_log = logging.getLogger("ailf.workers")


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

    def get_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:
        """Read the bindings of an exchange."""
        with self._bindings(fcntl.LOCK_SH):
            return self._read_table(exchange)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._bindings(fcntl.LOCK_EX):
            table = self._read_table(exchange)
            if row not in table:
                self._write_table(exchange, [row, *table])

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *_args: Any, **_options: Any) -> None:
        row = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._bindings(fcntl.LOCK_EX):
            table = self._read_table(exchange)
            if row in table:
                self._write_table(exchange, [known for known in table if known != row])
        self._spool.drop(queue)

    def _read_table(self, exchange: str) -> list[filesystem.exchange_queue_t]:
        file = self._exchange_file(exchange)
        try:
            return [filesystem.exchange_queue_t(*row) for row in loads(file.read_text())]
        except FileNotFoundError:
            return []
        except (TypeError, ValueError, OSError) as error:
            # Who is bound there says so again when it starts, or sends next.
            kept = file.with_suffix(f".unreadable-{time.time_ns()}")
            file.rename(kept)
            _log.error("%s was no list of bindings, and was set aside: %s", kept, error)
            return []

    def _write_table(self, exchange: str, table: list[filesystem.exchange_queue_t]) -> None:
        # Whole or not at all: a process may be killed at any moment.
        file = self._exchange_file(exchange)
        draft = file.with_suffix(".draft")
        write_synced(draft, dumps(table).encode())
        draft.rename(file)

    def _put(self, queue: str, payload: Any, **_options: Any) -> None:  # type: ignore[override]  # kombu calls it message here and payload there
        self._spool.put(queue, dumps(payload).encode())

    def _get(self, queue: str, timeout: Any = None) -> Any:  # noqa: ARG002  kombu's signature
        now = time.monotonic()
        if now - self._recovered_at > RECOVERY_INTERVAL:
            self._recovered_at = now
            self._spool.recover()
        while (claim := self._spool.claim(queue)) is not None:
            try:
                payload = loads(claim.payload)
                tag = checked(self.Message(payload, channel=self))
            except Exception as error:  # noqa: BLE001  a file can hold anything at all
                self._spool.set_aside(claim, f"{type(error).__name__}: {error}")
                continue
            if queue in self._unacknowledged:
                self._spool.finish(claim)
            else:
                self._claims[tag] = claim
            return payload
        raise Empty

    def _restore(self, message: Any) -> None:
        super()._restore(message)
        self._finish(message.delivery_tag)

    def _size(self, queue: str) -> int:
        return self._spool.size(queue)

    def peek(self, queue: str, most: int) -> list[bytes]:
        """Read the oldest messages that wait in a queue, ``most`` of them at most, and leave them there."""
        return self._spool.peek(queue, most)

    def _purge(self, queue: str) -> int:
        return self._spool.purge(queue)

    def _finish(self, delivery_tag: str) -> None:
        claim = self._claims.pop(delivery_tag, None)
        if claim is not None:
            self._spool.finish(claim)
            self.connection.hurry()

    @contextmanager
    def _bindings(self, mode: int) -> Iterator[None]:
        folder = Path(self.control_folder)
        handle = os.open(private_folder(folder) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, mode)
            yield
        finally:
            os.close(handle)


def checked(message: Any) -> str:
    """Give the delivery tag of a message.

    Args:
        message: what was read from a file.

    Returns:
        The tag.

    Raises:
        ValueError: it is no message that a worker can deal with, and would end it.
        Exception: whatever else reading it brings up.
    """
    tag, route, headers = message.delivery_tag, message.delivery_info, message.headers
    if not isinstance(tag, str) or not isinstance(headers, dict):
        raise ValueError("it has no delivery tag, or no headers")  # noqa: TRY004  it is what the file holds that is wrong
    if not isinstance(route, dict) or not {"exchange", "routing_key"} <= set(route):
        raise ValueError("it does not say where it belongs")
    if "task" not in headers:
        return tag
    if not isinstance(headers.get("id"), str):
        raise ValueError("it has the name of a task and no id")  # noqa: TRY004  the same
    # What this process may not decode, Celery refuses by itself.
    with suppress(ContentDisallowed):
        arguments, options, _embedded = message.payload
        if not isinstance(arguments, list | tuple) or not isinstance(options, dict):
            raise ValueError("it holds no arguments of a task")  # noqa: TRY004  the same
    return tag


class Transport(filesystem.Transport):
    """The transport ``spool://``, whose folders are in ``broker_transport_options``."""

    Channel = Channel

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self._pause = SHORTEST_PAUSE

    def hurry(self) -> None:
        """Look again soon: after a message more come, and after an acknowledgement there is room for the next."""
        self._pause = SHORTEST_PAUSE

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:  # type: ignore[override]  # noqa: ARG002  kombu's two bases differ
        """Wait for a message, for ``timeout`` seconds at most."""
        deadline = float("inf") if timeout is None else time.monotonic() + min(timeout, LONGEST_DRAIN)
        while True:
            try:
                self.cycle.get(self._deliver)  # type: ignore[union-attr]  # None only after close()
            except Empty:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError from None
                # Files in a folder wake nobody, on whatever system.
                time.sleep(min(self._pause, left))
                self._pause = min(self.polling_interval, self._pause * GROWTH)
            else:
                self.hurry()
                return
