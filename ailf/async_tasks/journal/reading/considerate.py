"""Making many values in a thread beside an event loop, which hears of it as little as may be."""

import gc
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from ailf.async_tasks.journal.reading.filters import Row

T = TypeVar("T")

VALUES_A_TURN = 200
"""After how many values the others have their turn: a millisecond or two. SQLite lets go of Python's lock for each
row, but takes it back before anybody who waits for it has woken up; and whoever waits begins to count its five
milliseconds anew each time (https://github.com/python/cpython/blob/3.11/Python/ceval_gil.h)."""

TURN_SECONDS = 0.00005
"""For how long: as it takes to wake up."""

MANY_VALUES = 5_000
"""From how many values on Python is kept from looking through all objects that there are, again and again."""


class Values(Generic[T]):
    """The values of the rows of one read."""

    def __init__(self, made: Callable[[Row], T]) -> None:
        """Begin with none.

        Args:
            made: makes a value of a row.
        """
        self.found: list[T] = []
        self._made = made
        self._holds_off = False

    def add(self, _: object, row: Row) -> None:
        """Make the next one; sqlite3's ``row_factory``."""
        found = self.found
        # Not returned: aiosqlite's thread holds on to what it was given last, until it is asked again.
        found.append(self._made(row))
        if not len(found) % VALUES_A_TURN:
            # Other threads, the event loop's among them, get Python's lock now, and not when it is taken away.
            time.sleep(TURN_SECONDS)
            if len(found) >= MANY_VALUES and not self._holds_off:
                self._holds_off = True
                _full_collections.hold_off()

    def end(self) -> None:
        """Nothing more comes."""
        if self._holds_off:
            self._holds_off = False
            _full_collections.let_go()


class _FullCollections:
    """Python's collections of the oldest generation, while somebody makes many values.

    Each stops all threads for as long as it takes to look at every object, and one is due whenever there are a
    quarter more (https://docs.python.org/3/library/gc.html#gc.set_threshold): beside hundreds of thousands of new
    values, of which none is garbage, that is most of what the event loop would hear of a read. The younger
    generations are collected as always.
    """

    NEVER = 2**30

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers = 0
        self._threshold = 0

    def hold_off(self) -> None:
        """Have none for a while."""
        with self._lock:
            self._readers += 1
            if self._readers == 1:
                young, middle, self._threshold = gc.get_threshold()
                gc.set_threshold(young, middle, self.NEVER)

    def let_go(self) -> None:
        """Have them again, once nobody holds them off."""
        with self._lock:
            self._readers -= 1
            young, middle, old = gc.get_threshold()
            # Where the program has set another one meanwhile, that is the one it wants.
            if not self._readers and old == self.NEVER:
                gc.set_threshold(young, middle, self._threshold)


_full_collections = _FullCollections()
