"""Whether an owner is alive: what can be found out about it, and what follows from that, as one table.

A manager holds a kernel lock on a file of its own for as long as it runs. The kernel frees the lock when
the process ends, however it ends, and keeps it while the process is stopped or stalled. All who use a
journal run on one kernel, since its write-ahead log is memory that they share: a lock that can be taken
proves death, whatever the host is called now and whichever boot this is.

Where the file of the lock is gone, or another one is in its place, or a lock says nothing, the process is looked
for: by its pid together with the time at which it started and its namespace of pids, since a pid alone may be
anybody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True, slots=True)
class Owner:
    """A manager that opened the journal: a row of ``owners``."""

    id: str
    pid: int
    host: str
    boot_id: str
    process_started: int | None = None
    """In clock ticks after the boot; None where that is not known."""
    pid_namespace: str | None = None
    lock_inode: int | None = None
    """The number of the lock file that it made itself; None where that is not known."""


class Lock(Enum):
    """What became of the owner's lock."""

    HELD = auto()
    """Somebody has it; or the file may not be opened, and so it may be that somebody has."""
    FREE = auto()
    GONE = auto()
    """The file that the owner made is not there: somebody removed or replaced it, or the journal is a copy."""
    MUTE = auto()
    """It can be taken, on a file system that is shared with other machines, whose locks it does not show."""


class Row(Enum):
    """What the row in ``owners`` says."""

    OPEN = auto()
    CLOSED = auto()
    """It stopped, or was found dead."""
    MISSING = auto()
    """There is none: it died before it was written, or starts just now."""


class Process(Enum):
    """What became of the owner's process."""

    RUNS = auto()
    ENDED = auto()
    """Where it would be seen there is none; or nobody but the one who asks has the journal open."""
    UNSEEN = auto()
    """It would not be seen from here: another container's, another boot's, an earlier release's."""


class Verdict(Enum):
    """What follows."""

    ALIVE = auto()
    """Nothing of it is touched."""
    DEAD = auto()
    """What it left unfinished becomes FAILED, its row says so, and its lock file goes."""
    UNKNOWN = auto()
    """Nothing of it is touched, and somebody has to be told: a person may know."""


def _always(verdict: Verdict) -> Mapping[Process, Verdict]:
    return dict.fromkeys(Process, verdict)


_BY_PROCESS = {Process.RUNS: Verdict.ALIVE, Process.ENDED: Verdict.DEAD, Process.UNSEEN: Verdict.UNKNOWN}

VERDICTS: Mapping[tuple[Lock, Row], Mapping[Process, Verdict]] = {
    (Lock.HELD, Row.OPEN): _always(Verdict.ALIVE),
    # It is just stopping, or was given up for dead and goes on.
    (Lock.HELD, Row.CLOSED): _always(Verdict.ALIVE),
    (Lock.HELD, Row.MISSING): _always(Verdict.ALIVE),
    (Lock.FREE, Row.OPEN): _always(Verdict.DEAD),
    (Lock.FREE, Row.CLOSED): _always(Verdict.DEAD),
    (Lock.FREE, Row.MISSING): _always(Verdict.DEAD),
    (Lock.GONE, Row.OPEN): _BY_PROCESS,
    # An owner removes its lock file once its row says that it has stopped.
    (Lock.GONE, Row.CLOSED): _always(Verdict.DEAD),
    (Lock.GONE, Row.MISSING): _always(Verdict.DEAD),
    (Lock.MUTE, Row.OPEN): _BY_PROCESS,
    (Lock.MUTE, Row.CLOSED): _always(Verdict.DEAD),
    (Lock.MUTE, Row.MISSING): _always(Verdict.UNKNOWN),
}
"""What follows from what was found; the tests go through it row by row."""


def verdict(lock: Lock, row: Row, process: Process) -> Verdict:
    """What follows from what was found out about an owner."""
    return VERDICTS[lock, row][process]
