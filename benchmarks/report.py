"""What is printed, and what is written as JSON."""

import os
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.values import Goal, Point

NOTE = "Ratios on a shared machine; absolute figures are this machine's alone."


def machine() -> dict[str, str]:
    """When and where this is measured, and the versions of what is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    load = os.getloadavg()
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {memory / 2**30:.0f} GiB, {platform.system()} {platform.machine()}",
        "load": f"{load[0]:.1f} over the last minute",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "ailf": version("ailf"),
        "sqlalchemy": version("sqlalchemy"),
        "note": NOTE,
    }


def figure(goal: Goal) -> str:
    """The figure of a goal, with its unit."""
    digits = 2 if abs(goal.ratio) < 100 else 0  # noqa: PLR2004 - three digits
    return f"{goal.ratio:,.{digits}f}{'' if goal.unit in ('x', '') else ' '}{goal.unit}"


def verdict(goal: Goal) -> str:
    """Whether it holds, in a word."""
    return {True: "yes", False: "NO", None: ""}[goal.holds]


def row(goal: Goal) -> tuple[str, ...]:
    """One line of the table of goals."""
    bound = "" if goal.goal is None else f"{goal.sense} {goal.goal:g}{'' if goal.unit == 'x' else ' ' + goal.unit}"
    return goal.name, goal.what, figure(goal), bound.rstrip(), verdict(goal), goal.detail


HEAD = ("goal", "what", "figure", "bound", "holds", "detail")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown, its columns aligned."""
    cells = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def as_json(goals: Iterable[Goal], points: Iterable[Point]) -> dict[str, Any]:
    """All of it as values that JSON has."""
    return {
        "machine": machine(),
        "goals": [asdict(goal) | {"holds": goal.holds} for goal in goals],
        "points": [asdict(point) for point in points],
    }


def folder_for(path: Path) -> Path:
    """The folder, made if need be."""
    path.mkdir(parents=True, exist_ok=True)
    return path
