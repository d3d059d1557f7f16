"""Families, logs, whose retention counts, what was left out: new columns and tables, and CHECKs that know them.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-25
"""

from ailf.async_tasks.journal.care.revisions import Run, through_alembic

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Tables whose CHECKs change are made anew, row by row in the order of the rows, since SQLite alters no CHECK
# (https://sqlite.org/lang_altertable.html#making_other_kinds_of_table_schema_changes).
OWNERS = """\
CREATE TABLE owners (
  -- One row for each manager that ever opened this journal. It is alive as long as it holds the
  -- kernel's lock on the file <journal>.owners/<id>.lock; the tasks of a dead one become failed.
  id TEXT NOT NULL,       -- a UUID
  pid INTEGER NOT NULL,   -- of its process
  host TEXT NOT NULL,
  boot_id TEXT NOT NULL,  -- of the host's boot: the same pid after a reboot is another process
  started_at TEXT NOT NULL,
  stopped_at TEXT,        -- when it stopped; NULL while it runs, and where it died
  process_started INTEGER,  -- when its process started, in clock ticks after the boot; NULL where that cannot be told
  pid_namespace TEXT,     -- of its process: the same pid in another container is another process
  retention TEXT,         -- for how many seconds its tasks are kept, by end state, as JSON; a state that is missing is
                          -- kept for ever; NULL: not known
  found_dead_at TEXT,     -- when a recovery found that it had died without a stop
  lock_inode INTEGER,     -- the number of its lock file: one that was put in its place proves nothing; NULL: not known
  PRIMARY KEY (id),
  CONSTRAINT retention_is_json CHECK (retention IS NULL OR json_valid(retention))
) STRICT"""

TASKS = """\
CREATE TABLE tasks (
  -- One row a task. Times are UTC text of a fixed width, 2026-11-24T03:00:00.123456Z, and sort as text.
  id TEXT NOT NULL,
  name TEXT NOT NULL,                   -- given, or the coroutine's qualified name
  status TEXT NOT NULL,                 -- pending and running are unfinished; the others are final
  reason TEXT,                          -- why it failed or was cancelled; otherwise NULL
  progress ANY DEFAULT 0 NOT NULL,      -- 0 to 100, the last reported; 100 once completed without a report
  progress_message TEXT,
  created_at TEXT NOT NULL,             -- submitted
  started_at TEXT,                      -- its coroutine began
  completed_at TEXT,                    -- ended, in whichever end state
  timeout REAL,                         -- seconds from started_at; NULL is no limit
  metadata TEXT DEFAULT '{}' NOT NULL,  -- a JSON object, keys sorted
  result TEXT,                          -- what a completed task returned
  result_format TEXT,                   -- 'json'; 'lossy', JSON that says the same with other types; 'custom',
                                        -- by the application's own encoder; 'repr', of what JSON cannot hold
  error TEXT,                           -- the text of the exception
  error_type TEXT,                      -- the qualified name of the exception's type
  traceback TEXT,                       -- bounded
  owner_id TEXT NOT NULL,               -- the manager that runs it
  cancel_requested_at TEXT,             -- another process asked the owner to cancel it; otherwise NULL
  parent_id TEXT,                       -- the task in which it was submitted; it may be deleted by now
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
  CONSTRAINT result_format_is_known
    CHECK (result_format = 'json' OR result_format = 'lossy' OR result_format = 'custom' OR result_format = 'repr'),
  CONSTRAINT result_is_json CHECK (result_format = 'repr' OR json_valid(result)),
  CONSTRAINT parent_is_another CHECK (parent_id <> id),
  FOREIGN KEY(owner_id) REFERENCES owners (id)
) STRICT"""

