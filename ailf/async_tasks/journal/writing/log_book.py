"""The lines of tasks on their way into the file: of each task the first and the last, up to a limit.

A task that logs more has one line between them that says how many are left out. It stands where the first of these
was, so that the file never holds more than the limit and that line, whatever happens to the process.
"""

import sqlite3
from collections import Counter
from collections.abc import Sequence

from ailf.async_tasks.journal.form import (
    LEFT_OUT_LOGGER,
    left_out_line,
    left_out_text,
)
from ailf.async_tasks.journal.writing.statements import INSERT_LOG
from ailf.async_tasks.model import Logged

MOST_COUNTS = 10_000
"""Of how many tasks the number of lines is remembered; of others it is read from the file."""

ROWS_A_LOOK = 2_000
"""A limit above this is kept by a look not at each line but at every so many: it reads as many rows as are kept."""

_COUNT = "SELECT count(*) FROM task_logs WHERE task_id = ?"
_EXISTS = "SELECT 1 FROM tasks WHERE id = ?"
_BEHIND_HEAD = "SELECT seq FROM task_logs WHERE task_id = ? ORDER BY seq LIMIT 1 OFFSET ?"
_BEGIN_OF_TAIL = "SELECT seq FROM task_logs WHERE task_id = ? ORDER BY seq DESC LIMIT 1 OFFSET ?"
_STANDS_FOR = f"CASE logger WHEN '{LEFT_OUT_LOGGER}' THEN coalesce(json_extract(fields, '$.left_out'), 1) ELSE 1 END"
_BETWEEN = f"""\
SELECT count(*), sum({_STANDS_FOR})
FROM task_logs WHERE task_id = ? AND seq >= ? AND seq < ?"""  # noqa: S608 - a word of ours
_STAND_FOR_OTHERS = """\
UPDATE task_logs SET level = ?, level_name = ?, logger = ?, message = ?, fields = ?, exception = NULL WHERE seq = ?"""
_LEAVE_OUT = "DELETE FROM task_logs WHERE task_id = ? AND seq > ? AND seq < ?"


class LogBook:
    """Writes lines, and keeps count of those of each task; for the writer's thread alone."""

    def __init__(self, limit: int) -> None:
        """Begin without a count.

        Args:
            limit: how many lines of a task are kept, at least 2.
        """
        self._limit = limit
        self._step = 1 + limit // ROWS_A_LOOK
        self._head = limit - limit // 2
        self._tail = limit // 2 - (self._step - 1)
        self._counts: dict[str, int] = {}

    def forget(self) -> None:
        """Count anew: what was counted is not in the file, or a task that was there is not any more."""
        self._counts.clear()

    def write(self, connection: sqlite3.Connection, lines: Sequence[Logged]) -> None:
        """Write lines in the open transaction; those of a task that is gone go nowhere.

        Args:
            connection: where a transaction is open.
            lines: in their order.

        Raises:
            sqlite3.Error: whatever the driver says. Then ``forget`` has to be called.
        """
        if len(self._counts) > MOST_COUNTS:
            self.forget()
        numbers = Counter(line.task_id for line in lines)
        before = {task_id: self._count(connection, task_id) for task_id in numbers}
        after = {task_id: count + numbers[task_id] for task_id, count in before.items() if count is not None}
        if len(after) < len(before):
            lines = [line for line in lines if line.task_id in after]
        over = {task_id for task_id, count in after.items() if count > self._limit}
        if over:
            lines = self._without_middles(lines, before, after, over)
        if lines:
            INSERT_LOG.run(connection, [line[:-1] for line in lines], as_json=True)
        for task_id in over:
            if self._is_due(before[task_id] or 0, after[task_id]):
                self._leave_out(connection, task_id)
        self._counts.update(after)

    def _count(self, connection: sqlite3.Connection, task_id: str) -> int | None:
        """How many lines a task has logged so far, as far as that is known; None where there is no such task."""
        if task_id not in self._counts:
            found = connection.execute(_EXISTS, (task_id,)).fetchone()
            if found is None:
                return None
            [(self._counts[task_id],)] = connection.execute(_COUNT, (task_id,)).fetchall()
        return self._counts[task_id]

    def _without_middles(
        self, lines: Sequence[Logged], before: dict[str, int | None], after: dict[str, int], over: set[str]
    ) -> list[Logged]:
        """The lines without those that would be left out at once: of a flood, only the ends are ever written."""
        places = {task_id: before[task_id] or 0 for task_id in over}
        stands: dict[str, int] = {}
        kept: list[Logged] = []
        for line in lines:
            task_id = line.task_id
            if task_id in places:
                places[task_id] += 1
                if self._head < places[task_id] <= after[task_id] - self._tail:
                    number = line.left_out or 1
                    if task_id in stands:
                        first = kept[stands[task_id]]
                        kept[stands[task_id]] = left_out_line(task_id, first.at, first.left_out + number)
                    else:
                        stands[task_id] = len(kept)
                        kept.append(left_out_line(task_id, line.at, number))
                    continue
            kept.append(line)
        return kept

    def _is_due(self, before: int, after: int) -> bool:
        """Whether so many lines are there that some have to go."""
        return (
            max(0, before - self._limit + self._step - 1) // self._step
            < (after - self._limit + self._step - 1) // self._step
        )

    def _leave_out(self, connection: sqlite3.Connection, task_id: str) -> None:
        begin = connection.execute(_BEHIND_HEAD, (task_id, self._head)).fetchone()
        end = connection.execute(_BEGIN_OF_TAIL, (task_id, self._tail - 1)).fetchone()
        if begin is None or end is None or begin[0] >= end[0]:
            return
        [(rows, number)] = connection.execute(_BETWEEN, (task_id, begin[0], end[0])).fetchall()
        if rows > 1 or number == 1:
            line = left_out_line(task_id, 0, number)
            values = (line.level, line.level_name, line.logger, left_out_text(number), line.fields)
            connection.execute(_STAND_FOR_OTHERS, (*values, begin[0]))
            connection.execute(_LEAVE_OUT, (task_id, begin[0], end[0]))
