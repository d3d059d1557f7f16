"""Telling the loop what became of records: in order, in slices, and each caller whatever the others do."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType

from ailf.async_tasks.guard import PROGRAM_ENDS, guarded, log, unraisable
from ailf.async_tasks.journal.writing.backlog import Record
from ailf.errors import AilfError

SLICE_SECONDS = 0.005
"""For how long callers are told in one turn of the loop; then all else that waits for the loop has its turn."""

LOOK_AT_THE_CLOCK = 16
"""After how many callers the time is looked at."""

NONE_REFUSED: Mapping[int, AilfError] = MappingProxyType({})


class Deliveries:
    """The answers that the writer's thread has for the loop, first come, first told."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_commit: Callable[[], None]) -> None:
        """Begin with none.

        Args:
            loop: where callers are told.
            on_commit: called there after each batch.
        """
        self._loop = loop
        self._on_commit = on_commit
        # A batch leaves when its last caller is told; the number says who is next.
        self._batches: deque[tuple[Sequence[Record], Mapping[int, AilfError]]] = deque()
        self._next = 0
        self._is_scheduled = False

    def send(self, records: Sequence[Record], refusals: Mapping[int, AilfError] = NONE_REFUSED) -> None:
        """Have the callers of a batch told; from the writer's thread.

        Args:
            records: what is committed, or refused.
            refusals: the errors, by the index of the record.
        """
        # A loop that was closed without a stop hears nothing; what was written is written.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._receive, records, refusals)

    def _receive(self, records: Sequence[Record], refusals: Mapping[int, AilfError]) -> None:
        self._batches.append((records, refusals))
        if not self._is_scheduled:
            self._tell()

    def _tell(self) -> None:
        self._is_scheduled = True
        try:
            self._tell_some()
        finally:
            # Whatever ended this turn, a KeyboardInterrupt included, the rest is told in the next.
            self._is_scheduled = False
            if self._batches:
                self._loop.call_soon(self._tell)
                self._is_scheduled = True

    def _tell_some(self) -> None:
        until = time.perf_counter() + SLICE_SECONDS
        while self._batches:
            records, refusals = self._batches[0]
            while self._next < len(records):
                index = self._next
                self._next += 1
                _, done, about = records[index]
                if done is not None:
                    try:
                        done(about, refusals.get(index))
                    except PROGRAM_ENDS:
                        raise
                    except BaseException as error:  # noqa: BLE001 - a neighbour's error is nobody else's
                        unraisable(error, done)
                        log.error("An answer of the journal could not be given, and is given once more: %r", error)
                        # Whoever is not told waits for ever.
                        guarded(done, about, refusals.get(index))
                if not index % LOOK_AT_THE_CLOCK and time.perf_counter() > until:
                    return
            self._next = 0
            self._batches.popleft()
            self._on_commit()