EVENTS = """\
CREATE TABLE task_events (
  -- Everything that happened to a task, in order: written with the change to its row, deleted with it.
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,  -- the order; never used twice
  task_id TEXT NOT NULL,
  at TEXT NOT NULL,
  kind TEXT NOT NULL,
  progress ANY,                                    -- of a 'progress' event
  message TEXT,                                    -- the progress message, the error, the reason, or how much was left out
  CONSTRAINT kind_is_known
    CHECK (kind = 'submitted' OR kind = 'started' OR kind = 'progress' OR kind = 'completed' OR kind = 'failed' OR kind = 'cancelled' OR kind = 'left_out'),
  CONSTRAINT progress_is_a_percentage
    CHECK (progress IS NULL OR typeof(progress) IN ('integer', 'real') AND progress BETWEEN 0 AND 100),
  CONSTRAINT progress_goes_with_kind CHECK ((progress IS NOT NULL) = (kind = 'progress')),
  FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
) STRICT"""

NEW_TABLES = [
    """\
CREATE TABLE journal (
  -- One row: what is to be known of the file as a whole.
  id TEXT NOT NULL,                        -- drawn when the file was made, or restored from a backup
  deleted_seq INTEGER DEFAULT 0 NOT NULL,  -- the highest seq of an event that was deleted with its task
  deleted_at TEXT,                         -- when the scheduled clean-up last deleted something
  deleted TEXT,                            -- what that was, as JSON: how many tasks by end state
  PRIMARY KEY (id),
  CONSTRAINT deleted_is_json CHECK (deleted IS NULL OR json_valid(deleted))
) STRICT""",
    """\
INSERT INTO journal (id) VALUES (lower(hex(randomblob(16))))""",
    """\
CREATE TABLE task_logs (
  -- What a task logged, in order; deleted with it. Of a task that logs more than is kept, the middle is left out.
  seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,  -- the order; never used twice
  task_id TEXT NOT NULL,
  at TEXT NOT NULL,
  level INTEGER NOT NULL,                          -- as Python's logging numbers them: 20 is INFO
  level_name TEXT NOT NULL,
  logger TEXT NOT NULL,
  message TEXT NOT NULL,
  fields TEXT,                                     -- what came with it, as a JSON object
  exception TEXT,                                  -- the traceback, bounded
  CONSTRAINT fields_are_an_object CHECK (fields IS NULL OR json_valid(fields) AND json_type(fields) = 'object'),
  FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE
) STRICT""",
]

INDEXES = [
    """\
CREATE INDEX tasks_by_completed_at ON tasks (status, completed_at) WHERE completed_at IS NOT NULL""",
    """\
CREATE INDEX tasks_by_created_at ON tasks (created_at)""",
    """\
CREATE INDEX tasks_by_name ON tasks (name)""",
    """\
CREATE INDEX tasks_by_owner ON tasks (owner_id, status, completed_at)""",
    """\
CREATE INDEX tasks_by_status ON tasks (status)""",
    """\
CREATE INDEX tasks_to_cancel ON tasks (owner_id) WHERE cancel_requested_at IS NOT NULL""",
    """\
CREATE INDEX tasks_by_parent ON tasks (parent_id) WHERE parent_id IS NOT NULL""",
    """\
CREATE INDEX task_events_by_task ON task_events (task_id)""",
    """\
CREATE INDEX task_logs_by_task ON task_logs (task_id)""",
]

TRIGGERS = [
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
CREATE TRIGGER tasks_take_all_along BEFORE DELETE ON tasks
BEGIN
  UPDATE journal SET deleted_seq = max(
    deleted_seq, coalesce((SELECT max(seq) FROM task_events WHERE task_id = OLD.id), 0)
  );
  DELETE FROM task_events WHERE task_id = OLD.id;
  DELETE FROM task_logs WHERE task_id = OLD.id;
END""",
]

VIEWS = [
    """\
CREATE VIEW task_history AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', created_at, 'localtime') AS submitted,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS name,
  status,
  round((julianday(coalesce(started_at, completed_at, 'now')) - julianday(created_at)) * 86400, 3) AS waited_s,
  round((julianday(coalesce(completed_at, 'now')) - julianday(started_at)) * 86400, 3) AS ran_s,
  progress,
  CASE status
    WHEN 'completed' THEN (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(result, 1, 60), char(9), ' '), char(10), ' '), char(13), ' ') AS line))
    WHEN 'failed' THEN (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(reason || ': ' || CASE WHEN reason = 'error' AND error <> error_type THEN error_type || ': ' ELSE '' END || coalesce(error, ''), 1, 80), char(9), ' '), char(10), ' '), char(13), ' ') AS line))
    WHEN 'cancelled' THEN reason
    ELSE (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(progress_message, 1, 60), char(9), ' '), char(10), ' '), char(13), ' ') AS line))
  END AS outcome,
  id
