"""Following the journal: what it holds already, then what comes, with no gap between the two."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from ailf.async_tasks.journal.form import task_event, task_info
from ailf.async_tasks.journal.reading import AsyncReader, followed_query, task_query
from ailf.async_tasks.model import TaskEvent, TaskFilter
from ailf.async_tasks.states import ENDED, EVENT_OF_STATUS
from ailf.errors import EventsDeletedError

EVENTS_A_READ = 500
"""How many events one query fetches, so that a long history is never in memory as a whole."""

LAST_LOOK_SECONDS = 1.0
"""How long a journal that goes with its manager stays, for those who watch it to read its last events."""

LAST_EVENTS = frozenset(EVENT_OF_STATUS[status] for status in ENDED)


class Commits:
    """Tells those who watch that something was committed, by this process or another."""

    def __init__(self) -> None:
        self.is_over = False
        self._watchers: set[asyncio.Event] = set()
        self._nobody_watches = asyncio.Event()
        self._nobody_watches.set()
        self._somebody_watches = asyncio.Event()

    def add(self) -> asyncio.Event:
        """A new watcher, as the event that wakes it."""
        watcher = asyncio.Event()
        self._watchers.add(watcher)
        self._nobody_watches.clear()
        self._somebody_watches.set()
        return watcher

    def discard(self, watcher: asyncio.Event) -> None:
        """Take a watcher out."""
        self._watchers.discard(watcher)
        if not self._watchers:
            self._nobody_watches.set()
            self._somebody_watches.clear()

    @property
    def is_watched(self) -> bool:
        """Whether anybody watches."""
        return bool(self._watchers)

    async def somebody_watches(self) -> None:
        """Wait until anybody does."""
        await self._somebody_watches.wait()

    def notify(self) -> None:
        """Wake all of them."""
        for watcher in self._watchers:
            watcher.set()

    def end(self) -> None:
        """Wake all of them for the last time."""
        self.is_over = True
        self.notify()

    async def all_have_read(self) -> None:
        """Wait, though not for long, until every watcher has read the last events."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                await self._nobody_watches.wait()


async def follow(
    reader: AsyncReader, commits: Commits, task_id: str | None, after: int | None, chosen: TaskFilter
) -> AsyncIterator[TaskEvent]:
    """The events of one task or of all, those of the past and then each new one.

    The journal is read again whenever something was committed, from the last event seen on; since
    their numbers rise in the order of the commits, none is missed and none comes twice.

    Args:
        reader: reads the journal.
        commits: says when to read it again.
        task_id: the task, after whose last event the iteration ends; None is every task.
        after: the number of the event after which to begin; None begins with the first that is there.
        chosen: the tasks whose events are wanted.

    Raises:
        EventsDeletedError: events that were to come next have been deleted.
    """
    watcher = commits.add()
    has_ended = False
    position = after or 0
    # Up to which event deletions are known of: where history begins is no gap for one who asks for what there is.
    known = after
    try:
        while True:
            watcher.clear()
            is_last_read = has_ended or commits.is_over
            rows = await reader.rows(followed_query(position, task_id, chosen, EVENTS_A_READ))
            deleted = int(rows[0][0])
            known = deleted if known is None else known
            gap = deleted if task_id is None and deleted > max(known, position) else None
            events = [(task_event(row[1:-1]), row[-1]) for row in rows if row[1] is not None]
            for event, fits in events:
                if gap is not None and event.seq > gap:
                    # All that is left of what comes before has been told.
                    raise _gap(known, gap)
                position = event.seq
                if fits:
                    yield event
                if task_id is not None and event.kind in LAST_EVENTS:
                    return
            if len(events) == EVENTS_A_READ:
                continue
            if gap is not None:
                raise _gap(known, gap)
            if is_last_read:
                return
            has_ended = task_id is not None and not events and await _has_ended(reader, task_id, position, deleted)
            if not has_ended:
                await watcher.wait()
    finally:
        commits.discard(watcher)


def _gap(known: int, deleted: int) -> EventsDeletedError:
    return EventsDeletedError(
        f"Events between {known} and {deleted} have been deleted with their tasks, which were kept for their time: "
        f"go on with watch(after={deleted}), or keep tasks for longer (retention).",
        resume_after=deleted,
    )


async def _has_ended(reader: AsyncReader, task_id: str, position: int, deleted: int) -> bool:
    """Whether a task has ended, or is gone with nothing left untold, so that no event of it comes any more.

    Raises:
        EventsDeletedError: it was deleted before all of its events were read.
    """
    rows = await reader.rows(task_query(task_id))
    if not rows and deleted > position:
        raise _gap(position, deleted)
    return not rows or task_info(rows[0]).status.is_ended
