"""Where a task of this process is between its submission and its end, and who holds it there.

A task is held by one party at a time, which is the one that does the next thing to it. The table says what may follow;
whatever comes too late, the commit of a start behind a cancellation say, finds the task in a phase in which it
means nothing, and changes nothing.

===========  =========  ======================  ===========================================================
phase        held by    recorded, not answered  what comes next
===========  =========  ======================  ===========================================================
SUBMITTED    writer     the submission          committed: QUEUED. refused: OVER. cancelled: ENDING
QUEUED       slots      nothing                 a slot is free: STARTING. cancelled: ENDING
STARTING     writer     the start               committed: RUNNING. refused: OVER. cancelled: ENDING
RUNNING      runner     nothing                 it returns, raises or unwinds: ENDING; a cancellation is asked once
ENDING       writer     the end                 committed or refused: OVER
OVER         nobody     nothing                 whoever waits is answered, with the end or the refusal
===========  =========  ======================  ===========================================================

A task that can start at once is submitted and started in one record: it goes on to STARTING before anything is written.
"""

from enum import Enum, auto


class Phase(Enum):
    """Where a task of this process is."""

    SUBMITTED = auto()
    """Its submission is recorded, and waits to be committed."""
    QUEUED = auto()
    """It is in the journal as PENDING, and waits for a slot."""
    STARTING = auto()
    """It has a slot, and its start waits to be committed."""
    RUNNING = auto()
    """An asyncio task runs it, or unwinds it."""
    ENDING = auto()
    """Its outcome is known, and waits to be committed."""
    OVER = auto()
    """Its end is committed, or refused; or it was never in the journal."""

    following: "tuple[Phase, ...]"
    """What may come next."""


# At the members themselves: several times a task, the hash of a member of an Enum is a call in Python.
Phase.SUBMITTED.following = (Phase.QUEUED, Phase.STARTING, Phase.ENDING, Phase.OVER)
Phase.QUEUED.following = (Phase.STARTING, Phase.ENDING)
Phase.STARTING.following = (Phase.RUNNING, Phase.ENDING, Phase.OVER)
Phase.RUNNING.following = (Phase.ENDING,)
Phase.ENDING.following = (Phase.OVER,)
Phase.OVER.following = ()
