"""One connection for awaitable reads, with the thread that aiosqlite gives it.

Imported when the first of them is made, since a program that never awaits a read has no use for aiosqlite.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

import aiosqlite

from ailf.async_tasks.journal.reading.considerate import Values
from ailf.async_tasks.journal.reading.filters import Query, Row
from ailf.async_tasks.journal.reading.readers import as_it_is, is_about_text

T = TypeVar("T")


class Driver(aiosqlite.Connection):
    """A connection that is used by one read at a time."""

    def __init__(self, connect: Callable[[], sqlite3.Connection]) -> None:
        """Open nothing yet: that is to be awaited.

        Args:
            connect: opens it, in its thread; any thread may close it.
        """
        super().__init__(self._connected, iter_chunk_size=1)
        self._connect_raw = connect
        # A program that forgets to stop its manager must still be able to exit.
        self._thread.daemon = True

    def _connected(self) -> sqlite3.Connection:
        self._raw = self._connect_raw()
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
        self._raw.text_factory = as_it_is
        try:
            return await self._collected(query, made)
        finally:
            self._raw.text_factory = str

    async def _collected(self, query: Query, made: Callable[[Row], T]) -> list[T]:
        values = Values(made)
        self._raw.row_factory = values.add
        try:
            await self.execute_fetchall(*query)
        finally:
            self._raw.row_factory = None
            values.end()
        return values.found

    def interrupt_read(self) -> None:
        """Have the read that is under way end soon; from any thread."""
        self._raw.interrupt()

    def close_at_once(self) -> None:
        """Close it while nobody reads; from any thread."""
        self._raw.close()
        self.stop()
