"""What follows from what was found out about an owner: the whole table, row by row."""

from itertools import product

import pytest

from ailf.async_tasks.journal.care.life import VERDICTS, Lock, Process, Row, Verdict, verdict

ALIVE, DEAD, UNKNOWN = Verdict.ALIVE, Verdict.DEAD, Verdict.UNKNOWN

# By lock and row: the verdict where the process runs, where it has ended, where it would not be seen.
WANTED = {
    (Lock.HELD, Row.OPEN): (ALIVE, ALIVE, ALIVE),
    (Lock.HELD, Row.CLOSED): (ALIVE, ALIVE, ALIVE),
    (Lock.HELD, Row.MISSING): (ALIVE, ALIVE, ALIVE),
    (Lock.FREE, Row.OPEN): (DEAD, DEAD, DEAD),
    (Lock.FREE, Row.CLOSED): (DEAD, DEAD, DEAD),
    (Lock.FREE, Row.MISSING): (DEAD, DEAD, DEAD),
    (Lock.GONE, Row.OPEN): (ALIVE, DEAD, UNKNOWN),
    (Lock.GONE, Row.CLOSED): (DEAD, DEAD, DEAD),
    (Lock.GONE, Row.MISSING): (DEAD, DEAD, DEAD),
    (Lock.MUTE, Row.OPEN): (ALIVE, DEAD, UNKNOWN),
    (Lock.MUTE, Row.CLOSED): (DEAD, DEAD, DEAD),
    (Lock.MUTE, Row.MISSING): (UNKNOWN, UNKNOWN, UNKNOWN),
}


@pytest.mark.parametrize(("lock", "row", "process"), list(product(Lock, Row, Process)))
def test_each_row_of_the_table(lock: Lock, row: Row, process: Process) -> None:
    """A held lock is life and a free one death; where there is none, what is seen of the process counts."""
    runs, ended, unseen = WANTED[lock, row]
    wanted = {Process.RUNS: runs, Process.ENDED: ended, Process.UNSEEN: unseen}
    assert verdict(lock, row, process) is wanted[process]


def test_the_table_is_whole() -> None:
    """Every pair of lock and row has its line, and no other."""
    assert set(VERDICTS) == set(product(Lock, Row))


def test_nobody_is_dead_without_proof() -> None:
    """Where neither the lock, nor the row, nor the process says that it ended, it is not held to have."""
    for lock, process in product(Lock, Process):
        if verdict(lock, Row.OPEN, process) is DEAD:
            assert lock is Lock.FREE or process is Process.ENDED
