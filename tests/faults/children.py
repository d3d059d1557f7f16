"""Child processes that start warm: forked from a server that has imported everything once."""

import logging
import multiprocessing
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import alembic.command
import alembic.context

from ailf.async_tasks.journal.writing import writer
from tests.faults.scenario import run_programme
from tests.faults.vfs import Fault, disk

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["__main__", "tests.faults.children", "tests.faults.peer"])

WARM = (alembic.command, alembic.context)
"""What a new journal needs, imported here so that no child has to."""

PATIENCE_SECONDS = 60.0


@dataclass
class Life:
    """What a child said, and how it ended."""

    said: list[dict[str, Any]] = field(default_factory=list)
    was_killed: bool = False
    compared: int = 0
    """How many of its acknowledgements were compared with the journal."""

    @property
    def met_its_fault(self) -> bool:
        """Whether the fault came before the end of the programme."""
        return self.was_killed or any(line["struck"] for line in self.told("counts"))

    def has_said(self, what: str) -> bool:
        """Whether it came so far."""
        return any(line["what"] == what for line in self.said)

    def told(self, what: str) -> list[dict[str, Any]]:
        """Everything of one kind that it said."""
        return [line for line in self.said if line["what"] == what]


def live(journal: Path, fault: Fault | None, durability: str = "process") -> Life:
    """Run the programme in a child with a fault, to the end of the one or the other.

    Args:
        journal: the journal.
        fault: what happens to it; None is nothing.
        durability: the manager's.
    """
    ours, theirs = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(target=_child, args=(theirs, journal, fault, durability), daemon=True)
    child.start()
    theirs.close()
    life = Life()
    with ours:
        try:
            while ours.poll(PATIENCE_SECONDS):
                life.said.append(ours.recv())
            raise AssertionError(f"The child hung with {fault}; it said {life.said[-3:]}")
        except EOFError:
            pass
        finally:
            child.join(PATIENCE_SECONDS if not life.said else 5)
            if child.is_alive():
                child.kill()
                child.join()
    # By what it did not say: the exit code of a child of the fork server may get lost on a busy machine.
    life.was_killed = not life.told("counts")
    child.close()
    for broken in life.told("broken"):
        raise AssertionError(f"The child broke with {fault}:\n{broken['traceback']}")
    return life


def be_quick() -> None:
    """Have the writer try again sooner than it would: a fault is counted here in tries, not in seconds."""
    writer.FIRST_RETRY_SECONDS = writer.LAST_RETRY_SECONDS = 0.002
    logging.getLogger("ailf").addHandler(logging.NullHandler())


def _child(pipe: Connection, journal: Path, fault: Fault | None, durability: str) -> None:
    be_quick()
    faulty = disk()
    faulty.install()
    if fault is None:
        faulty.disarm()
    else:
        faulty.arm(fault)
    try:
        run_programme(journal, pipe.send, durability)
    except BaseException:  # noqa: BLE001 - told to the parent
        pipe.send({"what": "broken", "traceback": traceback.format_exc()})
    pipe.send({"what": "counts", "counts": dict(faulty.counts), "struck": faulty.struck})