FROM tasks
ORDER BY rowid DESC""",
    """\
CREATE VIEW active_tasks AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', tasks.created_at, 'localtime') AS submitted,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(tasks.name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS name,
  tasks.status,
  round((julianday(coalesce(tasks.started_at, 'now')) - julianday(tasks.created_at)) * 86400, 3) AS waited_s,
  round((julianday('now') - julianday(tasks.started_at)) * 86400, 3) AS running_s,
  CASE WHEN tasks.progress > 0 THEN round((julianday('now') - julianday(tasks.started_at)) * 86400 * (100 - tasks.progress) / tasks.progress, 3) END AS to_go_s,
  tasks.timeout AS limit_s,
  tasks.progress,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(tasks.progress_message, 1, 60), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS message,
  CASE tasks.status WHEN 'running' THEN round((julianday('now') - julianday(max(
    coalesce(tasks.started_at, ''),
    coalesce((SELECT at FROM task_events WHERE task_id = tasks.id ORDER BY seq DESC LIMIT 1), ''),
    coalesce((SELECT at FROM task_logs WHERE task_id = tasks.id ORDER BY seq DESC LIMIT 1), '')
  ))) * 86400, 3) END AS quiet_s,
  strftime('%Y-%m-%d %H:%M:%S', tasks.cancel_requested_at, 'localtime') AS cancel_asked,
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
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS name,
  reason,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(CASE WHEN reason = 'error' AND error <> error_type THEN error_type || ': ' ELSE '' END || coalesce(error, ''), 1, 120), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS error,
  round((julianday(completed_at) - julianday(started_at)) * 86400, 3) AS ran_s,
  id
FROM tasks
WHERE status = 'failed' AND completed_at IS NOT NULL
ORDER BY completed_at DESC""",
    """\
