"""What a loss of power leaves on the disk, made from the record of what reached it.

What was synced is there. Of what was written since, each write may be there or not, whatever the
order, and one may be there in part: https://sqlite.org/atomiccommit.html#_hardware_assumptions
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from random import Random

from tests.faults.vfs import Io, Operation

SECTOR_BYTES = 512

GHOSTS = 0.5
"""How likely it is that a deletion is lost, where the folder was not synced."""


class Loss(StrEnum):
    """What becomes of the writes that were not synced."""

    DROPPED = "dropped"
    """None is there."""
    REORDERED = "reordered"
    """Some are there, earlier ones missing or not."""
    TORN = "torn"
    """The same, and the last one that is there is so up to a sector."""


class _File:
    """A file as it is on the disk for certain, and what may be on it."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.pending: list[Io] = []

    def sync(self) -> None:
        for io in self.pending:
            self.apply(io)
        self.pending.clear()

    def apply(self, io: Io) -> None:
        if io.operation is Operation.TRUNCATE:
            del self.content[io.offset :]
            return
        self.content.extend(bytes(max(0, io.offset - len(self.content))))
        self.content[io.offset : io.offset + len(io.data)] = io.data

    def lose(self, loss: Loss, random: Random) -> None:
        survivors = [] if loss is Loss.DROPPED else [io for io in self.pending if random.random() < 0.5]
        if loss is Loss.TORN and survivors and survivors[-1].data:
            last = survivors.pop()
            size = random.randrange(0, len(last.data), SECTOR_BYTES)
            survivors.append(Io(last.operation, last.path, last.offset, last.data[:size]))
        self.pending = survivors
        self.sync()


def after_the_cut(record: Iterable[Io], before: Mapping[str, bytes], loss: Loss, random: Random) -> dict[str, bytes]:
    """The files that a loss of power leaves.

    Args:
        record: what reached the disk until then.
        before: the files as they were before all of it.
        loss: what becomes of what was not synced.
        random: decides what is lost.
    """
    files = {path: _File(content) for path, content in before.items()}
    # By path: what was deleted, while its name may be in the folder still; and whose name may not be yet.
    ghosts: dict[str, _File] = {}
    unsynced: set[str] = set()
    for io in record:
        if io.operation is Operation.DELETE:
            gone = files.pop(io.path, None)
            if gone is not None and not io.offset:
                ghosts[io.path] = gone
            continue
        if io.path not in files:
            files[io.path] = _File()
            unsynced.add(io.path)
            ghosts.pop(io.path, None)
        if io.operation is not Operation.SYNC:
            files[io.path].pending.append(io)
            continue
        files[io.path].sync()
        if io.path in unsynced:
            # SQLite syncs the folder, too, with the first sync of a file that it has made.
            unsynced.clear()
            ghosts.clear()
    files |= {path: ghost for path, ghost in ghosts.items() if random.random() < GHOSTS}
    for file in files.values():
        file.lose(loss, random)
    return {path: bytes(file.content) for path, file in files.items()}


def write_image(image: Mapping[str, bytes], folder: Path) -> None:
    """Put the files into a folder of their own."""
    for path, content in image.items():
        (folder / Path(path).name).write_bytes(content)
