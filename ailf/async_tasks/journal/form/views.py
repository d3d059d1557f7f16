"""The journal's views, for people with a shell: each text on one line, harmless to a terminal, times as their clock."""

from collections.abc import Callable

from ailf.async_tasks.journal.form.schema import one_of
from ailf.async_tasks.states import UNFINISHED

# 45 is the hyphen of a range.
_HARMFUL = "'*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*'"
"""A pattern for text with a character that a terminal obeys, or that turns the direction of the text around it.

The control characters C0, DEL and C1 (ECMA-48), and those of Unicode's bidirectional algorithm (UAX #9, section 2).
"""


def _line(expression: str, length: int) -> str:
    r"""The first characters of a text on one line, each that a terminal obeys spelled out, as in ``\x1b``."""
    line = f"substr({expression}, 1, {length})"
    for code in (9, 10, 13):
        line = f"replace({line}, char({code}), ' ')"
    return f"""\
(SELECT CASE WHEN line GLOB {_HARMFUL} THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB {_HARMFUL} THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT {line} AS line))"""


def _seconds(begin: str, end: str) -> str:
    """The seconds between two times, to the millisecond."""
    return f"round((julianday({end}) - julianday({begin})) * 86400, 3)"


def _local(moment: str, unit: str = "%S") -> str:
    """A time as the reader's clock shows it."""
    return f"strftime('%Y-%m-%d %H:%M:{unit}', {moment}, 'localtime')"


_TO_GO = (
    "CASE WHEN tasks.progress > 0 THEN round((julianday('now') - julianday(tasks.started_at)) * 86400 "
    "* (100 - tasks.progress) / tasks.progress, 3) END"
)
"""The seconds that a running task still needs, if it goes on as it went."""


def last_said_sql() -> str:
    """When a task last said anything: its last event, the last line in its log, or its start; over ``tasks``."""
    return """\
max(
    coalesce(tasks.started_at, ''),
    coalesce((SELECT at FROM task_events WHERE task_id = tasks.id ORDER BY seq DESC LIMIT 1), ''),
    coalesce((SELECT at FROM task_logs WHERE task_id = tasks.id ORDER BY seq DESC LIMIT 1), '')
  )"""


_NOW = "'now'"
_QUIET = f"CASE tasks.status WHEN 'running' THEN {_seconds(last_said_sql(), _NOW)} END"
"""The seconds for which a running task has said nothing: no event, no line in its log."""

_ERROR = "CASE WHEN reason = 'error' AND error <> error_type THEN error_type || ': ' ELSE '' END || coalesce(error, '')"
"""What a failed task raised, with its type, unless that is its whole text; what ailf says of a task stands alone."""

_OUTCOME = f"""\
CASE status
    WHEN 'completed' THEN {_line("result", 60)}
    WHEN 'failed' THEN {_line(f"reason || ': ' || {_ERROR}", 80)}
    WHEN 'cancelled' THEN reason
    ELSE {_line("progress_message", 60)}
  END AS outcome"""
"""What came of a task, or the last that it said."""


def stats_sql(line: Callable[[str, int], str], local: Callable[[str], str], since: str | None = None) -> str:
    """The statistics of each name, as a SELECT.

    Args:
        line: shows a text of a length.
        local: shows a time.
        since: a parameter for the time before which tasks do not count; None is no such time.
    """
    after = "" if since is None else f" AND created_at >= {since}"
    where = "" if since is None else f"WHERE tasks.created_at >= {since}\n"
    return f"""\
WITH ran AS (
  -- The tasks that ran, each with its place among those of its name, the quickest first.
  SELECT
    name,
    ran_s,
    row_number() OVER (PARTITION BY name ORDER BY ran_s) AS place,
    count(*) OVER (PARTITION BY name) AS runs
  FROM (SELECT name, {_seconds("started_at", "completed_at")} AS ran_s FROM tasks WHERE completed_at IS NOT NULL{after})
  WHERE ran_s IS NOT NULL
),
durations AS (
  SELECT
    name,
    max(ran_s) FILTER (WHERE place <= (runs + 1) / 2) AS median_s,
    max(ran_s) FILTER (WHERE place <= (9 * runs + 9) / 10) AS p90_s,
    max(ran_s) AS worst_s
  FROM ran
  GROUP BY name
),
failures AS (
  -- With max() SQLite takes the other columns from the row that has it.
  SELECT name, max(completed_at) AS failed_at, {_ERROR} AS error FROM tasks WHERE status = 'failed'{after} GROUP BY name
)
SELECT
  {line("tasks.name", 40)} AS name,
  count(*) AS tasks,
  sum({one_of("tasks.status", UNFINISHED)}) AS active,
  sum(tasks.status = 'completed') AS completed,
  sum(tasks.status = 'failed') AS failed,
  sum(tasks.status = 'cancelled') AS cancelled,
  durations.median_s,
  durations.p90_s,
  durations.worst_s,
  {local("failures.failed_at")} AS last_failed,
  {line("failures.error", 80)} AS last_error
FROM tasks LEFT JOIN durations ON durations.name = tasks.name LEFT JOIN failures ON failures.name = tasks.name
{where}GROUP BY tasks.name
ORDER BY count(*) DESC, tasks.name"""


