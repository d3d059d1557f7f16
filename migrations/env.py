"""What Alembic runs around every command: which journal, on which connection, compared with which schema.

``-x journal=PATH`` names the journal, else ``$AILF_JOURNAL``, else ``ailf_tasks.db`` in the working
directory; a program may name it as ``config.attributes["journal"]``. ``TaskManager.start()`` does not come here.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging.config import fileConfig
from pathlib import Path
from typing import Any

from alembic import context
from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import ExecuteSQLOp, UpgradeOps
from alembic.runtime.migration import MigrationInfo
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SAWarning

from ailf.async_tasks.journal.care import inspection, migrate, upkeep
from ailf.async_tasks.journal.form import engine as journal_engine
from ailf.async_tasks.journal.form import indexes, paths, schema, views
from ailf.errors import AilfError


def journal_path() -> Path:
    """The journal that this command is about."""
    given = context.get_x_argument(as_dictionary=True).get("journal") or context.config.attributes.get("journal")
    return paths.journal_path(given if isinstance(given, str | Path) else None)


def has_destination() -> bool:
    """Whether the command takes the journal to a revision, as upgrade, downgrade and stamp do; the others look."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def set_up_logging() -> None:
    """Log as the configuration file says, if it says so."""
    file = context.config.config_file_name
    if file is not None and context.config.file_config.has_section("loggers"):
        fileConfig(file, disable_existing_loggers=False)


@contextmanager
def journal_opened() -> Iterator[tuple[Engine, Path | None]]:
    """An engine on the journal, which is created or refused first, with the migration lock held; and its path.

    A command that only looks, where there is no journal, looks at an empty schema instead.
    """
    set_up_logging()
    path = journal_path()
    new = migrate.is_new(path)
    if new and not has_destination():
        yield create_engine("sqlite://"), None
        return
    try:
        if new:
            journal_engine.create_file(path)
        else:
            inspection.assert_is_journal(path)
            migrate.revision_of(path)
        with migrate.migration_lock(path):
            yield journal_engine.sync_engine(path, journal_engine.Access.WRITE), path
    except AilfError as error:
        raise CommandError(str(error)) from error


class StatementOp(ExecuteSQLOp):
    """A statement that knows its opposite, without which Alembic cannot make the downgrade of a comparison."""

    def __init__(self, sqltext: str, opposite: str) -> None:
        super().__init__(sqltext)
        self.opposite = opposite

    def reverse(self) -> "StatementOp":
        """The way back."""
        return StatementOp(self.opposite, str(self.sqltext))


@comparators.dispatch_for("schema")
def compare_views_and_triggers(autogenerate: AutogenContext, upgrade: UpgradeOps, _schemas: set[str | None]) -> None:
    """Let ``alembic check`` see views and triggers, which SQLAlchemy's metadata does not hold."""
    connection = autogenerate.connection
    if connection is None:
        return
    rows = connection.exec_driver_sql("SELECT name, type, sql FROM sqlite_master WHERE type IN ('view', 'trigger')")
    found = {(kind, name): sql for name, kind, sql in rows}
    wanted = {("view", name): sql for name, sql in views.VIEWS.items()}
    wanted |= {("trigger", name): sql for name, sql in schema.TRIGGERS.items()}
    for kind, name in sorted(found.keys() | wanted.keys()):
        has, needs = found.get((kind, name)), wanted.get((kind, name))
        if has == needs:
            continue
        drop = f"DROP {kind.upper()} {name}"
        if has is not None:
            upgrade.ops.append(StatementOp(drop, has))
        if needs is not None:
            upgrade.ops.append(StatementOp(needs, drop))


def compare_type(
    _context: object, _inspected: object, _column: object, _inspected_type: object, wanted: object
) -> bool | None:
    """Whether a column's type has changed; None leaves it to Alembic.

    SQLAlchemy does not know SQLite's ANY and reads it as NUMERIC.
    """
    return False if isinstance(wanted, schema.Number) else None


def begin_immediately(connection: Connection) -> None:
    """Take the write lock at once, so that a migration never fails half-way for a lock."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def run() -> None:
    """Run the command on the journal, in one transaction that a failure rolls back whole."""
    with journal_opened() as (engine, path):
        try:
            run_on(engine, path)
        finally:
            engine.dispose()


@contextmanager
def comparing_quietly() -> Iterator[None]:
    """For the commands that compare: no word about the indexes of keys, which are no part of the schema."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", f".*expression-based index {indexes.PREFIX}", SAWarning)
        yield


def run_on(engine: Engine, path: Path | None) -> None:
    """Run the command with an engine on the journal."""

    def refuse_in_use(*, step: MigrationInfo, **_rest: object) -> None:
        # Nobody is at work on tables that are not there yet.
        if path is None or step.is_stamp or migrate.revision_of(path) is None:
            return
        if alive := [owner for owner in upkeep.owner_states(path) if owner.life is upkeep.Life.ALIVE]:
            way = "an upgrade" if step.is_upgrade else "a downgrade"
            raise CommandError(
                f"The journal {path} is in use by pid {alive[0].pid} on {alive[0].host}: stop it before {way}."
            )

    event.listen(engine, "begin", begin_immediately)
    options: dict[str, Any] = {
        "target_metadata": schema.metadata,
        "transactional_ddl": True,
        "compare_type": compare_type,
        "compare_server_default": True,
        "on_version_apply": refuse_in_use,
    }
    with engine.connect() as connection:
        # A batch migration drops and renames tables: with foreign keys on, that would delete the
        # events of every task. No effect inside of a transaction, hence on the driver's connection.
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys=OFF")
        context.configure(connection=connection, **options)
        with context.begin_transaction(), comparing_quietly():
            context.run_migrations()
            broken = driver.execute("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise CommandError(f"The migration would leave rows that point nowhere: {broken[:5]}")


if context.is_offline_mode():
    raise CommandError("The journal's migrations have no --sql mode: they run on a journal.")
run()