CREATE VIEW task_timeline AS
SELECT
  strftime('%Y-%m-%d %H:%M:%f', task_events.at, 'localtime') AS at,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(tasks.name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS name,
  task_events.kind,
  task_events.progress,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(task_events.message, 1, 80), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS message,
  round((julianday(task_events.at) - julianday(tasks.created_at)) * 86400, 3) AS after_s,
  task_events.task_id,
  task_events.seq
FROM task_events JOIN tasks ON tasks.id = task_events.task_id
ORDER BY task_events.seq""",
    """\
CREATE VIEW task_log AS
SELECT
  strftime('%Y-%m-%d %H:%M:%f', task_logs.at, 'localtime') AS at,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(tasks.name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS name,
  task_logs.level_name AS level,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(task_logs.logger, 1, 40), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS logger,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(task_logs.message, 1, 200), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS message,
  task_logs.task_id,
  task_logs.seq
FROM task_logs JOIN tasks ON tasks.id = task_logs.task_id
ORDER BY task_logs.seq""",
    """\
CREATE VIEW task_tree AS
SELECT
  substr(printf('%*s', 2 * json_extract(member.value, '$[1]'), ''), 1, 40) || (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(tasks.name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS task,
  status,
  round((julianday(coalesce(completed_at, 'now')) - julianday(started_at)) * 86400, 3) AS ran_s,
  CASE status
    WHEN 'completed' THEN (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(result, 1, 60), char(9), ' '), char(10), ' '), char(13), ' ') AS line))
    WHEN 'failed' THEN (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(reason || ': ' || CASE WHEN reason = 'error' AND error <> error_type THEN error_type || ': ' ELSE '' END || coalesce(error, ''), 1, 80), char(9), ' '), char(10), ' '), char(13), ' ') AS line))
    WHEN 'cancelled' THEN reason
    ELSE (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(progress_message, 1, 60), char(9), ' '), char(10), ' '), char(13), ' ') AS line))
  END AS outcome,
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
    """\
CREATE VIEW task_stats AS
WITH ran AS (
  -- The tasks that ran, each with its place among those of its name, the quickest first.
  SELECT
    name,
    ran_s,
    row_number() OVER (PARTITION BY name ORDER BY ran_s) AS place,
    count(*) OVER (PARTITION BY name) AS runs
  FROM (SELECT name, round((julianday(completed_at) - julianday(started_at)) * 86400, 3) AS ran_s FROM tasks WHERE completed_at IS NOT NULL)
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
  SELECT name, max(completed_at) AS failed_at, CASE WHEN reason = 'error' AND error <> error_type THEN error_type || ': ' ELSE '' END || coalesce(error, '') AS error FROM tasks WHERE status = 'failed' GROUP BY name
)
SELECT
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(tasks.name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS name,
  count(*) AS tasks,
  sum(tasks.status = 'pending' OR tasks.status = 'running') AS active,
  sum(tasks.status = 'completed') AS completed,
  sum(tasks.status = 'failed') AS failed,
  sum(tasks.status = 'cancelled') AS cancelled,
  durations.median_s,
  durations.p90_s,
  durations.worst_s,
  strftime('%Y-%m-%d %H:%M:%S', failures.failed_at, 'localtime') AS last_failed,
  (SELECT CASE WHEN line GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN (
      WITH RECURSIVE each(place, code) AS (
        SELECT 1, unicode(line)
        UNION ALL
        SELECT place + 1, unicode(substr(line, place + 1, 1)) FROM each WHERE place < length(line)
      )
      SELECT group_concat(
        CASE WHEN char(code) NOT GLOB '*[' || char(1, 45, 31, 127, 45, 159, 1564, 8206, 8207, 8232, 45, 8238, 8294, 45, 8297) || ']*' THEN char(code)
        ELSE printf(CASE WHEN code < 256 THEN '\\x%02x' ELSE '\\u%04x' END, code) END, ''
      ) FROM each
    ) ELSE line END FROM (SELECT replace(replace(replace(substr(failures.error, 1, 80), char(9), ' '), char(10), ' '), char(13), ' ') AS line)) AS last_error
FROM tasks LEFT JOIN durations ON durations.name = tasks.name LEFT JOIN failures ON failures.name = tasks.name
GROUP BY tasks.name
ORDER BY count(*) DESC, tasks.name""",
]

# How all of it stood before.

OWNERS_BEFORE = """\
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
) STRICT"""

TASKS_BEFORE = """\
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
  owner_id TEXT NOT NULL, cancel_requested_at TEXT /* another process asked the owner to cancel it; otherwise NULL */,               -- the manager that runs it
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
) STRICT"""

EVENTS_BEFORE = """\
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
) STRICT"""

INDEXES_BEFORE = [
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
CREATE INDEX tasks_to_cancel ON tasks (owner_id) WHERE cancel_requested_at IS NOT NULL""",
    """\
CREATE INDEX task_events_by_task ON task_events (task_id)""",
]

TRIGGERS_BEFORE = [
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
]

VIEWS_BEFORE = [
    """\
CREATE VIEW task_history AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', created_at, 'localtime') AS submitted,
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS name,
  status,
  round((julianday(coalesce(started_at, completed_at, 'now')) - julianday(created_at)) * 86400, 3) AS waited_s,
  round((julianday(coalesce(completed_at, 'now')) - julianday(started_at)) * 86400, 3) AS ran_s,
  progress,
  CASE status
    WHEN 'completed' THEN replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(result, 1, 60), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]')
    WHEN 'failed' THEN replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(reason || ': ' || coalesce(error_type || ': ', '') || coalesce(error, ''), 1, 80), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]')
    WHEN 'cancelled' THEN reason
    ELSE replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(progress_message, 1, 60), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]')
  END AS outcome,
  id
FROM tasks
ORDER BY rowid DESC""",
    """\
