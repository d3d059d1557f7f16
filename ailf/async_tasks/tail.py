"""The end of the journal, read once for all who follow it, and handed to those whom it concerns.

Whoever follows reads for itself what was there before it came, and from then on is given what is new: a thousand
who follow one task cost the others nothing, and one who does not keep up reads for itself again.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from enum import Enum, auto

from ailf.async_tasks.guard import log
from ailf.async_tasks.journal.form import task_event
from ailf.async_tasks.journal.reading import (
    AsyncReader,
    Query,
    Row,
    among_query,
    fitting_query,
    followed_query,
    last_numbers_query,
    new_lines_query,
    unfinished_query,
)
from ailf.async_tasks.model import TaskEvent, TaskFilter
from ailf.async_tasks.states import ENDED, EVENT_OF_STATUS
from ailf.errors import JournalError

EVENTS_A_READ = 500
"""How many events one query fetches, so that a long history is never in memory as a whole."""

QUERIES_A_READ = 50
"""For how many different choices of tasks it is asked at once which of them fit; each has some parameters."""

REST_SECONDS = 0.02
"""How long it rests after a read: what comes first is handed out at once, and what comes meanwhile together."""

LOOK_SECONDS = 1.0
"""How long it takes, once somebody writes, until a task is missed that ended or went without an event to tell of it."""

MOST_EVENTS_KEPT = EVENTS_A_READ
"""How many events wait for a follower at most; one that has more reads the journal for itself."""

LAST_LOOK_SECONDS = 1.0
"""How long a journal that goes with its manager stays, for those who watch it to read its last events."""

GiveWay = Callable[[Awaitable[None]], Awaitable[None]]
"""Awaits something, and has the slot of a task that follows be somebody else's meanwhile."""

ALL_TASKS = TaskFilter()

LAST_EVENTS = frozenset(EVENT_OF_STATUS[status] for status in ENDED)


class Wanted(Enum):
    """What a follower is given, or told of."""

    EVENTS = auto()
    """Each event."""
    END = auto()
    """That the task has ended, or may have; it reads how for itself."""
    LINES = auto()
    """That there are new lines in the task's log, or no more of them; it reads them for itself."""


class Follower:
    """One who follows the journal, as long as it is in step with the tail.

    Attributes:
        task_id: whose events it follows; None is everybody's.
        wanted: what it is given.
        is_behind: whether it must read the journal for itself.
        events: what it is given, in order; among it may be what it has read for itself.
        is_in_step: whether it has read all that was there, and lives on what it is given.
        passed: up to which event it has been given all that concerns it, while it was in step.
    """

    __slots__ = ("_news", "chosen", "events", "is_behind", "is_in_step", "passed", "task_id", "wanted")

    def __init__(self, task_id: str | None, wanted: Wanted, chosen: Query | None) -> None:
        self.task_id = task_id
        self.wanted = wanted
        self.chosen = chosen
        """Tells which tasks are meant, where these are not all."""
        self.is_behind = True
        self.is_in_step = False
        self.passed = 0
        self.events: deque[TaskEvent] = deque()
        self._news = asyncio.Event()

    def catch_up(self) -> None:
        """Begin to read: what is committed from here on is handed out."""
        self._news.clear()
        self.events.clear()
        self.is_behind = self.is_in_step = False

    async def news(self) -> None:
        """Wait until there are events, or something to read."""
        await self._news.wait()
        self._news.clear()

    def fall_behind(self) -> None:
        """Have it read for itself."""
        self.is_behind = True
        self.events.clear()
        self._news.set()

    def hear(self, event: TaskEvent) -> None:
        """Give it an event that concerns it."""
        if self.is_behind:
            return
        if self.wanted is not Wanted.EVENTS:
            if event.kind in LAST_EVENTS:
                self._news.set()
        elif len(self.events) == MOST_EVENTS_KEPT:
            self.fall_behind()
        else:
            self.events.append(event)
            self._news.set()

    def hear_of_lines(self) -> None:
        """Tell it of new lines."""
        self._news.set()


