"""A process that opens a journal again and again, as the library and as plain ``sqlite3``: JOURNAL TIMES."""

import asyncio
import json
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from ailf.async_tasks.journal.form.engine import Access, Durability, pragmas
from benchmarks import ours, plain


async def start(path: Path) -> float:
    """The seconds of one start; the stop is not among them."""
    manager = ours.manager_on(path)
    begin = perf_counter()
    await manager.start()
    taken = perf_counter() - begin
    await manager.stop()
    return taken


async def run(path: Path, times: int) -> dict[str, Any]:
    """Alternate the two; the first of each apart."""
    settings = pragmas(Access.WRITE, Durability.PROCESS)
    pairs = []
    for _ in range(times + 1):
        opened = plain.open_and_ask(path, settings)
        pairs.append((await start(path), opened))
    return {
        "first_start": pairs[0][0],
        "first_open": pairs[0][1],
        "starts": [mine for mine, _ in pairs[1:]],
        "opens": [theirs for _, theirs in pairs[1:]],
        "alembic": "alembic" in sys.modules,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2])))))  # noqa: T201
