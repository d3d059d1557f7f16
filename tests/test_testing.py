"""``ailf.testing``: the fixture in a project of its own, and waiting until a condition holds."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from ailf.testing import wait_until

CONFTEST = 'pytest_plugins = ["ailf.testing"]\n'
TESTS = """
import pytest
from ailf.testing import wait_until

@pytest.mark.asyncio
@pytest.mark.parametrize("number", [1, 2])
async def test_a_journal_of_its_own(task_manager, tmp_path, number):
    assert task_manager.list_tasks() == []
    assert task_manager.journal.parent == tmp_path
    task_id = await task_manager.submit(lambda: number)
    info = await wait_until(lambda: task_manager.list_tasks("completed"))
    assert info[0].result == number
"""


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_the_fixture_works_in_either_mode_of_pytest_asyncio(tmp_path: Path, mode: str) -> None:
    """Each test gets a started manager on a journal of its own, with warnings as errors."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "-o", f"asyncio_mode={mode}", "--rootdir", str(tmp_path))
    scope = ("-o", "asyncio_default_fixture_loop_scope=function")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *scope],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


async def test_the_first_true_value_is_returned() -> None:
    """Whether the condition is a plain function or gives something to await."""
    values = iter([0, "", None, 7])
    assert await wait_until(lambda: next(values)) == 7
    event = asyncio.Event()
    asyncio.get_running_loop().call_soon(event.set)
    assert await wait_until(event.wait) is True


async def test_a_condition_that_never_holds_is_named() -> None:
    """With its last value, as a failure of the test."""
    with pytest.raises(AssertionError, match=r"After 0\.05 seconds the moon .* last value was 0"):
        await wait_until(lambda: 0, timeout=0.05, what="the moon")
