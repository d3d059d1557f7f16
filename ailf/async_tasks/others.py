"""What other processes do with the journal: hearing of it soon, at next to no cost, and doing what they ask."""

import asyncio
from contextlib import suppress

from ailf.async_tasks.guard import log
from ailf.async_tasks.journal import Journal
from ailf.async_tasks.running import LiveTasks
from ailf.async_tasks.tail import Tail
from ailf.errors import JournalError

WATCHED_LOOK_SECONDS = 0.05
"""How often to look whether anybody has written, while somebody here waits for that."""

LOOK_SECONDS = 0.5
"""How often otherwise: a request to cancel a task of ours is noticed within a second."""


class Others:
    """The other processes on a journal, as one manager hears of them."""

    def __init__(self, journal: Journal, tail: Tail, live: LiveTasks) -> None:
        """Begin to know of them.

        Args:
            journal: the journal.
            tail: told whenever anybody has written.
            live: the tasks that others may want cancelled.
        """
        self._journal = journal
        self._tail = tail
        self._live = live
        # A request is obeyed once; one that is made again has another time.
        self._obeyed: dict[str, str] = {}

    async def listen(self) -> None:
        """Look again and again, for as long as the manager runs."""
        has_news = False
        while True:
            await self._pause()
            try:
                self._journal.writer.look_after_the_place()
                if self._journal.pulse.has_changed():
                    has_news = True
                    self._tail.notify()
                if has_news and self._live.is_busy:
                    self._obey()
                has_news = False
            except JournalError as error:
                # It stays news, and is read when the journal can be.
                log.debug("Cannot see what other processes ask for: %s", error)
            except Exception:  # noqa: BLE001 - a part of ours goes on, and says so
                log.exception("Listening to other processes met an unexpected error, and goes on.")

    async def _pause(self) -> None:
        if self._tail.is_followed:
            await asyncio.sleep(WATCHED_LOOK_SECONDS)
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._tail.somebody_follows()

    def _obey(self) -> None:
        requests = dict(self._journal.cancel_requests())
        for task_id, at in requests.items():
            if self._obeyed.get(task_id) != at:
                log.info("Another process asked to cancel task %s.", task_id, extra={"task_id": task_id})
                self._live.cancel_soon(task_id)
        self._obeyed = requests