CREATE VIEW active_tasks AS
SELECT
  strftime('%Y-%m-%d %H:%M:%S', tasks.created_at, 'localtime') AS submitted,
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(tasks.name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS name,
  tasks.status,
  round((julianday(coalesce(tasks.started_at, 'now')) - julianday(tasks.created_at)) * 86400, 3) AS waited_s,
  round((julianday('now') - julianday(tasks.started_at)) * 86400, 3) AS running_s,
  CASE WHEN tasks.progress > 0 THEN round((julianday('now') - julianday(tasks.started_at)) * 86400 * (100 - tasks.progress) / tasks.progress, 3) END AS to_go_s,
  tasks.timeout AS limit_s,
  tasks.progress,
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(tasks.progress_message, 1, 60), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS message,
  strftime('%Y-%m-%d %H:%M:%S', tasks.cancel_requested_at, 'localtime') AS cancel_asked,
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
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS name,
  reason,
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(coalesce(error_type || ': ', '') || coalesce(error, ''), 1, 120), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS error,
  round((julianday(completed_at) - julianday(started_at)) * 86400, 3) AS ran_s,
  id
FROM tasks
WHERE status = 'failed' AND completed_at IS NOT NULL
ORDER BY completed_at DESC""",
    """\
CREATE VIEW task_timeline AS
SELECT
  strftime('%Y-%m-%d %H:%M:%f', task_events.at, 'localtime') AS at,
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(tasks.name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS name,
  task_events.kind,
  task_events.progress,
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(task_events.message, 1, 80), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS message,
  round((julianday(task_events.at) - julianday(tasks.created_at)) * 86400, 3) AS after_s,
  task_events.task_id,
  task_events.seq
FROM task_events JOIN tasks ON tasks.id = task_events.task_id
ORDER BY task_events.seq""",
    """\
CREATE VIEW task_stats AS
WITH ran AS (
  -- The tasks that ran, each with its place among those of its name, the quickest first.
  SELECT
    name,
    ran_s,
    row_number() OVER (PARTITION BY name ORDER BY ran_s) AS place,
    count(*) OVER (PARTITION BY name) AS runs
  FROM (SELECT name, round((julianday(completed_at) - julianday(started_at)) * 86400, 3) AS ran_s FROM tasks WHERE completed_at IS NOT NULL)
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
  SELECT name, max(completed_at) AS failed_at, coalesce(error_type || ': ', '') || coalesce(error, '') AS error FROM tasks WHERE status = 'failed' GROUP BY name
)
SELECT
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(tasks.name, 1, 40), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS name,
  count(*) AS tasks,
  sum(tasks.status = 'pending' OR tasks.status = 'running') AS active,
  sum(tasks.status = 'completed') AS completed,
  sum(tasks.status = 'failed') AS failed,
  sum(tasks.status = 'cancelled') AS cancelled,
  durations.median_s,
  durations.p90_s,
  durations.worst_s,
  strftime('%Y-%m-%d %H:%M:%S', failures.failed_at, 'localtime') AS last_failed,
  replace(replace(replace(replace(replace(replace(replace(replace(replace(substr(failures.error, 1, 80), char(9), ' '), char(10), ' '), char(13), ' '), char(7), '^G'), char(8), '^H'), char(27), '^['), char(144), '^P'), char(155), '^['), char(157), '^]') AS last_error
FROM tasks LEFT JOIN durations ON durations.name = tasks.name LEFT JOIN failures ON failures.name = tasks.name
GROUP BY tasks.name
ORDER BY count(*) DESC, tasks.name""",
]


OWNER_COLUMNS = "id, pid, host, boot_id, started_at, stopped_at"
TASK_COLUMNS = (
    "id, name, status, reason, progress, progress_message, created_at, started_at, completed_at, timeout, metadata, "
    "result, result_format, error, error_type, traceback, owner_id, cancel_requested_at"
)
EVENT_COLUMNS = "task_id, at, kind, progress, message"

INDEXES_OF_KEYS = "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'tasks' AND name LIKE 'tasks\\_by\\_metadata\\_%' ESCAPE '\\'"


def drop(run: Run, kind: str) -> None:
    """Drop every view, or every trigger: each names tables that are about to be renamed."""
    for (name,) in run(f"SELECT name FROM sqlite_master WHERE type = '{kind}'"):
        run(f"DROP {kind.upper()} {name}")


def make_anew(
    run: Run, table: str, create: str, columns: str, number: str, *, where: str = "", values: str | None = None
) -> None:
    """Make a table anew with its rows, each under its number.

    Args:
        run: runs a statement.
        table: its name.
        create: the statement that makes it.
        columns: those that it has before and after.
        number: the column that numbers the rows.
        where: which rows stay.
        values: what is written into the columns; None is what is in them.
    """
    before = f"{table}_before"
    run(f"ALTER TABLE {table} RENAME TO {before}")
    run(create)
    run(
        f"INSERT INTO {table} ({number}, {columns}) SELECT {number}, {values or columns} FROM {before} {where} ORDER BY {number}"
    )
    if number == "seq":
        # No number may come again, not even that of an event that was the last and is deleted.
        run(
            f"UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM sqlite_sequence WHERE name IN ('{table}', '{before}')) "
            f"WHERE name = '{table}'"
        )
        run(
            f"INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', seq FROM sqlite_sequence WHERE name = '{before}' "
            f"AND NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{table}')"
        )
    run(f"DROP TABLE {before}")


def run_all(run: Run, statements: list[str]) -> None:
    """Run each, as it stands."""
    for statement in statements:
        run(statement)


def unreported(number: int, becomes: int) -> str:
    """The progress, where a completed task that never reported any has another number."""
    reported = "SELECT 1 FROM task_events WHERE task_id = tasks_before.id AND kind = 'progress'"
    return (
        f"CASE WHEN status = 'completed' AND progress = {number} AND NOT EXISTS ({reported}) "
        f"THEN {becomes} ELSE progress END"
    )


def upgrade(run: Run = through_alembic) -> None:
    """Make the three tables anew, and add the two new ones; no row is lost."""
    keys = [sql for (sql,) in run(INDEXES_OF_KEYS)]
    drop(run, "view")
    drop(run, "trigger")
    # A renamed table takes the references to it along, unless SQLite does as it did before 3.25.
    run("PRAGMA legacy_alter_table=ON")
    make_anew(run, "owners", OWNERS, OWNER_COLUMNS, "rowid")
    # What completed without ever reporting progress is done all the same.
    progressed = TASK_COLUMNS.replace(" progress,", f" {unreported(0, 100)},")
    make_anew(run, "tasks", TASKS, TASK_COLUMNS, "rowid", values=progressed)
    make_anew(run, "task_events", EVENTS, EVENT_COLUMNS, "seq")
    run("PRAGMA legacy_alter_table=OFF")
    run_all(run, [*NEW_TABLES, *INDEXES, *keys, *TRIGGERS, *VIEWS])


def downgrade(run: Run = through_alembic) -> None:
    """Take it all away: logs and families are lost, and so is what says that something was left out."""
    keys = [sql for (sql,) in run(INDEXES_OF_KEYS)]
    drop(run, "view")
    drop(run, "trigger")
    run_all(run, ["DROP TABLE task_logs", "DROP TABLE journal"])
    run("PRAGMA legacy_alter_table=ON")
    # The earlier release has one column for both ways to come to an end.
    ended = OWNER_COLUMNS.replace("stopped_at", "coalesce(stopped_at, found_dead_at)")
    make_anew(run, "owners", OWNERS_BEFORE, OWNER_COLUMNS, "rowid", values=ended)
    # JSON is JSON to the earlier release, whatever made it.
    formats = TASK_COLUMNS.replace(
        "result_format", "replace(replace(result_format, 'lossy', 'json'), 'custom', 'json')"
    ).replace(" progress,", f" {unreported(100, 0)},")
    make_anew(run, "tasks", TASKS_BEFORE, TASK_COLUMNS, "rowid", values=formats)
    make_anew(run, "task_events", EVENTS_BEFORE, EVENT_COLUMNS, "seq", where="WHERE kind <> 'left_out'")
    run("PRAGMA legacy_alter_table=OFF")
    run_all(run, [*INDEXES_BEFORE, *keys, *TRIGGERS_BEFORE, *VIEWS_BEFORE])
