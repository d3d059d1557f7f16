"""A few seconds of the chaos; the command ``python -m tests.faults.chaos`` goes on for longer."""

import resource
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.chaos import Chaos, in_one_line

SECONDS, SEED = 4, 7


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="no disk of another process can be made small here")
def test_nothing_is_lost_in_the_chaos(tmp_path: Path, figures: Counter[str]) -> None:
    """Processes that share a journal are killed, paused, locked out and out of space, and nothing is lost."""
    # What becomes of a log that is taken away is tried step by step, in the tests of the door.
    found = Chaos(tmp_path / "tasks.db", SEED, takes_logs=False).run(SECONDS)
    assert found["lost"] == 0, in_one_line(SEED, SECONDS, found)
    assert found["wrongly failed"] == 0, in_one_line(SEED, SECONDS, found)
    assert found["acknowledged"] > 0
    figures["tasks in the chaos"] += found["tasks"]
