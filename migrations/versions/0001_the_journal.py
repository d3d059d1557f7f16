"""The journal: tasks, their events, their owners, and four views for people.

Revision ID: 0001
Revises:
Create Date: 2026-11-24
"""

from ailf.async_tasks.journal.care.revisions import Run, through_alembic

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Plain SQL, since SQLite keeps the text of a CREATE with its comments: the sqlite3 shell's .schema then explains itself.
UPGRADE = [
    """\
CREATE TABLE owners (
  -- One row for each manager that ever opened this journal. It is alive as long as it holds the
  -- kernel's lock on the file <journal>.owners/<id>.lock; the tasks of a dead one become failed.
  id TEXT NOT NULL,       -- a UUID
  pid INTEGER NOT NULL,   -- of its process
  host TEXT NOT NULL,
  boot_id TEXT NOT NULL,  -- of the host's boot: the same pid after a reboot is another process
  started_at TEXT NOT NULL,
  stopped_at TEXT,        -- NULL while it runs; set by its stop, or by the recovery after its death
  PRIMARY KEY (id)
) STRICT""",
    """\
CREATE TABLE tasks (
  -- One row a task. Times are UTC text of a fixed width, 2026-11-24T03:00:00.123456Z, and sort as text.
  id TEXT NOT NULL,
  name TEXT NOT NULL,                   -- given, or the coroutine's qualified name
  status TEXT NOT NULL,                 -- pending and running are unfinished; the others are final
  reason TEXT,                          -- why it failed or was cancelled; otherwise NULL
  progress ANY DEFAULT 0 NOT NULL,      -- 0 to 100, the last reported
  progress_message TEXT,
  created_at TEXT NOT NULL,             -- submitted
  started_at TEXT,                      -- its coroutine began
  completed_at TEXT,                    -- ended, in whichever end state
  timeout REAL,                         -- seconds from started_at; NULL is no limit
  metadata TEXT DEFAULT '{}' NOT NULL,  -- a JSON object, keys sorted
  result TEXT,                          -- what a completed task returned
  result_format TEXT,                   -- 'json', or 'repr' where JSON cannot hold it
  error TEXT,                           -- the text of the exception
  error_type TEXT,                      -- the qualified name of the exception's type
  traceback TEXT,                       -- bounded
  owner_id TEXT NOT NULL,               -- the manager that runs it
  PRIMARY KEY (id),
  CONSTRAINT status_is_known
    CHECK (status = 'pending' OR status = 'running' OR status = 'completed' OR status = 'failed' OR status = 'cancelled'),
  CONSTRAINT reason_is_known
    CHECK (reason = 'error' OR reason = 'timeout' OR reason = 'cancelled' OR reason = 'shutdown' OR reason = 'process_died'),
  CONSTRAINT reason_goes_with_status CHECK ((reason IS NOT NULL) = (status IN ('failed', 'cancelled'))),
  CONSTRAINT progress_is_a_percentage
    CHECK (typeof(progress) IN ('integer', 'real') AND progress BETWEEN 0 AND 100),
  CONSTRAINT ended_has_completed_at
    CHECK ((completed_at IS NOT NULL) = (status = 'completed' OR status = 'failed' OR status = 'cancelled')),
  CONSTRAINT run_has_started_at CHECK (status NOT IN ('running', 'completed') OR started_at IS NOT NULL),
  CONSTRAINT started_after_created CHECK (started_at >= created_at),
  CONSTRAINT completed_after_started CHECK (completed_at >= coalesce(started_at, created_at)),
  CONSTRAINT timeout_is_positive CHECK (timeout > 0),
  CONSTRAINT metadata_is_an_object
    CHECK (metadata = '{}' OR json_valid(metadata) AND json_type(metadata) = 'object'),
  CONSTRAINT completed_has_result
    CHECK ((result IS NOT NULL) = (status = 'completed') AND (result_format IS NOT NULL) = (status = 'completed')),
  CONSTRAINT result_format_is_known CHECK (result_format IN ('json', 'repr')),
  CONSTRAINT result_is_json CHECK (result_format <> 'json' OR json_valid(result)),
  FOREIGN KEY(owner_id) REFERENCES owners (id)
) STRICT""",
    """\
CREATE INDEX tasks_by_completed_at ON tasks (status, completed_at) WHERE completed_at IS NOT NULL""",
    """\
CREATE INDEX tasks_by_created_at ON tasks (created_at)""",
    """\
CREATE INDEX tasks_by_name ON tasks (name)""",
    """\
CREATE INDEX tasks_by_owner ON tasks (owner_id)""",
    """\
CREATE INDEX tasks_by_status ON tasks (status)""",
    """\
CREATE TABLE task_events (
  -- Everything that happened to a task, in order: written with the change to its row, deleted with it.
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,  -- the order; never used twice
  task_id TEXT NOT NULL,
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  progress ANY,                                    -- of a 'progress' event
  message TEXT,                                    -- the progress message, the error, or the reason
  CONSTRAINT kind_is_known
    CHECK (kind = 'submitted' OR kind = 'started' OR kind = 'progress' OR kind = 'completed' OR kind = 'failed' OR kind = 'cancelled'),
  CONSTRAINT progress_is_a_percentage
    CHECK (progress IS NULL OR typeof(progress) IN ('integer', 'real') AND progress BETWEEN 0 AND 100),
  CONSTRAINT progress_goes_with_kind CHECK ((progress IS NOT NULL) = (kind = 'progress')),
  FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
) STRICT""",
    """\
CREATE INDEX task_events_by_task ON task_events (task_id)""",
    """\
CREATE TRIGGER tasks_begin_unfinished BEFORE INSERT ON tasks
WHEN NOT (NEW.status = 'pending' OR NEW.status = 'running')
BEGIN
  SELECT RAISE(ABORT, 'a task comes into the journal unfinished');
END""",
    """\
CREATE TRIGGER tasks_end_once BEFORE UPDATE ON tasks
WHEN OLD.status = 'completed' OR OLD.status = 'failed' OR OLD.status = 'cancelled'
BEGIN
  SELECT RAISE(ABORT, 'the task has ended: its row is final');
END""",
    """\
CREATE TRIGGER tasks_follow_transitions BEFORE UPDATE OF status ON tasks
WHEN NEW.status <> OLD.status AND NOT ((OLD.status = 'pending' AND (NEW.status = 'running' OR NEW.status = 'failed' OR NEW.status = 'cancelled')) OR (OLD.status = 'running' AND (NEW.status = 'completed' OR NEW.status = 'failed' OR NEW.status = 'cancelled')))
BEGIN
  SELECT RAISE(ABORT, 'the state machine has no such transition');
END""",
    """\
CREATE TRIGGER task_events_are_final BEFORE UPDATE ON task_events
BEGIN
  SELECT RAISE(ABORT, 'an event is never changed');
END""",
    """\
CREATE VIEW task_history AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', created_at, 'localtime') AS submitted,
  replace(replace(replace(replace(substr(name, 1, 40), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[') AS name,
  status,
  round((julianday(coalesce(started_at, completed_at, 'now')) - julianday(created_at)) * 86400, 3) AS waited_s,
  round((julianday(coalesce(completed_at, 'now')) - julianday(started_at)) * 86400, 3) AS ran_s,
  progress,
  CASE status
    WHEN 'completed' THEN replace(replace(replace(replace(substr(result, 1, 60), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[')
    WHEN 'failed' THEN replace(replace(replace(replace(substr(reason || ': ' || coalesce(error_type || ': ', '') || coalesce(error, ''), 1, 80), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[')
    WHEN 'cancelled' THEN reason
    ELSE replace(replace(replace(replace(substr(progress_message, 1, 60), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[')
  END AS outcome,
  id
FROM tasks
ORDER BY rowid DESC""",
    """\
CREATE VIEW active_tasks AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', tasks.created_at, 'localtime') AS submitted,
  replace(replace(replace(replace(substr(tasks.name, 1, 40), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[') AS name,
  tasks.status,
  round((julianday('now') - julianday(tasks.started_at)) * 86400, 3) AS running_s,
  tasks.timeout AS limit_s,
  tasks.progress,
  replace(replace(replace(replace(substr(tasks.progress_message, 1, 60), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[') AS message,
  owners.pid,
  owners.host,
  tasks.id
FROM tasks JOIN owners ON owners.id = tasks.owner_id
WHERE tasks.status = 'pending' OR tasks.status = 'running'
ORDER BY tasks.rowid""",
    """\
CREATE VIEW failed_tasks AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', completed_at, 'localtime') AS failed,
  replace(replace(replace(replace(substr(name, 1, 40), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[') AS name,
  reason,
  replace(replace(replace(replace(substr(coalesce(error_type || ': ', '') || coalesce(error, ''), 1, 120), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[') AS error,
  round((julianday(completed_at) - julianday(started_at)) * 86400, 3) AS ran_s,
  id
FROM tasks
WHERE status = 'failed' AND completed_at IS NOT NULL
ORDER BY completed_at DESC""",
    """\
CREATE VIEW task_timeline AS
SELECT
  strftime('%Y-%m-%d %H:%M:%f', task_events.at, 'localtime') AS at,
  replace(replace(replace(replace(substr(tasks.name, 1, 40), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[') AS name,
  task_events.kind,
  task_events.progress,
  replace(replace(replace(replace(substr(task_events.message, 1, 80), char(10), ' '), char(13), ' '), char(27), '^['), char(155), '^[') AS message,
  round((julianday(task_events.at) - julianday(tasks.created_at)) * 86400, 3) AS after_s,
  task_events.task_id,
  task_events.seq
FROM task_events JOIN tasks ON tasks.id = task_events.task_id
ORDER BY task_events.seq""",
]

DOWNGRADE = [
    "DROP VIEW task_history",
    "DROP VIEW active_tasks",
    "DROP VIEW failed_tasks",
    "DROP VIEW task_timeline",
    "DROP TABLE task_events",
    "DROP TABLE tasks",
    "DROP TABLE owners",
]


def upgrade(run: Run = through_alembic) -> None:
    """Create all of it."""
    for statement in UPGRADE:
        run(statement)


def downgrade(run: Run = through_alembic) -> None:
    """Drop all of it, every task included."""
    for statement in DOWNGRADE:
        run(statement)
