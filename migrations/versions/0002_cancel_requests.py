"""Cancelling a task of another process: when that was asked; views that show it, and one of statistics.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-24
"""

from ailf.async_tasks.journal.care.revisions import Run, through_alembic

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# SQLite keeps the definition as it stands here, so the comment is inside of it: between the words and the comma.
ADD_COLUMN = """\
ALTER TABLE tasks ADD COLUMN
  cancel_requested_at TEXT /* another process asked the owner to cancel it; otherwise NULL */"""

VIEWS = [
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

VIEWS_BEFORE = [
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

INDEX = "CREATE INDEX tasks_to_cancel ON tasks (owner_id) WHERE cancel_requested_at IS NOT NULL"


def drop_views(run: Run) -> None:
    """Drop the views that are there, by the names of both revisions."""
    for name in ("task_history", "active_tasks", "failed_tasks", "task_timeline", "task_stats"):
        run(f"DROP VIEW IF EXISTS {name}")


def upgrade(run: Run = through_alembic) -> None:
    """Add the column, which touches no row, and its index; make the views anew."""
    drop_views(run)
    run(ADD_COLUMN)
    run(INDEX)
    for view in VIEWS:
        run(view)


def downgrade(run: Run = through_alembic) -> None:
    """Take the column away, and what it says; every task stays."""
    drop_views(run)
    run("DROP INDEX tasks_to_cancel")
    run("ALTER TABLE tasks DROP COLUMN cancel_requested_at")
    for view in VIEWS_BEFORE:
        run(view)
