"""What the attacks share: whether they can be made here, how thorough they are, and the count of them."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults.scenario import make_history
from tests.faults.vfs import why_not

FIGURES = pytest.StashKey[Counter[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that makes the attacks complete: ``pytest tests/faults --thorough``."""
    parser.addoption("--thorough", action="store_true", help="attack at every single I/O, not at some")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    config.stash[FIGURES] = Counter()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many attacks there were."""
    if figures := config.stash[FIGURES]:
        words = ", ".join(f"{count} {what}" for what, count in figures.items())
        terminalreporter.section("attacks on the journal")
        terminalreporter.line(words)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Counter[str]:
    """The counts that are printed at the end."""
    return request.config.stash[FIGURES]


@pytest.fixture
def faulty(request: pytest.FixtureRequest) -> None:
    """Skip where this interpreter's SQLite cannot be given a faulty disk."""
    if reason := why_not():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal with a past, to be copied."""
    path = tmp_path_factory.mktemp("history") / "history.db"
    make_history(path)
    return path


@pytest.fixture
def step(request: pytest.FixtureRequest) -> int:
    """From one point to the next: every I/O if it is to be thorough, else some."""
    return 1 if request.config.getoption("--thorough", default=False) else 6
