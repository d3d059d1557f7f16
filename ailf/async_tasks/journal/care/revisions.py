"""Running the migration scripts without Alembic, whose ``op`` and ``context`` are globals of the whole process.

An application that migrates its own database in one thread, while another starts a manager, would find its tables
in the journal. So ``start()`` hands each script a function that runs SQL on the journal, and Alembic's commands
hand it none. Each script is plain SQL.
"""

import importlib.util
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ailf.async_tasks.journal.form import Access, connect

Run = Callable[[str], list[Any]]
"""Runs a statement, and returns its rows."""

Guard = Callable[[sqlite3.Connection], None]
"""Looks, once the journal is locked, whether the migration may go on; raises where it may not."""

VERSION_TABLE = """\
CREATE TABLE IF NOT EXISTS alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""  # noqa: W291 - to the letter as Alembic makes it
"""Where Alembic finds the revision of a database."""


LARGE_BYTES = 256 * 1024 * 1024
"""From which size on a journal is not sorted in memory."""


class Revision(NamedTuple):
    """One step of the schema."""

    name: str
    before: str | None
    """The revision that it starts from."""
    script: ModuleType


def through_alembic(sql: str) -> list[Any]:
    """Run a statement where Alembic's command runs the script."""
    from alembic import op  # noqa: PLC0415 - its globals are for its own commands

    result = op.get_bind().exec_driver_sql(sql)
    return [tuple(row) for row in result] if result.returns_rows else []


def all_revisions(folder: Path) -> list[Revision]:
    """The scripts in their order, the first one first.

    Args:
        folder: where the migrations are.
    """
    scripts = {}
    for file in sorted(folder.glob("versions/*.py")):
        spec = importlib.util.spec_from_file_location(f"ailf_migration_{file.stem}", file)
        assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - a file that ends in .py
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        scripts[script.down_revision] = Revision(script.revision, script.down_revision, script)
    found: list[Revision] = []
    while (one := scripts.get(found[-1].name if found else None)) is not None:
        found.append(one)
    return found


def migrate(path: Path, folder: Path, *, upgrade: bool, to: str, guard: Guard = lambda _: None) -> None:
    """Run scripts on a journal, in one transaction that a failure rolls back whole.

    Args:
        path: the journal.
        folder: where the migrations are.
        upgrade: whether to go forward.
        to: up to which revision, or back to which.
        guard: see ``Guard``.

    Raises:
        Exception: whatever a script raises; the journal is as it was.
    """
    revisions = all_revisions(folder)
    with closing(connect(path, Access.WRITE)) as connection:
        # A table that is made anew is dropped and renamed: with foreign keys on, that would delete the events of
        # every task.
        connection.execute("PRAGMA foreign_keys=OFF")
        if path.stat().st_size > LARGE_BYTES:
            # What is sorted for an index is kept in a file, though there may be no room for one elsewhere.
            connection.execute("PRAGMA temp_store=DEFAULT")
        connection.execute("BEGIN IMMEDIATE")
        try:
            guard(connection)
            _run(connection, revisions, upgrade=upgrade, to=to)
            _assert_unbroken(connection)
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def _assert_unbroken(connection: sqlite3.Connection) -> None:
    if broken := connection.execute("PRAGMA foreign_key_check").fetchmany(5):
        raise sqlite3.IntegrityError(f"the migration would leave rows that point nowhere: {broken}")


def _run(connection: sqlite3.Connection, revisions: list[Revision], *, upgrade: bool, to: str) -> None:
    def run(sql: str) -> list[Any]:
        return connection.execute(sql).fetchall()

    run(VERSION_TABLE)
    [current, *_] = [name for (name,) in run("SELECT version_num FROM alembic_version")] or [None]
    names = [None, *(one.name for one in revisions)]
    here, there = names.index(current), names.index(to)
    for one in revisions[here:there] if upgrade else reversed(revisions[there:here]):
        step = one.script.upgrade if upgrade else one.script.downgrade
        step(run)
    run("DELETE FROM alembic_version")
    connection.execute("INSERT INTO alembic_version (version_num) VALUES (?)", (to,))
