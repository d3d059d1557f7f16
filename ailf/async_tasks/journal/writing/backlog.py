"""What waits to be written: a bounded queue from any thread to the writer's."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from ailf.async_tasks.model import Change, Microseconds, Progressed, Submitted
from ailf.errors import AilfError, JournalError

Done = Callable[[Any, AilfError | None], None]
"""Called on the event loop when a record is committed (None), or when it cannot be, with what it is about."""

Work = Callable[[], None]

MOST_RECORDS = 100_000
"""From how many records on progress is thinned out; nothing else ever is."""


Record = tuple[Change, Done | None, object]
"""A change to be written, whom to tell, and what it is about: the plainest tuple, since there are so many."""


def can_be_refused(record: Record) -> bool:
    """Whether its caller waits to hear if it was written; what has happened already must be kept instead."""
    return type(record[0]) is Submitted


def thinned_out(records: Sequence[Record]) -> list[Record]:
    """The records without every other report of progress from the middle of each task's reports.

    The first and the last report of a task stay, and so does all that is no progress: no transition and no
    result is ever dropped.

    Args:
        records: what waits, in order.
    """
    reports = Counter(change.task_id for change, _, _ in records if _is_progress(change))
    seen: Counter[str] = Counter()
    kept = []
    for record in records:
        change = record[0]
        if _is_progress(change):
            task_id = change.task_id
            place = seen[task_id]
            seen[task_id] += 1
            if place % 2 and place < reports[task_id] - 1:
                continue
        kept.append(record)
    return kept


def _is_progress(change: Change) -> bool:
    return type(change) is Progressed


class Backlog:
    """Records in the order in which they came, and pieces of work to be done between two batches of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[Record] = []
        # Taken, and neither written nor put back yet: a commit may wait long for somebody's lock.
        self._under_way: list[Record] = []
        self._most = MOST_RECORDS
        self._dropped = 0
        self._work: list[Work] = []
        self._retry_at = 0.0
        self._tries_again = False
        self._is_called = False
        self._closing_at: float | None = None
        self._is_asleep = False
        # Held by the writer's thread, which waits for it to be released; a threading.Condition does the
        # same in Python.
        self._bell = threading.Lock()
        self._bell.acquire()

    def put(self, record: Record) -> None:
        """Add a record; a submission, whose caller waits, ends the pause before the next try."""
        with self._lock:
            self._records.append(record)
            if self._retry_at and can_be_refused(record):
                self._retry_at = 0.0
            if len(self._records) > self._most:
                self._thin_out()
            if self._is_asleep:
                self._ring()

    def wake(self) -> None:
        """Have the writer's thread look what there is, lines of logs included."""
        with self._lock:
            self._is_called = True
            if self._is_asleep:
                self._ring()

    def put_work(self, work: Work) -> None:
        """Add a piece of work.

        Raises:
            JournalError: nothing is taken any more.
        """
        with self._lock:
            if self._closing_at is not None:
                raise JournalError("The journal is being closed.")
            self._work.append(work)
            self._ring()

    def put_back(self, records: Sequence[Record], pause: float) -> None:
        """Put records that could not be written at the front again, not to be taken before a pause in seconds.

        Even if there is none, something is taken after the pause: whether writing works again has to be tried.
        """
        with self._lock:
            self._tries_again = True
            self._under_way = []
            self._records[:0] = records
            self._retry_at = time.monotonic() + pause

    def settle(self) -> None:
        """What was taken is written."""
        with self._lock:
            self._under_way = []

    def take(self) -> tuple[list[Record], list[Work]] | None:
        """Wait for something to do and take all of it; None when the backlog is closed and there is no more."""
        while True:
            with self._lock:
                pause = self._pause()
                if pause is None and self._closing_at is not None:
                    return None
                if pause == 0:
                    self._tries_again = self._is_called = False
                    records, self._records = self._records, []
                    self._under_way = records
                    work, self._work = self._work, []
                    return records, work
                self._is_asleep = True
            self._sleep(pause)

    def close(self, patience: float) -> None:
        """Take no more work, and give up what cannot be written within so many seconds."""
        with self._lock:
            self._closing_at = time.monotonic() + patience
            self._retry_at = 0.0
            self._ring()

    @property
    def is_closing(self) -> bool:
        """Whether it takes no more work."""
        return self._closing_at is not None

    def left(self) -> list[Record]:
        """What is waiting."""
        with self._lock:
            return list(self._records)

    def dropped(self) -> int:
        """How many reports of progress were dropped since the last time this was asked."""
        with self._lock:
            dropped, self._dropped = self._dropped, 0
            return dropped

    def size(self) -> tuple[int, Microseconds | None]:
        """How many changes are not written yet, and the time of the oldest."""
        with self._lock:
            first = next(chain(self._under_way, self._records), None)
            return len(self._under_way) + len(self._records), None if first is None else first[0].at

    def _thin_out(self) -> None:
        kept = thinned_out(self._records)
        self._dropped += len(self._records) - len(kept)
        self._records = kept
        # Where little could be dropped, not at each record again.
        self._most = max(MOST_RECORDS, len(kept) + MOST_RECORDS // 4)

    def _pause(self) -> float | None:
        """How long there is nothing to do, in seconds; None until somebody rings."""
        if self._work:
            return 0
        now = time.monotonic()
        if self._closing_at is not None and (not self._records or now > self._closing_at):
            return None
        if not self._records and not self._tries_again and not self._is_called:
            return None
        return max(0.0, self._retry_at - now)

    def _ring(self) -> None:
        """Wake the writer's thread, with the lock held."""
        if self._is_asleep:
            self._is_asleep = False
            self._bell.release()

    def _sleep(self, pause: float | None) -> None:
        """Wait for the bell, but no longer than a pause in seconds."""
        rung = self._bell.acquire(timeout=-1 if pause is None else pause)
        with self._lock:
            if not rung and not self._is_asleep:
                # Rung after the pause and before the lock: what was released has to be taken back.
                self._bell.acquire()
            self._is_asleep = False
