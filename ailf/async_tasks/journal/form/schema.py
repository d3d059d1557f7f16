"""The journal's schema: Core tables for queries, triggers as text, CHECKs made from the enums.

The migrations create the journal, with their own frozen text; this module and ``views`` say what the newest one
must have made. ``alembic check`` compares the two, views and triggers included.
"""

from collections.abc import Iterable
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

from ailf.async_tasks.states import ENDED, TRANSITIONS, UNFINISHED, EventKind, Reason, ResultFormat, TaskStatus

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
    Column("process_started", INTEGER),
    Column("pid_namespace", Text),
    Column("retention", Text),
    Column("found_dead_at", Text),
    Column("lock_inode", INTEGER),
    CheckConstraint("retention IS NULL OR json_valid(retention)", name="retention_is_json"),
    sqlite_strict=True,
)

journal = Table(
    "journal",
    metadata,
    Column("id", Text, primary_key=True),
    Column("deleted_seq", INTEGER, nullable=False, server_default=text("0")),
    Column("deleted_at", Text),
    Column("deleted", Text),
    CheckConstraint("deleted IS NULL OR json_valid(deleted)", name="deleted_is_json"),
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
    Column("parent_id", Text),
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
    CheckConstraint(one_of("result_format", ResultFormat), name="result_format_is_known"),
    CheckConstraint("result_format = 'repr' OR json_valid(result)", name="result_is_json"),
    CheckConstraint("parent_id <> id", name="parent_is_another"),
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

task_logs = Table(
    "task_logs",
    metadata,
    Column("seq", INTEGER, primary_key=True, autoincrement=True),
    Column("task_id", Text, ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    Column("at", Text, nullable=False),
    Column("level", INTEGER, nullable=False),
    Column("level_name", Text, nullable=False),
    Column("logger", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("fields", Text),
    Column("exception", Text),
    CheckConstraint(
        "fields IS NULL OR json_valid(fields) AND json_type(fields) = 'object'", name="fields_are_an_object"
    ),
    sqlite_autoincrement=True,
    sqlite_strict=True,
)

# Each index serves one hot query: the newest of a status, a name, a stretch of time,
# the clean-up (which goes by owner and the time of the end, and forgets owners without tasks), the latest ends
# of a state, a timeline, a family, and an owner's look for what others want cancelled, which few rows ever are.
Index("tasks_by_status", tasks.c.status)
Index("tasks_by_name", tasks.c.name)
Index("tasks_by_created_at", tasks.c.created_at)
Index("tasks_by_owner", tasks.c.owner_id, tasks.c.status, tasks.c.completed_at)
Index(
    "tasks_by_completed_at",
    tasks.c.status,
    tasks.c.completed_at,
    sqlite_where=tasks.c.completed_at.is_not(None),
)
Index("task_events_by_task", task_events.c.task_id)
Index("task_logs_by_task", task_logs.c.task_id)
Index("tasks_by_parent", tasks.c.parent_id, sqlite_where=tasks.c.parent_id.is_not(None))
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
    # Whoever deletes a task, a bare shell without foreign keys included, deletes what belongs to it, and leaves
    # a mark for those who follow the journal that what they have not read yet may be gone.
    "tasks_take_all_along": """\
CREATE TRIGGER tasks_take_all_along BEFORE DELETE ON tasks
BEGIN
  UPDATE journal SET deleted_seq = max(
    deleted_seq, coalesce((SELECT max(seq) FROM task_events WHERE task_id = OLD.id), 0)
  );
  DELETE FROM task_events WHERE task_id = OLD.id;
  DELETE FROM task_logs WHERE task_id = OLD.id;
END""",
}
