"""Who may run now: a number of slots, and those who wait for one. Nothing here is awaited or written."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Slots(Generic[Entry]):
    """The slots of one manager, and two queues for them.

    Whoever had a slot before and has given it back for a while goes before whoever has not begun: otherwise more and
    more tasks would be begun, and none would end.
    """

    def __init__(self, most: int | None) -> None:
        """Begin with all of them free.

        Args:
            most: how many there are; None is without end.
        """
        self._most = most
        self._taken = 0
        # Ordered dicts, of which any entry leaves in constant time.
        self._returning: OrderedDict[Entry, None] = OrderedDict()
        self._beginning: OrderedDict[Entry, None] = OrderedDict()

    @property
    def are_limited(self) -> bool:
        """Whether anybody ever waits for one."""
        return self._most is not None

    def try_to_take(self) -> bool:
        """Take a slot, unless none is free or somebody waits for it already."""
        if self._beginning or self._returning or not self._has_free():
            return False
        self._taken += 1
        return True

    def take_anyway(self) -> None:
        """Take a slot though none may be free: nobody gets one before as many are given back."""
        self._taken += 1

    def give_back(self) -> None:
        """Give one back."""
        self._taken -= 1

    def wait_to_begin(self, entry: Entry) -> None:
        """Queue for the first time."""
        self._beginning[entry] = None

    def wait_to_return(self, entry: Entry) -> None:
        """Queue again."""
        self._returning[entry] = None

    def leave(self, entry: Entry) -> None:
        """Wait no more; whoever does not wait is none the worse for it."""
        self._beginning.pop(entry, None)
        self._returning.pop(entry, None)

    def admitted(self) -> Iterator[Entry]:
        """Those whose turn has come, each with a slot taken for it."""
        while (queue := self._returning or self._beginning) and self._has_free():
            self._taken += 1
            yield queue.popitem(last=False)[0]

    def _has_free(self) -> bool:
        return self._most is None or self._taken < self._most
