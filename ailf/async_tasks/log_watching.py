"""Following a task's log: the lines that the journal has, then each new one."""

from collections.abc import AsyncIterator

from ailf.async_tasks.journal.form import log_line
from ailf.async_tasks.journal.reading import AsyncReader, logs_query, status_query
from ailf.async_tasks.model import LogLine
from ailf.async_tasks.states import UNFINISHED
from ailf.async_tasks.tail import GiveWay, Tail, Wanted

LINES_A_READ = 500
"""How many lines one query fetches, so that a long log is never in memory as a whole."""


async def follow_logs(
    reader: AsyncReader, tail: Tail, task_id: str, *, level: int | None, after: int, give_way: GiveWay
) -> AsyncIterator[LogLine]:
    """The lines of a task's log, those of the past and then each new one, until the task has ended or is gone.

    Args:
        reader: reads the journal.
        tail: says when to read it again.
        task_id: the task.
        level: of this level or above; None is any.
        after: the ``seq`` of the line after which to begin.
        give_way: through which each wait for news goes.
    """
    follower = await tail.join(task_id, Wanted.LINES)
    try:
        while True:
            follower.catch_up()
            is_last_read = tail.is_over
            # Looked at first: what a task has logged is in the journal when its end is.
            rows = await reader.rows(status_query(task_id))
            has_ended = not rows or rows[0][0] not in UNFINISHED
            lines = await reader.rows(logs_query(task_id, level=level, after=after, limit=LINES_A_READ))
            for row in lines:
                line = log_line(row)
                after = line.seq
                yield line
            if len(lines) == LINES_A_READ:
                continue
            if has_ended or is_last_read:
                return
            await give_way(follower.news())
    finally:
        tail.leave(follower)
