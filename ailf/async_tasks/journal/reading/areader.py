"""Running the reads while the event loop goes on: a few connections are kept open, each with a thread of its own."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ailf.async_tasks.journal.form import Access, connect, translated
from ailf.async_tasks.journal.reading.filters import Query, Row
from ailf.async_tasks.journal.reading.readers import READY_LOOK_SECONDS, READY_PATIENCE_SECONDS
from ailf.async_tasks.journal.reading.turnstile import Turnstile

if TYPE_CHECKING:
    from ailf.async_tasks.journal.reading.driver import Driver

T = TypeVar("T")

MOST_CONNECTIONS = 4
"""How many reads are under way at a time; further ones wait for their turn. A read of the whole history, which
takes seconds, leaves three for all others, and each has a thread that takes turns with the event loop."""


class AsyncReader:
    """Reads without blocking the event loop."""

    def __init__(
        self,
        path: Path,
        assert_here: Callable[[], None] = lambda: None,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        """Open nothing yet.

        Args:
            path: the journal.
            assert_here: raises where another file is at the path by now.
            is_ready: whether what is read is the journal: not while its log is gone.
        """
        self._path = path
        self._assert_here = assert_here
        self._is_ready = is_ready
        self._turnstile = Turnstile()
        self._turn = asyncio.Semaphore(MOST_CONNECTIONS)
        self._idle: list[Driver] = []
        self._reads: set[asyncio.Task[object]] = set()
        self._is_closed = False

    async def rows(self, query: Query) -> list[Row]:
        """All rows of a query.

        Raises:
            JournalError: the journal cannot be read.
        """
        return await self.values(query, lambda row: row)

    async def values(self, query: Query, made: Callable[[Row], T]) -> list[T]:
        """What a function makes of each row of a query.

        Args:
            query: the query.
            made: called in the thread of the connection; must not raise.

        Raises:
            JournalError: the journal cannot be read.
        """
        # A read of its own task, so that a caller who is cancelled leaves no open connection behind.
        read = asyncio.create_task(self._values(query, made))
        self._reads.add(read)
        read.add_done_callback(self._over)
        try:
            return await asyncio.shield(read)
        except asyncio.CancelledError:
            # Nobody wants it any more, and a stop would wait for it.
            read.cancel()
            raise

    def _over(self, read: asyncio.Task[object]) -> None:
        self._reads.discard(read)
        if not read.cancelled():
            # Of one whose caller has gone, nobody else asks.
            read.exception()

    async def _values(self, query: Query, made: Callable[[Row], T]) -> list[T]:
        async with self._turn:
            until = time.monotonic() + READY_PATIENCE_SECONDS
            while True:
                values = await self._once(query, made, is_last=time.monotonic() > until)
                if values is not None:
                    return values
                while not self._is_ready() and time.monotonic() < until:  # noqa: ASYNC110 - a thread opens it anew
                    await asyncio.sleep(READY_LOOK_SECONDS)

    async def _once(self, query: Query, made: Callable[[Row], T], *, is_last: bool) -> list[T] | None:
        while not self._turnstile.try_to_enter():  # noqa: ASYNC110 - a thread opens it
            await asyncio.sleep(READY_LOOK_SECONDS)
        try:
            with translated(self._path, "read"):
                self._assert_here()
                values = await self._read(query, made)
        except Exception:
            if is_last or self._is_ready():
                raise
            return None
        else:
            return values if is_last or self._is_ready() else None
        finally:
            self._turnstile.leave()

    async def _read(self, query: Query, made: Callable[[Row], T]) -> list[T]:
        driver = self._idle.pop() if self._idle else await self._opened()
        try:
            values = await driver.values(query, made)
        except BaseException:
            # The loop may be about to close, and a statement that has not come to its end would hold all later
            # reads on its connection to its own moment.
            driver.interrupt_read()
            await driver.close()
            raise
        if self._is_closed:
            await driver.close()
        else:
            self._idle.append(driver)
        return values

    async def _opened(self) -> "Driver":
        # A program that never awaits a read has no use for aiosqlite.
        from ailf.async_tasks.journal.reading.driver import Driver  # noqa: PLC0415

        driver = Driver(partial(connect, self._path, Access.READ))
        try:
            await driver
        except BaseException:
            driver.give_up()
            raise
        return driver

    def leave(self) -> bool:
        """Close all connections, once the reads have ended, and begin none until told; whether that is done."""
        if not self._turnstile.shut():
            return False
        self.close_idle()
        return True

    def come_back(self) -> None:
        """Read again."""
        self._turnstile.open()

    def close_idle(self) -> None:
        """Close the connections that nobody uses at the moment; from any thread. More are opened when needed."""
        while self._idle:
            self._idle.pop().close_at_once()

    async def close(self) -> None:
        """Close the connections, once the reads have come to their ends; a later read keeps none."""
        self._is_closed = True
        if self._reads:
            await asyncio.wait(self._reads)
        while self._idle:
            await self._idle.pop().close()
