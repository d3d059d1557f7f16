"""One connection for awaitable reads, with the thread that aiosqlite gives it.

Imported when the first of them is made, since a program that never awaits a read has no use for aiosqlite.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Self, TypeVar

import aiosqlite
from aiosqlite.core import _STOP_RUNNING_SENTINEL, set_exception, set_result

from ailf.async_tasks.journal.reading.considerate import Values
from ailf.async_tasks.journal.reading.filters import Query, Row
from ailf.async_tasks.journal.reading.readers import as_it_is, is_about_text

T = TypeVar("T")

STEPS_A_LOOK = 50_000
"""After how many steps of SQLite's machine a read looks whether it is to end: some milliseconds."""


class Driver(aiosqlite.Connection):
    """A connection that is used by one read at a time.

    Its thread outlives an event loop that is closed while it works: aiosqlite's own would end with an error there.
    """

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Open nothing yet: that is to be awaited.

        Args:
            connect: opens it, in its thread; any thread may close it.
        """
        super().__init__(self._connected, iter_chunk_size=1)
        self._connect_raw = connect
        self._raw: sqlite3.Connection | None = None
        self._is_given_up = False
        # A program that forgets to stop its manager must still be able to exit.
        self._thread.daemon = True

    def _connected(self) -> sqlite3.Connection:
        raw = self._raw = self._connect_raw()
        # Beside interrupt(), which a statement that has not begun yet does not hear.
        raw.set_progress_handler(lambda: self._is_given_up, STEPS_A_LOOK)
        if self._is_given_up:
            raw.close()
        return raw

    @property
    def raw(self) -> sqlite3.Connection:
        """The driver's own connection, once it is open."""
        assert self._raw is not None  # noqa: S101 - whoever has it has awaited it
        return self._raw

    async def values(self, query: Query, made: Callable[[Row], T]) -> list[T]:
        """What a function makes of each row, in the connection's thread.

        Args:
            query: the query.
            made: called in that thread.
        """
        try:
            return await self._collected(query, made)
        except sqlite3.OperationalError as error:
            if not is_about_text(error):
                raise
        self.raw.text_factory = as_it_is
        try:
            return await self._collected(query, made)
        finally:
            self.raw.text_factory = str

    async def _collected(self, query: Query, made: Callable[[Row], T]) -> list[T]:
        values = Values(made)
        self.raw.row_factory = values.add
        try:
            await self.execute_fetchall(*query)
        finally:
            self.raw.row_factory = None
            values.end()
        return values.found

    async def _connect(self) -> Self:
        try:
            self._connection = await self._posted(self._connector)
        except BaseException:
            self.stop()
            raise
        return self

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        return await self._posted(partial(fn, *args, **kwargs))

    async def _posted(self, function: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            try:
                settle = partial(set_result, future, function())
            except BaseException as error:  # noqa: BLE001 - it is the waiting call's
                settle = partial(set_exception, future, error)
            # Where the loop was closed meanwhile, nobody waits.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(settle)

        self._tx.put_nowait((None, run))
        return await future

    def stop(self) -> None:
        """End the thread, once it has done what it was given before; nobody waits for that."""
        self._running = False
        self._tx.put_nowait((None, self._closed))

    def _closed(self) -> object:
        if self._raw is not None:
            self._raw.close()
        self._connection = None
        return _STOP_RUNNING_SENTINEL

    def interrupt_read(self) -> None:
        """Have the read that is under way, or about to begin, end soon; from any thread. There is no other one."""
        self._is_given_up = True
        self.raw.interrupt()

    def give_up(self) -> None:
        """Close it, open already or not yet, where whoever awaited that was cancelled."""
        self._is_given_up = True
        if self._raw is not None:
            self._raw.close()

    def close_at_once(self) -> None:
        """Close it while nobody reads; from any thread."""
        self.raw.close()
        self.stop()
