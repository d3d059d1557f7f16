"""What a doctor says of a journal: decided from the facts, with nothing looked up."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ailf.async_tasks.journal.care.repair import Repaired, is_harmless, is_left_behind
from ailf.async_tasks.journal.care.upkeep import MOST_FINDINGS, Facts, Life
from ailf.cli.words import counted, kept, number, size

LARGE_LOG_BYTES = 256 * 1024 * 1024
"""From which size on a write-ahead log says that somebody keeps it from being brought into the file."""

LARGE_FREE_SHARE = 0.5
"""Which part of a file that holds nothing makes it worth writing anew ..."""

LARGE_FREE_BYTES = 16 * 1024 * 1024
"""... from this size on."""


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    FIXED = "fixed"
    """It was mended."""
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


FIX = "run `ailf journal doctor --fix`"


def remedy(damage: Iterable[str]) -> str:
    """What to do about damage: much can be mended, which a backup would not give back."""
    return FIX if is_harmless(damage) else "run `ailf journal restore BACKUP`, or move it away and start anew"


def findings_about(facts: Facts, damage: Sequence[str], repaired: Repaired | None = None) -> list[Finding]:
    """What there is to say, what was mended first, then the worst.

    Args:
        facts: about the journal.
        damage: what a check found.
        repaired: what was mended before.
    """
    found = [
        *_about_damage(damage),
        *_about_owners(facts),
        *_about_the_file(facts),
        *(Finding(Level.NOTE, f"SQLite {facts.sqlite_version} lacks {what}") for what in facts.sqlite_lacks),
    ]
    if not damage:
        found.append(Finding(Level.OK, "no damage was found"))
    if repaired is not None:
        found += _about_repairs(repaired)
    if facts.revision == facts.newest_revision:
        found.append(Finding(Level.OK, f"the journal is at the newest revision, {facts.revision}"))
    worst_first = [Level.FIXED, Level.ERROR, Level.WARNING, Level.NOTE, Level.OK]
    return sorted(found, key=lambda finding: worst_first.index(finding.level))


def _about_damage(damage: Sequence[str]) -> list[Finding]:
    """What belongs to deleted tasks harms nobody, and is told in one line."""
    left_behind = sum(map(is_left_behind, damage))
    found = [Finding(Level.ERROR, text, remedy(damage)) for text in damage if not is_left_behind(text)]
    if left_behind:
        most = "or more " if left_behind == MOST_FINDINGS else ""
        what = f"{left_behind} {most}events or log lines are of tasks that were deleted without them; they harm nothing"
        found.append(Finding(Level.WARNING, what, remedy(damage)))
    return found


def _about_repairs(repaired: Repaired) -> list[Finding]:
    told = []
    if repaired.has_new_indexes:
        told.append("the indexes were made anew")
    if repaired.left_behind:
        told.append(f"{repaired.left_behind} events and log lines of deleted tasks were deleted")
    if repaired.failed:
        told.append(f"{number(repaired.failed, 'task')} of dead processes marked as failed")
    return [Finding(Level.FIXED, text) for text in told]


def _about_owners(facts: Facts) -> list[Finding]:
    dead = [owner for owner in facts.owners if owner.life is Life.DEAD]
    lost = sum(owner.unfinished for owner in dead)
    unknown = [owner for owner in facts.owners if owner.life is Life.UNKNOWN and owner.unfinished]
    living = [owner for owner in facts.owners if owner.life is Life.ALIVE]
    found = [Finding(Level.OK, f"{number(len(living), 'manager')} at work on it")]
    if lost:
        what = f"dead processes left {number(lost, 'unfinished task')}"
        found.append(Finding(Level.WARNING, what, "run `ailf journal recover`, or start a program on it"))
    elif dead:
        found.append(
            Finding(Level.NOTE, f"{number(len(dead), 'manager')} ended without a stop, with nothing unfinished")
        )
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
