"""A folder as a queue: messages are files, a claim is a rename, and the claims of the dead go back.

Layout of the folder::

    queues/<queue>.queue/<time>-<random>.msg     a message that waits
    claimed/<random>/<name>                      one that a process has taken and not finished
    claimed/<random>.lock                        locked by that process for as long as it lives
    unreadable/<name>                            what was no message, for a person to look at

A message is never half there: it is written beside its place and renamed into it, and both are on the disk before
its sender goes on.
"""

import fcntl
import logging
import os
import stat
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote
from uuid import uuid4

from ailf.errors import InvalidArgumentError

LISTED = 10_000
"""How many messages a look into the folder is good for: a look costs more, the more messages wait."""

MAX_QUOTED_CHARACTERS = 150
"""How long a queue's name may be as part of a file's, whose whole may have 255 bytes."""

_SUFFIX = ".msg"

_log = logging.getLogger("ailf.workers")


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that this process has taken."""

    path: Path
    payload: bytes


class Spool:
    """Queues in a folder, for any number of processes of one machine.

    Args:
        folder: where; made when it is first needed, readable for its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self._queues = folder / "queues"
        self._claimed = folder / "claimed"
        self._unreadable = folder / "unreadable"
        self._seen: dict[str, deque[str]] = {}
        self._desk: Path | None = None
        self._lock: int | None = None

    def put(self, queue: str, payload: bytes) -> None:
        """Append a message to a queue.

        Args:
            queue: its name.
            payload: the message.

        Raises:
            OSError: the folder cannot be written.
        """
        place = private_folder(self._place(queue))
        name = f"{time.time_ns():020d}-{uuid4().hex}"
        draft = place / f"{name}.draft"
        write_synced(draft, payload)
        draft.rename(place / f"{name}{_SUFFIX}")
        sync_folder(place)

    def claim(self, queue: str) -> Claim | None:
        """Take the oldest message of a queue.

        Args:
            queue: its name.

        Returns:
            The message, which stays this process's until ``finish``; None where the queue is empty.

        Raises:
            OSError: the folder cannot be written.
        """
        seen = self._seen.setdefault(queue, deque())
        if not seen:
            seen.extend(self._waiting(queue)[:LISTED])
        while seen:
            name = seen.popleft()
            path = self._own_desk() / f"{quote(queue, safe='')}@{name}"
            # Whoever renames it first has it.
            try:
                (self._place(queue) / name).rename(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                # Such as a name that is too long for a claim's.
                self._put_away(self._place(queue) / name, error)
                continue
            try:
                return Claim(path, _content(path))
            except OSError as error:
                self.set_aside(Claim(path, b""), error)
        return None

    def set_aside(self, claim: Claim, reason: object) -> None:
        """Put away what is no message, so that the next one gets its turn.

        Args:
            claim: what was claimed.
            reason: what is wrong with it.

        Raises:
            OSError: the folder cannot be written.
        """
        self._put_away(claim.path, reason)

    def finish(self, claim: Claim) -> None:
        """Let go of a message that was dealt with; a second time does nothing."""
        claim.path.unlink(missing_ok=True)

    def size(self, queue: str) -> int:
        """Count the messages that wait in a queue."""
        return len(self._waiting(queue))

    def peek(self, queue: str, most: int) -> list[bytes]:
        """Read the oldest messages that wait in a queue, ``most`` of them at most, and leave them there."""
        found = []
        for name in self._waiting(queue)[:most]:
            # Somebody may take it meanwhile, or it is no file: whoever claims it deals with that.
            with suppress(OSError):
                found.append(_content(self._place(queue) / name))
        return found

    def purge(self, queue: str) -> int:
        """Delete the messages that wait in a queue; returns how many there were."""
        count = 0
        for name in self._waiting(queue):
            with suppress(FileNotFoundError):
                (self._place(queue) / name).unlink()
                count += 1
        return count

    def drop(self, queue: str) -> None:
        """Delete a queue with what waits in it."""
        self.purge(queue)
        self._seen.pop(queue, None)
        # Somebody may be writing to it at this moment: then it stays.
        with suppress(OSError):
            self._place(queue).rmdir()

    def recover(self) -> int:
        """Put back what processes that have died had claimed; returns how many messages that were."""
        count = 0
        for lock in self._claimed.glob("*.lock"):
            with suppress(OSError):
                handle = os.open(lock, os.O_RDWR)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    count += self._give_back(lock.with_suffix(""))
                    lock.unlink(missing_ok=True)
                finally:
                    os.close(handle)
        return count

    def close(self) -> None:
        """Give up the claims, which become anybody's."""
        if self._desk is None or self._lock is None:
            return
        self._give_back(self._desk)
        self._desk.with_suffix(".lock").unlink(missing_ok=True)
        os.close(self._lock)
        self._desk = self._lock = None

    def _place(self, queue: str) -> Path:
        # Quoted, so that no name leads out of the folder; the suffix keeps "." and ".." from meaning something.
        quoted = quote(queue, safe="")
        if len(quoted) > MAX_QUOTED_CHARACTERS:
            raise InvalidArgumentError(
                f"The queue name {queue!r} has {len(quoted)} characters as part of a file's name, where "
                f"{MAX_QUOTED_CHARACTERS} are allowed; give a shorter one."
            )
        return self._queues / f"{quoted}.queue"

    def _waiting(self, queue: str) -> list[str]:
        # A queue without a folder has no messages: glob says so itself.
        return sorted(path.name for path in self._place(queue).glob(f"*{_SUFFIX}"))

    def _own_desk(self) -> Path:
        while self._desk is None:
            desk = private_folder(self._claimed) / uuid4().hex
            handle = os.open(desk.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                desk.mkdir(mode=0o700)
            except BlockingIOError:
                # A recovery found the lock in the instant before it was taken: it is gone, another one will do.
                os.close(handle)
                continue
            self._desk, self._lock = desk, handle
        return self._desk

    def _put_away(self, path: Path, reason: object) -> None:
        kept = private_folder(self._unreadable) / path.name
        if os.path.lexists(kept):
            # What was kept there is somebody's to look at, and a folder cannot be replaced at all.
            kept = self._unreadable / f"{uuid4().hex}{_SUFFIX}"
        with suppress(FileNotFoundError):
            path.rename(kept)
        _log.error("%s was no message that a worker could read, and was set aside: %s", kept, reason)

    def _give_back(self, desk: Path) -> int:
        count = 0
        for path in sorted(desk.glob(f"*{_SUFFIX}")):
            queue, _, name = path.name.partition("@")
            try:
                path.rename(private_folder(self._place(unquote(queue))) / name)
            except (OSError, InvalidArgumentError) as error:
                # Nobody claimed that: it must not keep back what comes after it.
                self._put_away(path, error)
            else:
                count += 1
        with suppress(FileNotFoundError):
            desk.rmdir()
        return count


def _content(path: Path) -> bytes:
    # Opened so that a pipe that somebody put there is not waited for.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError("it is no regular file")
        return file.read()


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file for its owner alone, and have it on the disk before this returns.

    Args:
        path: the file.
        content: what goes into it.

    Raises:
        OSError: it cannot be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(handle)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk before this returns.

    Args:
        folder: the folder.

    Raises:
        OSError: it cannot be synced.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def private_folder(folder: Path) -> Path:
    """Make a folder for its owner alone, with those above it that are missing.

    Args:
        folder: the folder; one that is there is left as it is.

    Returns:
        The same.

    Raises:
        OSError: it cannot be made.
    """
    if not folder.exists():
        private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder
