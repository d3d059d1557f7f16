"""Following the journal: what it holds already, then what comes, with no gap between the two."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import NamedTuple

from ailf.async_tasks.journal.form import task_event, task_info
from ailf.async_tasks.journal.reading import AsyncReader, followed_query, task_query
from ailf.async_tasks.model import TaskEvent, TaskFilter
from ailf.async_tasks.tail import EVENTS_A_READ, LAST_EVENTS, Follower, GiveWay, Tail
from ailf.errors import EventsDeletedError


async def follow(
    reader: AsyncReader, tail: Tail, task_id: str | None, after: int | None, chosen: TaskFilter, *, give_way: GiveWay
) -> AsyncIterator[TaskEvent]:
    """The events of one task or of all, those of the past and then each new one.

    The past is read from the journal, by one who has joined the tail already; since the numbers of events rise in
    the order of the commits, none is missed in between, and what comes twice is known by its number.

    Args:
        reader: reads the journal.
        tail: hands out what is new.
        task_id: the task, after whose last event the iteration ends; None is every task.
        after: the number of the event after which to begin; None begins with the first that is there.
        chosen: the tasks whose events are wanted.
        give_way: through which each wait for news goes.

    Raises:
        EventsDeletedError: events that were to come next have been deleted.
    """
    follower = await tail.join(task_id, chosen=chosen)
    past = _Past(reader, tail, task_id, after, chosen)
    position = after or 0
    try:
        while True:
            if follower.is_behind:
                position = max(position, follower.passed)
                page = await past.next_page(follower, position)
            else:
                page = _Page(_handed_out(follower))
            for event in page.events:
                if event.seq <= position:
                    continue
                position = event.seq
                yield event
                if task_id is not None and event.kind in LAST_EVENTS:
                    return
            position = max(position, page.passed)
            if page.gap is not None:
                raise page.gap
            if page.is_last:
                return
            if not follower.is_behind:
                follower.is_in_step = True
                await give_way(follower.news())
    finally:
        tail.leave(follower)


def _handed_out(follower: Follower) -> Iterator[TaskEvent]:
    while follower.events:
        yield follower.events.popleft()


class _Page(NamedTuple):
    """Some events that come next."""

    events: Iterable[TaskEvent]
    passed: int = 0
    """Up to which event there are no others."""
    gap: EventsDeletedError | None = None
    """Why none can be told that comes behind them."""
    is_last: bool = False
    """Whether none comes behind them."""


class _Past:
    """What is in the journal, page by page."""

    def __init__(
        self, reader: AsyncReader, tail: Tail, task_id: str | None, after: int | None, chosen: TaskFilter
    ) -> None:
        self._reader = reader
        self._tail = tail
        self._task_id = task_id
        self._chosen = chosen
        # Up to which event deletions are known of: where history begins is no gap for one who asks for what there is.
        self._known = after
        self._has_ended = False

    async def next_page(self, follower: Follower, position: int) -> _Page:
        """The next events after one; where there are more, or where to look once more, the follower stays behind."""
        follower.catch_up()
        is_last_read = self._has_ended or self._tail.is_over
        rows = await self._reader.rows(followed_query(position, self._task_id, self._chosen, EVENTS_A_READ))
        deleted = int(rows[0][0])
        self._known = deleted if self._known is None else self._known
        events = [(task_event(row[1:-1]), row[-1]) for row in rows if row[1] is not None]
        is_full = len(events) == EVENTS_A_READ
        gap = None
        if self._task_id is None and deleted > max(self._known, position):
            # First all that is left of what comes before.
            before = [one for one in events if one[0].seq <= deleted]
            if len(before) < len(events) or not is_full:
                events, gap = before, _gap(self._known, deleted)
        if is_full:
            follower.is_behind = True
        elif self._task_id is not None and not events and not is_last_read:
            self._has_ended = await _has_ended(self._reader, self._task_id, position, deleted)
            # Its last event may have come since; once more, and all is told.
            follower.is_behind = follower.is_behind or self._has_ended
        return _Page(
            [event for event, fits in events if fits],
            events[-1][0].seq if events else position,
            gap,
            is_last=(is_last_read and not is_full) or (bool(events) and self._is_end(events[-1][0])),
        )

    def _is_end(self, event: TaskEvent) -> bool:
        return self._task_id is not None and event.kind in LAST_EVENTS


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
