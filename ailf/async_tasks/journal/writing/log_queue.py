"""The lines that wait to be written: bounded, and open to anybody, in whatever middle of anything.

Who logs may be a finalizer or a signal handler, which runs while the very thread is in here already. So nobody who
puts a line in waits for a lock: a ``deque`` takes it in one step, and where there are too many, one of those who
come thins them out while the others go on.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence

from ailf.async_tasks.journal.form import left_out_line
from ailf.async_tasks.model import Logged

MOST_CHARACTERS = 32_000_000
"""How much may wait: as text, each line counted with what it takes besides ..."""

CHARACTERS_A_LINE = 500
"""... which is about so much: of lines of usual length, some 50,000 may wait."""


class LogQueue:
    """Lines from any thread to the writer's, in the order in which they came."""

    def __init__(self, wake: Callable[[], None]) -> None:
        """Begin empty.

        Args:
            wake: called from anywhere, when the writer has to look.
        """
        self._wake = wake
        self._lines: deque[Logged] = deque()
        # Only an estimate: two threads may count at once.
        self._characters = 0
        self._is_announced = False
        self._is_closed = False
        self._under_way = 0
        # Held by whoever takes lines out: the writer, or the one who thins them out.
        self._taking = threading.Lock()

    def put(self, line: Logged) -> None:
        """Add a line; returns at once, and never raises."""
        if self._is_closed:
            return
        self._lines.append(line)
        self._characters += CHARACTERS_A_LINE + len(line.message)
        if line.exception is not None:
            self._characters += len(line.exception)
        if self._characters > MOST_CHARACTERS:
            self._thin_out()
        # The line is there before this is looked at, and the writer takes it back before it takes lines.
        if not self._is_announced:
            self._is_announced = True
            self._wake()

    def take(self) -> list[Logged]:
        """All that waits."""
        self._is_announced = False
        if not self._lines:
            return []
        with self._taking:
            self._characters = 0
            lines = self._taken()
        self._under_way = len(lines)
        return lines

    def settle(self) -> None:
        """What was taken is written."""
        self._under_way = 0

    def put_back(self, lines: Sequence[Logged]) -> None:
        """Have lines at the front again that could not be written."""
        with self._taking:
            self._under_way = 0
            self._lines.extendleft(reversed(lines))
            self._characters += _characters(lines)
        if self._characters > MOST_CHARACTERS:
            self._thin_out()

    def close(self) -> None:
        """Take no more."""
        self._is_closed = True

    def __len__(self) -> int:
        """How many lines are not written yet."""
        return len(self._lines) + self._under_way

    def _taken(self) -> list[Logged]:
        # This thread alone takes out, so that what is counted is there.
        pop = self._lines.popleft
        return [pop() for _ in range(len(self._lines))]

    def _thin_out(self) -> None:
        if not self._taking.acquire(blocking=False):
            # Somebody is at it, perhaps this very thread, further down.
            return
        try:
            kept = thinned_out(self._taken(), MOST_CHARACTERS // 2)
            self._lines.extendleft(reversed(kept))
            self._characters = _characters(kept)
        finally:
            self._taking.release()


def thinned_out(lines: Sequence[Logged], most: int) -> list[Logged]:
    """The first and the last lines of each task, and one between them that says how many are left out.

    Args:
        lines: what waits, in order.
        most: about how many characters may stay.
    """
    numbers = Counter(line.task_id for line in lines)
    room = max(1, most // CHARACTERS_A_LINE)
    # As many of each as there is room for; of a task with few lines, all.
    each = max(numbers.values(), default=0)
    kept = list(lines)
    while each > 1 and (len(kept) > room or _characters(kept) > most):
        each //= 2
        kept = _without_middles(lines, numbers, each)
    return kept


def _without_middles(lines: Sequence[Logged], numbers: Counter[str], each: int) -> list[Logged]:
    seen: Counter[str] = Counter()
    places: dict[str, int] = {}
    kept: list[Logged] = []
    head = each // 2
    for line in lines:
        task_id = line.task_id
        seen[task_id] += 1
        if head < seen[task_id] <= numbers[task_id] - (each - head):
            count = line.left_out or 1
            if task_id in places:
                before = kept[places[task_id]]
                kept[places[task_id]] = left_out_line(task_id, before.at, before.left_out + count)
            else:
                places[task_id] = len(kept)
                kept.append(left_out_line(task_id, line.at, count))
            continue
        kept.append(line)
    return kept


def _characters(lines: Sequence[Logged]) -> int:
    texts = sum(len(line.message) + len(line.exception or "") for line in lines)
    return CHARACTERS_A_LINE * len(lines) + texts
