"""Statements made with SQLAlchemy, compiled once to the text that the driver runs."""

from typing import Any, NamedTuple

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.dialects import sqlite

Clause = Select[Any] | Insert | Update | Delete


class Statement(NamedTuple):
    """SQL text with a question mark for each parameter, and the names of these in order."""

    sql: str
    parameters: tuple[str, ...]


def positional(clause: Clause) -> Statement:
    """The clause as text for ``executemany``: fast, and the order matters."""
    compiled = clause.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    return Statement(str(compiled), tuple(compiled.positiontup or ()))


def named(clause: Clause) -> str:
    """The clause as text with named parameters, to be run with a dict."""
    return str(clause.compile(dialect=sqlite.dialect(paramstyle="named")))
