"""The journal's schema: Core tables for queries, views and triggers as text, CHECKs made from the enums.

The migrations create the journal, with their own frozen text; this module says what the newest one
must have made. ``alembic check`` compares the two, views and triggers included.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.sqlite import INTEGER, REAL
from sqlalchemy.types import UserDefinedType

from ailf.async_tasks.states import ENDED, TRANSITIONS, UNFINISHED, EventKind, Reason, TaskStatus

APPLICATION_ID = 0x61696C66
"""What marks a SQLite file as a journal: the letters "ailf" (https://sqlite.org/pragma.html#pragma_application_id)."""


class Number(UserDefinedType[float]):
    """A column that gives back an int as an int and a float as a float: ANY, with a CHECK on its typeof().

    See https://sqlite.org/stricttables.html: in a STRICT table ANY keeps a value exactly as it came.
    """

    cache_ok = True

    def get_col_spec(self, **_kw: object) -> str:
        """The type's name in DDL."""
        return "ANY"


def one_of(column: str, values: Iterable[StrEnum]) -> str:
    """A condition: the column has one of these values.

    Spelled with OR: for an IN of more than two values SQLite builds a table each time the condition is
    checked, which as CHECKs and triggers made up half of the time of every write.
    """
    chosen = set(values)
    [enum] = {type(value) for value in chosen}
    return " OR ".join(f"{column} = '{value}'" for value in enum if value in chosen)


metadata = MetaData()

owners = Table(
    "owners",
    metadata,
    Column("id", Text, primary_key=True),
    Column("pid", INTEGER, nullable=False),
    Column("host", Text, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("stopped_at", Text),
    sqlite_strict=True,
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("progress", Number, nullable=False, server_default=text("0")),
    Column("progress_message", Text),
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("completed_at", Text),
    Column("timeout", REAL),
    Column("metadata", Text, nullable=False, server_default=text("'{}'")),
    Column("result", Text),
    Column("result_format", Text),
    Column("error", Text),
    Column("error_type", Text),
    Column("traceback", Text),
    Column("owner_id", Text, ForeignKey("owners.id"), nullable=False),
    Column("cancel_requested_at", Text),
    CheckConstraint(one_of("status", TaskStatus), name="status_is_known"),
    CheckConstraint(one_of("reason", Reason), name="reason_is_known"),
    CheckConstraint("(reason IS NOT NULL) = (status IN ('failed', 'cancelled'))", name="reason_goes_with_status"),
    CheckConstraint(
        "typeof(progress) IN ('integer', 'real') AND progress BETWEEN 0 AND 100", name="progress_is_a_percentage"
    ),
    CheckConstraint(f"(completed_at IS NOT NULL) = ({one_of('status', ENDED)})", name="ended_has_completed_at"),
    CheckConstraint("status NOT IN ('running', 'completed') OR started_at IS NOT NULL", name="run_has_started_at"),
    CheckConstraint("started_at >= created_at", name="started_after_created"),
    CheckConstraint("completed_at >= coalesce(started_at, created_at)", name="completed_after_started"),
    CheckConstraint("timeout > 0", name="timeout_is_positive"),
    CheckConstraint(
        "metadata = '{}' OR json_valid(metadata) AND json_type(metadata) = 'object'", name="metadata_is_an_object"
    ),
    CheckConstraint(
        "(result IS NOT NULL) = (status = 'completed') AND (result_format IS NOT NULL) = (status = 'completed')",
        name="completed_has_result",
    ),
    CheckConstraint("result_format IN ('json', 'repr')", name="result_format_is_known"),
    CheckConstraint("result_format <> 'json' OR json_valid(result)", name="result_is_json"),
    sqlite_strict=True,
)

task_events = Table(
    "task_events",
    metadata,
    # AUTOINCREMENT: a number is never used twice, so that a reader can go on from the last it saw.
    Column("seq", INTEGER, primary_key=True, autoincrement=True),
    Column("task_id", Text, ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("at", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("progress", Number),
    Column("message", Text),
    CheckConstraint(one_of("kind", EventKind), name="kind_is_known"),
    CheckConstraint(
        "progress IS NULL OR typeof(progress) IN ('integer', 'real') AND progress BETWEEN 0 AND 100",
        name="progress_is_a_percentage",
    ),
    CheckConstraint("(progress IS NOT NULL) = (kind = 'progress')", name="progress_goes_with_kind"),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

# Each index serves one hot query: the newest of a status, a name, a stretch of time,
# the clean-up (which goes by the time of the end, and forgets owners without tasks), a timeline,
# and an owner's look for what others want cancelled, which few rows ever are.
Index("tasks_by_status", tasks.c.status)
Index("tasks_by_name", tasks.c.name)
Index("tasks_by_created_at", tasks.c.created_at)
Index("tasks_by_owner", tasks.c.owner_id)
Index(
    "tasks_by_completed_at",
    tasks.c.status,
    tasks.c.completed_at,
    sqlite_where=tasks.c.completed_at.is_not(None),
)
Index("task_events_by_task", task_events.c.task_id)
Index("tasks_to_cancel", tasks.c.owner_id, sqlite_where=tasks.c.cancel_requested_at.is_not(None))


def _legal_transitions() -> str:
    """The table of transitions as a condition on OLD and NEW."""
    return " OR ".join(
        f"(OLD.status = '{before}' AND ({one_of('NEW.status', after)}))"
        for before, after in TRANSITIONS.items()
        if before is not None and after
    )


TRIGGERS = {
    "tasks_begin_unfinished": f"""\
CREATE TRIGGER tasks_begin_unfinished BEFORE INSERT ON tasks
WHEN NOT ({one_of("NEW.status", UNFINISHED)})
BEGIN
  SELECT RAISE(ABORT, 'a task comes into the journal unfinished');
END""",
    "tasks_end_once": f"""\
CREATE TRIGGER tasks_end_once BEFORE UPDATE ON tasks
WHEN {one_of("OLD.status", ENDED)}
BEGIN
  SELECT RAISE(ABORT, 'the task has ended: its row is final');
END""",
    "tasks_follow_transitions": f"""\
CREATE TRIGGER tasks_follow_transitions BEFORE UPDATE OF status ON tasks
WHEN NEW.status <> OLD.status AND NOT ({_legal_transitions()})
BEGIN
  SELECT RAISE(ABORT, 'the state machine has no such transition');
END""",
    "task_events_are_final": """\
CREATE TRIGGER task_events_are_final BEFORE UPDATE ON task_events
BEGIN
  SELECT RAISE(ABORT, 'an event is never changed');
END""",
}


_VISIBLE = {9: " ", 10: " ", 13: " ", 7: "^G", 8: "^H", 27: "^[", 144: "^P", 155: "^[", 157: "^]"}
"""What stands for the characters that break a line, or begin what a terminal obeys."""


def _line(expression: str, length: int) -> str:
    """The first characters of a text on one line, with those that a terminal obeys made visible."""
    line = f"substr({expression}, 1, {length})"
    for code, shown in _VISIBLE.items():
        line = f"replace({line}, char({code}), '{shown}')"
    return line


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

_ERROR = "coalesce(error_type || ': ', '') || coalesce(error, '')"


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
  CASE status
    WHEN 'completed' THEN {_line("result", 60)}
    WHEN 'failed' THEN {_line(f"reason || ': ' || {_ERROR}", 80)}
    WHEN 'cancelled' THEN reason
    ELSE {_line("progress_message", 60)}
  END AS outcome,
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
    "task_stats": "CREATE VIEW task_stats AS\n" + stats_sql(_line, _local),
}