class Tail:
    """Reads on whenever something was committed, by this process or another, while anybody follows."""

    def __init__(self, reader: AsyncReader) -> None:
        """Begin with nobody.

        Args:
            reader: reads the journal.
        """
        self.is_over = False
        self._reader = reader
        # Those of one task, and under None those of all; dicts for their order.
        self._followers: dict[str | None, dict[Follower, None]] = {}
        self._joining = asyncio.Lock()
        self._news = asyncio.Event()
        self._nobody_follows = asyncio.Event()
        self._nobody_follows.set()
        self._somebody_follows = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # Up to which event, and to which line of a log, it has read.
        self._position = 0
        self._last_line = 0
        self._looks_at = 0.0
        self._must_look = False

    async def join(
        self, task_id: str | None, wanted: Wanted = Wanted.EVENTS, chosen: TaskFilter = ALL_TASKS
    ) -> Follower:
        """Follow from now on; the past is the follower's own to read, once it has joined.

        Args:
            task_id: one task; None is all.
            wanted: what to be given.
            chosen: of which tasks; by what never changes of a task.

        Raises:
            JournalError: the journal cannot be read.
        """
        async with self._joining:
            if not self._followers and not self.is_over:
                [(self._position, self._last_line)] = await self._reader.rows(last_numbers_query())
            follower = Follower(task_id, wanted, None if chosen == ALL_TASKS else fitting_query(chosen))
            self._followers.setdefault(task_id, {})[follower] = None
        self._nobody_follows.clear()
        self._somebody_follows.set()
        if (self._task is None or self._task.done()) and not self.is_over:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="ailf tail")
        return follower

    def leave(self, follower: Follower) -> None:
        """Follow no more."""
        own = self._followers[follower.task_id]
        del own[follower]
        if not own:
            del self._followers[follower.task_id]
        if not self._followers:
            self._nobody_follows.set()
            self._somebody_follows.clear()

    @property
    def is_followed(self) -> bool:
        """Whether anybody follows."""
        return bool(self._followers)

    async def somebody_follows(self) -> None:
        """Wait until anybody does."""
        await self._somebody_follows.wait()

    def notify(self) -> None:
        """Something was committed."""
        self._must_look = True
        self._news.set()

    def end(self) -> None:
        """Have everybody read for the last time."""
        self.is_over = True
        if self._task is not None:
            self._task.cancel()
        self._leave_all_behind()

    async def all_have_read(self) -> None:
        """Wait, though not for long, until every follower has read the last events."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_LOOK_SECONDS):
                await self._nobody_follows.wait()

    async def _run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                while self._followers and await self._read_on():
                    pass
                await self._look()
            except JournalError as error:
                log.debug("Cannot follow the journal: %s", error)
                # Each of them meets the error where it reads, and tells whoever asked it.
                self._leave_all_behind()
            except Exception:  # noqa: BLE001 - a part of ours goes on, and says so
                log.exception("Following the journal met an unexpected error, and goes on.")
                self._leave_all_behind()
            await asyncio.sleep(REST_SECONDS)

    async def _read_on(self) -> bool:
        """Hand out what is new; whether there is more."""
        rows = await self._reader.rows(followed_query(self._position, None, ALL_TASKS, EVENTS_A_READ))
        deleted = int(rows[0][0])
        if deleted > self._position:
            # Something that nobody was given may be gone; only who reads for itself can tell.
            self._leave_all_behind()
        events = [row[1:-1] for row in rows if row[1] is not None]
        fitting = await self._fitting({row[1] for row in events})
        for row in events:
            self._hand_out(row, fitting)
        self._position = max(deleted, events[-1][0] if events else self._position)
        for follower in self._followers.get(None, ()):
            if follower.is_in_step and not (follower.is_behind or follower.events):
                follower.passed = self._position
        await self._tell_of_lines()
        return len(events) == EVENTS_A_READ

    async def _fitting(self, task_ids: Collection[str]) -> Mapping[Query | None, Collection[str]]:
        """Which of these tasks fit what followers have chosen; under None those that are there."""
        chosen = list({follower.chosen: None for follower in self._all() if follower.chosen is not None})
        if not chosen or not task_ids:
            return {}
        found: dict[Query | None, set[str]] = {one: set() for one in (None, *chosen)}
        for begin in range(0, len(chosen), QUERIES_A_READ):
            some = chosen[begin : begin + QUERIES_A_READ]
            for number, task_id in await self._reader.rows(among_query(some, task_ids)):
                found[None if number is None else some[number]].add(task_id)
        return found

    def _hand_out(self, row: Row, fitting: Mapping[Query | None, Collection[str]]) -> None:
        concerned = [*self._followers.get(row[1], ()), *self._followers.get(None, ())]
        if concerned:
            event = task_event(row)
            for follower in concerned:
                if follower.chosen is None or row[1] in fitting.get(follower.chosen, ()):
                    follower.hear(event)
                elif follower.chosen not in fitting or row[1] not in fitting[None]:
                    # Nobody can tell any more: the journal itself says what is gone.
                    follower.fall_behind()

    async def _tell_of_lines(self) -> None:
        if any(follower.wanted is Wanted.LINES for follower in self._all()):
            for task_id, last in await self._reader.rows(new_lines_query(self._last_line)):
                self._last_line = max(self._last_line, last)
                for follower in self._followers.get(task_id, ()):
                    if follower.wanted is Wanted.LINES:
                        follower.hear_of_lines()

    async def _look(self) -> None:
        """See which of the tasks are unfinished: of one that is gone no event tells."""
        loop = asyncio.get_running_loop()
        if not self._must_look or not self._followers:
            return
        if loop.time() < self._looks_at:
            loop.call_at(self._looks_at, self._news.set)
            return
        self._must_look = False
        self._looks_at = loop.time() + LOOK_SECONDS
        followed = [task_id for task_id in self._followers if task_id is not None]
        if not followed:
            return
        unfinished = {task_id for (task_id,) in await self._reader.rows(unfinished_query(followed))}
        for task_id in set(followed) - unfinished:
            for follower in self._followers.get(task_id, ()):
                if not follower.is_behind:
                    follower.fall_behind()

    def _leave_all_behind(self) -> None:
        for follower in self._all():
            follower.fall_behind()

    def _all(self) -> Iterable[Follower]:
        return [follower for own in self._followers.values() for follower in own]
