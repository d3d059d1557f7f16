"""A process that runs many tasks one after the other, and says how large it was: JOURNAL FROM TO."""

import asyncio
import gc
import json
import os
import sys
from pathlib import Path

from benchmarks import ours

STATM = Path("/proc/self/statm")
SAMPLE_EVERY = 1_000


def resident_megabytes() -> float:
    """How much of this process is in memory (proc(5))."""
    pages = int(STATM.read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def run(path: Path, begin: int, end: int) -> dict[str, float]:
    """Run the tasks; the resident megabytes at the first of the two numbers, at the second, and at most."""
    before = most = 0.0
    async with ours.manager_on(path) as manager:
        for number in range(1, end + 1):
            await manager.result(await manager.submit(ours.noop()))
            if number == begin:
                gc.collect()
                before = most = resident_megabytes()
            elif number > begin and not number % SAMPLE_EVERY:
                most = max(most, resident_megabytes())
        gc.collect()
        return {"before": before, "after": resident_megabytes(), "most": most}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))))  # noqa: T201
