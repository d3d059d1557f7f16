"""What went wrong: failures by name, type and kind of message, so that two thousand of them are three errors."""

from dataclasses import dataclass, replace
from datetime import datetime

from ailf.async_tasks.journal.form import moment_of, reason_of, time_of, time_text
from ailf.async_tasks.journal.reading.filters import Query
from ailf.async_tasks.journal.reading.kinds import READ_CHARACTERS, kind_of
from ailf.async_tasks.journal.reading.readers import Reader
from ailf.async_tasks.journal.reading.reports.lines import EVERY, LINE_CHARACTERS
from ailf.async_tasks.states import Reason, TaskStatus

FAILURES_LOOKED_AT = 2_000
"""How many failures are grouped, the newest, unless all are asked for."""

NO_TYPE = "(none)"
"""The type of an error that is no exception: a time limit, a process that died."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Failures that are one error."""

    name: str
    error_type: str | None
    kind: str
    """What their messages have in common: numbers and ids are taken out."""
    reason: Reason
    count: int
    first: datetime
    last: datetime
    example_id: str
    """The last of them."""
    example: str
    """Its message, cut."""


@dataclass(frozen=True, slots=True)
class Failures:
    """The groups, the largest first."""

    groups: list[Failure]
    looked_at: int
    """How many failures are in them."""
    has_more: bool
    """Whether there are older ones that were not looked at."""


_ALIKE = str.maketrans("23456789", "11111111")
"""All digits are one to a kind but 0, which begins an address: of thousands of messages few are left so."""

_NEWEST = f"""\
SELECT id, name, error_type, reason, substr(error, 1, {READ_CHARACTERS}), completed_at
FROM tasks
WHERE status = '{TaskStatus.FAILED}' AND completed_at IS NOT NULL AND completed_at >= ?
ORDER BY completed_at DESC LIMIT ?"""


def failures(reader: Reader, since: datetime | None = None, most: int = FAILURES_LOOKED_AT) -> Failures:
    """The failures in groups.

    Args:
        reader: reads the journal.
        since: only of tasks that failed then or later; None is all.
        most: how many are looked at, the newest; ``EVERY`` is all.

    Raises:
        JournalError: the journal cannot be read.
    """
    begin = "" if since is None else time_text(since)
    rows = reader.rows(Query(_NEWEST, (begin, most if most == EVERY else most + 1)))
    has_more = most != EVERY and len(rows) > most
    looked_at = rows[:most] if has_more else rows
    groups: dict[tuple[str, str | None, str], Failure] = {}
    counts: dict[tuple[str, str | None, str], int] = {}
    firsts: dict[tuple[str, str | None, str], str] = {}
    kinds: dict[str, str] = {}
    for task_id, name, error_type, reason, error, at in looked_at:
        alike = (error or "").translate(_ALIKE)
        kind = kinds.get(alike)
        if kind is None:
            kind = kinds[alike] = kind_of(alike)
        key = (name, error_type, kind)
        counts[key] = counts.get(key, 0) + 1
        firsts[key] = at
        if key not in groups:
            moment = moment_of(at)
            example = (error or "")[:LINE_CHARACTERS]
            groups[key] = Failure(
                name, error_type, kind, reason_of(reason) or Reason.ERROR, 0, moment, moment, task_id, example
            )
    found = [
        replace(group, count=counts[key], first=time_of(firsts[key]) or group.last) for key, group in groups.items()
    ]
    found.sort(key=lambda group: group.count, reverse=True)
    return Failures(found, len(looked_at), has_more)
