"""Goals 7 and 8: memory over many tasks, the cost of a start and of the import; each in processes of its own."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import growth
from benchmarks.values import Goal, Measured, Sense, Setting, alternate, median_ratio, medians, milliseconds

MEMORY_GOAL_MEGABYTES = 20.0
START_GOAL = 3.0
IMPORT_GOAL = 1.3

TOP = Path(__file__).parent.parent

IMPORT = "import json, time; begin = time.perf_counter(); import {}; print(json.dumps(time.perf_counter() - begin))"


def child(*arguments: str) -> Any:
    """What a Python process prints last, as JSON."""
    # What is run is this project's own code.
    done = subprocess.run([sys.executable, *arguments], cwd=TOP, check=True, capture_output=True, text=True)  # noqa: S603
    return json.loads(done.stdout.splitlines()[-1])


def memory(setting: Setting) -> Measured:
    """How much a process grows while one manager runs many tasks, one after the other."""
    sizes = setting.sizes
    path = setting.file("memory")
    taken = child("-m", "benchmarks.child_memory", str(path), str(sizes.memory_from), str(sizes.memory_to))
    goal = Goal(
        "memory",
        f"growth of the process from task {sizes.memory_from:,} to task {sizes.memory_to:,}",
        taken["after"] - taken["before"],
        Sense.AT_MOST,
        MEMORY_GOAL_MEGABYTES,
        unit="MB",
        detail=f"{taken['before']:.1f} to {taken['after']:.1f} MB resident, at most {taken['most']:.1f} MB",
    )
    return Measured((goal,))


def start(setting: Setting) -> Measured:
    """A start on a large journal beside plain ``sqlite3``, and the import beside SQLAlchemy's."""
    sizes = setting.sizes
    path = growth.journal(setting, sizes.journals[-1])
    runs = [child("-m", "benchmarks.child_start", str(path), str(sizes.starts)) for _ in range(sizes.rounds)]
    first = [(run["first_start"], run["first_open"]) for run in runs]
    again = [(median(run["starts"]), median(run["opens"])) for run in runs]
    goals = []
    for what, pairs in (("the first start of a process", first), ("start, median of later ones", again)):
        mine, theirs = medians(pairs)
        goals.append(
            Goal(
                "start",
                f"{what}, on {sizes.journals[-1]:,} tasks, of a plain open and one query",
                median_ratio(pairs),
                Sense.AT_MOST,
                START_GOAL,
                detail=f"{milliseconds(mine)} to {milliseconds(theirs)}, the same PRAGMAs",
            )
        )
    alembic = Goal(
        "start",
        "processes in which Alembic was imported by a start",
        float(sum(bool(run["alembic"]) for run in runs)),
        Sense.AT_MOST,
        0.0,
        unit="",
    )
    imports = alternate(
        sizes.imports,
        lambda: float(child("-c", IMPORT.format("ailf.async_tasks"))),
        lambda: float(child("-c", IMPORT.format("sqlalchemy.ext.asyncio"))),
    )
    mine, theirs = medians(imports)
    importing = Goal(
        "start",
        "import ailf.async_tasks, of import sqlalchemy.ext.asyncio",
        median_ratio(imports),
        Sense.AT_MOST,
        IMPORT_GOAL,
        detail=f"{milliseconds(mine)} to {milliseconds(theirs)}, median of {len(imports)} processes each",
    )
    return Measured((*goals, alembic, importing))
