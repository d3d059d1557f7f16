"""What the tests of this room share: threads for plain functions."""

from collections.abc import Iterator

import pytest

from ailf.async_tasks.running.threads import Threads


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Where plain functions run; ended after the test."""
    threads = Threads("ailf test", 4)
    yield threads
    threads.close()
