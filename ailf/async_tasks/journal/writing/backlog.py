"""What waits to be written: an inlet for any thread, and the lanes into which the writer's thread sorts what comes.

Nothing here takes a lock that Python code could be interrupted under: whoever reports progress may be a finalizer
or a signal handler, which runs in the middle of anything. The inlet is a ``queue.SimpleQueue``, whose ``put`` is
re-entrant (https://docs.python.org/3/library/queue.html#simplequeue-objects); all else belongs to one thread.

What is known of a record, and who settles it:

===========  ==========================  ==========================================================
where it is  put there by                leaves by
===========  ==========================  ==========================================================
inlet        whoever records a change    ``gather``, into a lane
a lane       ``gather``, ``settle``      ``take``; of progress, when there is too much, ``left out``
under way    ``take``                    ``settle``: committed or refused; or kept, into its lane again
left         the end of the thread       ``left``: the writer refuses it, so that nobody waits for it
===========  ==========================  ==========================================================
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, cast

from ailf.async_tasks.model import Change, LeftOut, Microseconds, Progressed, Submitted
from ailf.errors import AilfError

Done = Callable[[Any, AilfError | None], None]
"""Called on the event loop when a record is committed (None), or when it cannot be, with what it is about."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work, to be done between two batches."""

    run: Callable[[], None]
    """Does it, and answers whoever asked for it; never raises."""
    refuse: Callable[[BaseException], None]
    """Answers without doing it."""


MOST_REPORTS = 1_000_000
"""How many reports of progress may wait, some 250 bytes each; of more, the middle of each task's is left out."""

MOST_CHARACTERS = 250_000_000
"""The same for the length of their messages."""

RECORDS_A_BATCH = 4_000
"""How many records of a lane one transaction takes: a commit of some ten milliseconds, for which the next one waits."""

CHARACTERS_A_BATCH = 8_000_000
"""The same for the length of the messages."""

_NEVER: Any = object()
"""What nobody puts in."""

Record = tuple[Change, Done | None, object]
"""A change to be written, whom to tell, and what it is about: the plainest tuple, since there are so many."""


def can_be_refused(record: Record) -> bool:
    """Whether its caller waits to hear if it was written; what has happened already must be kept instead."""
    return type(record[0]) is Submitted


