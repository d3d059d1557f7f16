"""Directives that show the journal's tables and views as they are in a journal that was just made.

``{journal-table} tasks`` is its columns, with their types and the comments that ``.schema`` shows as well;
``{journal-view} task_history`` is the columns of a view, in their order.
"""

import re
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from ailf.async_tasks.journal.care import migrate


@cache
def schema() -> dict[str, tuple[str, list[tuple[str, str, bool]]]]:
    """Each table and view of a new journal: its SQL, and name, type and whether NULL is allowed of its columns."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "new.db"
        migrate.ensure_current(path)
        with closing(sqlite3.connect(path)) as connection:
            made = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view')").fetchall()
            pragma = 'SELECT name, type, NOT ("notnull" OR pk) FROM pragma_table_info(?)'
            return {name: (sql, connection.execute(pragma, (name,)).fetchall()) for name, sql in made}


_COMMENT = re.compile(r"^\s*(?P<code>[^-].*?)??\s*-- (?P<said>.*)$")


def comments(sql: str) -> dict[str, str]:
    """What the comments of a table's SQL say of each column, and under the empty name of the table."""
    said: dict[str, str] = {}
    about = ""
    for line in sql.splitlines()[1:]:
        found = _COMMENT.match(line)
        code = (found["code"] if found else line) or ""
        about = code.split()[0] if code.strip() else about
        if found:
            said[about] = f"{said.get(about, '')} {found['said']}".strip()
    return said


def three_columns(heads: Sequence[str], rows: Sequence[Sequence[nodes.Node]]) -> nodes.table:
    """A table of cells, the last of which has a sentence."""
    group = nodes.tgroup(cols=3)
    group += [nodes.colspec(colwidth=width) for width in (20, 20, 60)]

    def line(cells: Sequence[nodes.Node]) -> nodes.row:
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))

    group += nodes.thead("", line([nodes.Text(head) for head in heads]))
    group += nodes.tbody("", *map(line, rows))
    return nodes.table("", group)


class JournalTable(Directive):
    """The columns of a table."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """The table's comment, and its columns."""
        sql, columns = schema()[self.arguments[0]]
        said = comments(sql)
        rows = [
            (
                nodes.literal("", name),
                nodes.Text(f"{kind}{', may be NULL' if is_nullable else ''}"),
                nodes.Text(said.get(name, "")),
            )
            for name, kind, is_nullable in columns
        ]
        return [nodes.paragraph("", said.get("", "")), three_columns(("column", "type", ""), rows)]


class JournalView(Directive):
    """The columns of a view."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Their names, in their order."""
        paragraph = nodes.paragraph("", "Its columns: ")
        for place, (column, _, _) in enumerate(schema()[self.arguments[0]][1]):
            paragraph += [nodes.Text(", " if place else ""), nodes.literal("", column)]
        paragraph += nodes.Text(".")
        return [paragraph]


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx of the directives."""
    app.add_directive("journal-table", JournalTable)
    app.add_directive("journal-view", JournalView)
    return {"parallel_read_safe": True}