VIEWS = {
    "task_history": f"""\
CREATE VIEW task_history AS
SELECT
  {_local("created_at")} AS submitted,
  {_line("name", 40)} AS name,
  status,
  {_seconds("created_at", "coalesce(started_at, completed_at, 'now')")} AS waited_s,
  {_seconds("started_at", "coalesce(completed_at, 'now')")} AS ran_s,
  progress,
  {_OUTCOME},
  id
FROM tasks
ORDER BY rowid DESC""",
    "active_tasks": f"""\
CREATE VIEW active_tasks AS
SELECT
  {_local("tasks.created_at")} AS submitted,
  {_line("tasks.name", 40)} AS name,
  tasks.status,
  {_seconds("tasks.created_at", "coalesce(tasks.started_at, 'now')")} AS waited_s,
  {_seconds("tasks.started_at", "'now'")} AS running_s,
  {_TO_GO} AS to_go_s,
  tasks.timeout AS limit_s,
  tasks.progress,
  {_line("tasks.progress_message", 60)} AS message,
  {_QUIET} AS quiet_s,
  {_local("tasks.cancel_requested_at")} AS cancel_asked,
  owners.pid,
  owners.host,
  tasks.id
FROM tasks JOIN owners ON owners.id = tasks.owner_id
WHERE {one_of("tasks.status", UNFINISHED)}
ORDER BY tasks.rowid""",
    "failed_tasks": f"""\
CREATE VIEW failed_tasks AS
SELECT
  {_local("completed_at")} AS failed,
  {_line("name", 40)} AS name,
  reason,
  {_line(_ERROR, 120)} AS error,
  {_seconds("started_at", "completed_at")} AS ran_s,
  id
FROM tasks
WHERE status = 'failed' AND completed_at IS NOT NULL
ORDER BY completed_at DESC""",
    "task_timeline": f"""\
CREATE VIEW task_timeline AS
SELECT
  {_local("task_events.at", "%f")} AS at,
  {_line("tasks.name", 40)} AS name,
  task_events.kind,
  task_events.progress,
  {_line("task_events.message", 80)} AS message,
  {_seconds("tasks.created_at", "task_events.at")} AS after_s,
  task_events.task_id,
  task_events.seq
FROM task_events JOIN tasks ON tasks.id = task_events.task_id
ORDER BY task_events.seq""",
    "task_log": f"""\
CREATE VIEW task_log AS
SELECT
  {_local("task_logs.at", "%f")} AS at,
  {_line("tasks.name", 40)} AS name,
  task_logs.level_name AS level,
  {_line("task_logs.logger", 40)} AS logger,
  {_line("task_logs.message", 200)} AS message,
  task_logs.task_id,
  task_logs.seq
FROM task_logs JOIN tasks ON tasks.id = task_logs.task_id
ORDER BY task_logs.seq""",
    # The newest family first, each in order of submission, and nothing is sorted: the first of a million families
    # are there at once. A CROSS JOIN keeps SQLite to the order that is written.
    "task_tree": f"""\
CREATE VIEW task_tree AS
SELECT
  substr(printf('%*s', 2 * json_extract(member.value, '$[1]'), ''), 1, 40) || {_line("tasks.name", 40)} AS task,
  status,
  {_seconds("started_at", "coalesce(completed_at, 'now')")} AS ran_s,
  {_OUTCOME},
  tasks.id
FROM (
  -- A task whose parent is not in the journal any more stands at the top.
  SELECT rowid AS top, id AS top_id FROM tasks
  WHERE parent_id IS NULL OR NOT EXISTS (SELECT 1 FROM tasks AS parents WHERE parents.id = tasks.parent_id)
) CROSS JOIN json_each(
  CASE WHEN EXISTS (SELECT 1 FROM tasks AS children WHERE children.parent_id = top_id) THEN (
    WITH RECURSIVE family(number, depth, place) AS (
      SELECT top, 0, ''
      UNION ALL
      SELECT children.rowid, depth + 1, place || printf('%016x', children.rowid)
      FROM family JOIN tasks AS parents ON parents.rowid = family.number
        JOIN tasks AS children ON children.parent_id = parents.id
      WHERE depth < 100
      ORDER BY 3
    )
    SELECT json_group_array(json_array(number, depth)) FROM family
  ) ELSE json_array(json_array(top, 0)) END
) AS member CROSS JOIN tasks ON tasks.rowid = json_extract(member.value, '$[0]')
ORDER BY top DESC""",
    "task_stats": "CREATE VIEW task_stats AS\n" + stats_sql(_line, _local),
}