def thinned_out(records: Iterable[Record]) -> list[Record]:
    """The records with the middle half of each task's reports left out, and a change that says so in their place.

    The first and the last report of a task stay, and so does all that is no progress: no transition and no
    result is ever left out.

    Args:
        records: what waits, in order.
    """
    records = list(records)
    reports = Counter(record[0].task_id for record in records if _is_report(record[0]))
    seen: Counter[str] = Counter()
    places: dict[str, int] = {}
    kept: list[Record] = []
    for record in records:
        change = record[0]
        if isinstance(change, Progressed | LeftOut):
            task_id, number = change.task_id, reports[change.task_id]
            place, quarter = seen[task_id], max(1, number // 4)
            seen[task_id] += 1
            if quarter <= place < number - quarter:
                count = change.reports if isinstance(change, LeftOut) else 1
                if task_id not in places:
                    places[task_id] = len(kept)
                    kept.append((LeftOut(task_id, change.at, count), None, None))
                else:
                    before = cast("LeftOut", kept[places[task_id]][0])
                    kept[places[task_id]] = (before._replace(reports=before.reports + count), None, None)
                continue
        kept.append(record)
    return kept


def _is_report(change: Change) -> bool:
    return type(change) is Progressed or type(change) is LeftOut


class Backlog:
    """Records in the order in which they came; and pieces of work to be done between two batches.

    More than one batch of records is parted in two lanes, so that a submission waits for one batch, however many
    reports came before it: the second lane has the reports, and the ends that come behind reports of their own task;
    all else is in the first, which goes first.
    """

    def __init__(self) -> None:
        self._inlet: SimpleQueue[Record | Piece | None] = SimpleQueue()
        self.put: Callable[[Record], None] = self._inlet.put
        """Add a record; from anywhere."""
        # How many pieces of work and calls to wake up went in, and how many of these came out.
        self._others_in = self._others_out = 0
        # What was taken out of the inlet, and is not sorted yet, though something was raised in between.
        self._came: deque[Record | Piece | None] = deque()
        self._first: deque[Record] = deque()
        self._second: deque[Record] = deque()
        self._is_parted = False
        # While it is: how many records of the second lane each task has, there or under way, and those under way.
        self._behind: Counter[str] = Counter()
        self._counted: list[Record] = []
        self._reports = 0
        self._characters = 0
        self._work: deque[Piece] = deque()
        self.under_way: list[Record] = []
        """What was taken, and is not settled yet."""
        self.left_out = 0
        """How many reports were left out so far."""
        self.is_thinned = False
        """Whether that happened since all reports could be taken."""
        self.has_callers = False
        """Whether somebody waits for what came since the last batch: a submitter, or who asked for a piece of work."""

    def put_work(self, piece: Piece) -> None:
        """Add a piece of work."""
        self._others_in += 1
        self._inlet.put(piece)

    def wake(self) -> None:
        """Have the thread look whether it is to end."""
        self._others_in += 1
        self._inlet.put(None)

    def gather(self, pause: float | None = 0) -> None:
        """Take in what has come; where nothing has, wait for it.

        Args:
            pause: for how many seconds to wait; None is until something comes.
        """
        came = self._came
        if not (number := self._inlet.qsize()) and not came and pause != 0:
            try:
                came.append(self._inlet.get(timeout=pause))
            except Empty:
                return
            number = self._inlet.qsize()
        # This thread alone takes out, so that what is counted is there.
        came.extend(islice(iter(self._inlet.get_nowait, _NEVER), number))
        while came:
            item = came.popleft()
            try:
                if type(item) is tuple:
                    self._take_in(item)
                    continue
                self._others_out += 1
                if item is not None:
                    self._work.append(cast("Piece", item))
                    self.has_callers = True
            except BaseException:
                # No memory for it: it comes first the next time.
                came.appendleft(item)
                raise
        if self._reports > MOST_REPORTS or self._characters > MOST_CHARACTERS:
            self._thin_out()

    def _take_in(self, record: Record) -> None:
        change = record[0]
        # By its type alone, which takes less than isinstance(): a flood of reports comes through here.
        kind = type(change)
        if kind is Progressed:
            self._reports += 1
            if (message := cast("Progressed", change).message) is not None:
                self._characters += len(message)
        elif kind is Submitted:
            self.has_callers = True
        if self._is_parted:
            self._sort(record)
        else:
            self._first.append(record)

    def _sort(self, record: Record) -> None:
        change = record[0]
        kind = type(change)
        if kind is Progressed or kind is LeftOut or change.task_id in self._behind:
            self._behind[change.task_id] += 1
            self._second.append(record)
        else:
            self._first.append(record)

    def _part(self) -> None:
        """Part what waits in two lanes."""
        self._is_parted = True
        self._counted = [record for record in self.under_way if _is_report(record[0])]
        self._behind = Counter(record[0].task_id for record in self._counted)
        records, self._first = self._first, deque()
        for record in records:
            self._sort(record)

    def take(self) -> list[Record]:
        """A batch, in an order in which it can be written: that in which it came, or what others wait for first."""
        if not self._is_parted:
            if len(self._first) <= RECORDS_A_BATCH and self._characters <= CHARACTERS_A_BATCH:
                # In one step, so that nothing can be in neither or in both.
                self.under_way, self._first = list(self._first), deque()
                self._reports = self._characters = 0
                self.has_callers = self.is_thinned = False
                return self.under_way
            self._part()
        first = list(islice(self._first, RECORDS_A_BATCH))
        second: list[Record] = []
        before = self._characters
        for record in islice(self._second, RECORDS_A_BATCH):
            if before - self._characters > CHARACTERS_A_BATCH:
                break
            self._count(record, -1)
            second.append(record)
        # All that may want memory is done: from here on each record is in one place.
        self.under_way, self._counted = first + second, second
        for _ in first:
            self._first.popleft()
        for _ in second:
            self._second.popleft()
        self.has_callers = bool(self._first)
        self.is_thinned = self.is_thinned and bool(self._second)
        return self.under_way

    def settle(self, kept: Sequence[Record] = ()) -> None:
        """What was taken is written or refused, except these, which come to the front again, in their order.

        Args:
            kept: some of what was taken.
        """
        for record in kept:
            self._count(record, 1)
        if not self._is_parted:
            if kept:
                self.under_way, self._first = [], deque([*kept, *self._first])
            else:
                self.under_way = []
            return
        settled, counted = self._counted, {id(record) for record in self._counted} if kept else set()
        self._counted = []
        if kept:
            ids = {id(record) for record in kept}
            settled = [record for record in settled if id(record) not in ids]
        for task_id, number in Counter([record[0].task_id for record in settled]).items():
            self._behind[task_id] -= number
            if self._behind[task_id] <= 0:
                del self._behind[task_id]
        if kept:
            first: list[Record] = []
            second: list[Record] = []
            for record in reversed(kept):
                if id(record) in counted or record[0].task_id in self._behind:
                    second.append(record)
                    self._behind[record[0].task_id] += id(record) not in counted
                else:
                    first.append(record)
            lanes = deque([*reversed(first), *self._first]), deque([*reversed(second), *self._second])
            self.under_way, (self._first, self._second) = [], lanes
        else:
            self.under_way = []
        self._is_parted = bool(self._second)

    def next_work(self) -> Piece | None:
        """The piece of work that is next; it stays until it is done."""
        return self._work[0] if self._work else None

    def work_is_done(self) -> None:
        """Go on to the next."""
        self._work.popleft()

    @property
    def is_empty(self) -> bool:
        """Whether neither a record nor a piece of work waits."""
        return not (self._first or self._second or self._work or self.under_way or self._came or self._inlet.qsize())

    def left(self) -> list[Record]:
        """Every record that waits, when the thread is about to end."""
        self.gather()
        records = [*self.under_way, *self._first, *self._second]
        self.under_way, self._first, self._second = [], deque(), deque()
        return records

    def size(self) -> tuple[int, Microseconds | None]:
        """How many changes are not written yet, and the time of the oldest that was taken in; from any thread."""
        new = max(0, self._inlet.qsize() - (self._others_in - self._others_out))
        waiting = len(self.under_way) + len(self._first) + len(self._second) + len(self._came) + new
        for lane in (self.under_way, self._first, self._second):
            try:
                return waiting, lane[0][0].at
            except IndexError:
                continue
        return waiting, None

    def _thin_out(self) -> None:
        if not self._is_parted:
            self._part()
        self.is_thinned = True
        before = _reports_in(self._second)
        self._second = deque(thinned_out(self._second))
        self.left_out += before - _reports_in(self._second)
        self._reports = self._characters = 0
        for record in self._second:
            self._count(record, 1)
        self._behind = Counter(record[0].task_id for record in [*self._second, *self._counted])

    def _count(self, record: Record, number: int) -> None:
        """Count a report that comes or goes."""
        change = record[0]
        if isinstance(change, Progressed):
            self._reports += number
            if change.message is not None:
                self._characters += number * len(change.message)


def _reports_in(records: Iterable[Record]) -> int:
    return sum(type(record[0]) is Progressed for record in records)
