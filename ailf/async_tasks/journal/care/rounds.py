"""What a manager does for the journal again and again: recovery, looking after its own lock, the scheduled delete."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from ailf.async_tasks.guard import log
from ailf.async_tasks.journal.care import machine, owners, recovery, retention
from ailf.async_tasks.journal.care.clock import Ages, read_clocks
from ailf.async_tasks.journal.care.life import Owner
from ailf.async_tasks.journal.care.locks import OwnerLock
from ailf.async_tasks.journal.writing import Writer
from ailf.async_tasks.model import Deletion


class Rounds:
    """The rounds of one manager."""

    def __init__(self, path: Path, owner: Owner, lock: OwnerLock, policy: retention.Retention) -> None:
        """Begin; nothing is done yet.

        Args:
            path: the journal.
            owner: who does it.
            lock: the owner's, held.
            policy: for how long the owner's tasks are kept.
        """
        self._path = path
        self._owner = owner
        self._lock = lock
        self._policy = policy
        self._ages = Ages(read_clocks())
        self._told_of: set[str] = set()
        self._lock_trouble = ""
        self.last_deletion: Deletion | None = None
        """What was last deleted by anybody, as of the last round."""

    @property
    def policy_in_seconds(self) -> dict[str, float]:
        """For how many seconds the owner's tasks are kept, by end state; one that is missing is kept for ever."""
        return {str(status): age.total_seconds() for status, age in self._policy.items()}

    async def recover(self, writer: Writer) -> int:
        """End what dead processes left unfinished as FAILED; returns how many tasks that were.

        Raises:
            JournalError: the journal cannot be written.
        """
        found = await writer.call(self._recover)
        self.tell_of(found.unknown)
        return found.failed

    def _recover(self, connection: sqlite3.Connection) -> recovery.Recovery:
        self._look_after_lock()
        if self._lock.inode != self._owner.lock_inode:
            now = replace(self._owner, lock_inode=self._lock.inode)
            owners.return_to_life(connection, now)
            self._owner = now
        return recovery.recover(connection, self._path, self._owner)

    def _look_after_lock(self) -> None:
        try:
            if self._lock.look_after():
                log.warning("The lock file of this manager was removed, and is there again: %s", self._lock.file)
        except OSError as error:
            # The process is looked for instead, and the rest of the round is done all the same.
            if str(error) != self._lock_trouble:
                log.warning("The lock file of this manager is gone, and cannot be put back: %s", error)
            self._lock_trouble = str(error)
        else:
            self._lock_trouble = ""

    def tell_of(self, unknown: Iterable[Owner]) -> None:
        """Say once of each owner that nobody can tell from here whether it is alive."""
        for owner in unknown:
            if owner.id not in self._told_of:
                self._told_of.add(owner.id)
                log.warning(
                    "Nobody can tell from here whether pid %d on %s is alive, which left no lock file beside the "
                    "journal %s: its unfinished tasks stay as they are. If it has ended, say "
                    "`ailf journal recover --owner %s`.",
                    owner.pid,
                    owner.host,
                    self._path,
                    owner.id,
                )

    async def delete_ended(self, writer: Writer) -> int:
        """Delete what has been kept for its time, step by step; returns how many tasks that were.

        Raises:
            JournalError: the journal cannot be written.
        """
        if ahead := self._ages.observe(read_clocks()):
            log.warning(
                "The clock of this system has jumped ahead by %s: what is in the journal %s is not deleted "
                "before it has been kept for its time in full.",
                ahead,
                self._path,
            )
        deleted: Counter[retention.Rule] = Counter()
        try:
            for rule in retention.rules(await writer.call(retention.policies_in), self._policy):
                await self._apply(writer, rule, deleted)
        finally:
            self._tell_what_is_gone(deleted)
        found = await writer.call(retention.last_deletion)
        self.last_deletion = None if found is None else Deletion(datetime.fromisoformat(found[0]), found[1])
        await writer.call(retention.forget_owners)
        while await writer.call(retention.shrink_step):
            pass
        return deleted.total()

    async def _apply(self, writer: Writer, rule: retention.Rule, deleted: Counter[retention.Rule]) -> None:
        before = self._ages.before(rule.kept)
        while before is not None:
            so_far: Counter[str] = Counter()
            for one, number in deleted.items():
                so_far[one.status] += number
            step = await writer.call(partial(retention.delete_step, rule=rule, before=before, so_far=so_far))
            deleted[rule] += step.deleted
            if step.is_last:
                break

    def _tell_what_is_gone(self, deleted: Counter[retention.Rule]) -> None:
        if deleted.total():
            what = (
                f"{number} {rule.status} (kept for {retention.in_words(rule.kept)})"
                for rule, number in deleted.items()
                if number
            )
            log.info(
                "The clean-up deleted %d tasks from the journal %s: %s.", deleted.total(), self._path, ", ".join(what)
            )


def warn_of_shared_file_system(path: Path) -> None:
    """Say it where a journal is on a file system that other machines may use at the same time."""
    if (kind := machine.shared_file_system(path)) is not None:
        log.warning(
            "The journal %s is on a file system that machines share (%s), where SQLite's write-ahead log works for the "
            "processes of one machine alone, and nobody can tell whether those of another are alive: put it on a "
            "local disk.",
            path,
            kind,
        )
