"""What a doctor says of a journal: decided from the facts, with nothing looked up."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ailf.async_tasks.journal.care.upkeep import Facts, Life
from ailf.cli.words import counted, kept, size

LARGE_LOG_BYTES = 256 * 1024 * 1024
"""From which size on a write-ahead log says that somebody keeps it from being brought into the file."""

LARGE_FREE_SHARE = 0.5
"""Which part of a file that holds nothing makes it worth writing anew ..."""

LARGE_FREE_BYTES = 16 * 1024 * 1024
"""... from this size on."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Nothing is to be done."""
    WARNING = "warning"
    """Something should be done."""
    ERROR = "error"
    """The journal is damaged."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a journal, and what to do about it."""

    level: Level
    text: str
    advice: str | None = None


_ABOUT_AN_INDEX = re.compile("(missing from|wrong # of entries in|non-unique entry in) index ")
"""How SQLite's check says that an index disagrees with its table (https://sqlite.org/pragma.html#pragma_integrity_check)."""


def remedy(damage: Iterable[str]) -> str:
    """What to do about damage: an index can be made anew, which is all that a backup would not give back."""
    if all(map(_ABOUT_AN_INDEX.search, damage)):
        return "say REINDEX in the sqlite3 shell"
    return "run `ailf journal restore BACKUP`, or move it away and start anew"


def findings_about(facts: Facts, damage: Sequence[str]) -> list[Finding]:
    """What there is to say, the worst first.

    Args:
        facts: about the journal.
        damage: what a check found.
    """
    found = [
        *(Finding(Level.ERROR, text, remedy(damage)) for text in damage),
        *_about_owners(facts),
        *_about_the_file(facts),
        *(Finding(Level.NOTE, f"SQLite {facts.sqlite_version} lacks {what}") for what in facts.sqlite_lacks),
    ]
    if not damage:
        found.append(Finding(Level.OK, "no damage was found"))
    if facts.revision == facts.newest_revision:
        found.append(Finding(Level.OK, f"the journal is at the newest revision, {facts.revision}"))
    worst_first = [Level.ERROR, Level.WARNING, Level.NOTE, Level.OK]
    return sorted(found, key=lambda finding: worst_first.index(finding.level))


def _about_owners(facts: Facts) -> list[Finding]:
    dead = [owner for owner in facts.owners if owner.life is Life.DEAD]
    lost = sum(owner.unfinished for owner in dead)
    unknown = [owner for owner in facts.owners if owner.life is Life.UNKNOWN and owner.unfinished]
    living = [owner for owner in facts.owners if owner.life is Life.ALIVE]
    found = [Finding(Level.OK, f"{len(living)} managers are at work on it")]
    if dead:
        what = f"{len(dead)} dead processes left {lost} unfinished tasks"
        found.append(Finding(Level.WARNING, what, "run `ailf journal recover`, or start a program on it"))
    for owner in unknown:
        what = (
            f"nobody can tell from here whether pid {owner.pid} on {owner.host} is alive, "
            f"of which {owner.unfinished} tasks are unfinished"
        )
        found.append(Finding(Level.WARNING, what, f"if it has ended, run `ailf journal recover --owner {owner.id}`"))
    found += [Finding(Level.OK, f"pid {owner.pid} keeps its tasks {kept(owner.retention)}") for owner in living]
    if facts.deleted_at is not None:
        found.append(Finding(Level.OK, f"the clean-up last deleted {counted(facts.deleted)}, at {facts.deleted_at}"))
    return found


def _about_the_file(facts: Facts) -> list[Finding]:
    found = []
    if facts.revision != facts.newest_revision:
        what = f"the journal is at revision {facts.revision}, this release works with {facts.newest_revision}"
        found.append(Finding(Level.WARNING, what, "run `ailf journal upgrade`"))
    if facts.log_bytes > LARGE_LOG_BYTES:
        what = f"the write-ahead log has grown to {size(facts.log_bytes)}"
        found.append(Finding(Level.WARNING, what, "end the program that has been reading from it for so long"))
    if facts.free_bytes > max(LARGE_FREE_BYTES, LARGE_FREE_SHARE * facts.bytes):
        what = f"{size(facts.free_bytes)} of {size(facts.bytes)} hold nothing"
        found.append(Finding(Level.WARNING, what, "run `ailf journal vacuum`"))
    return found
