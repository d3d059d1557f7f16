"""A page of a long history takes no more than one of a short history: counted in steps of SQLite, not in time."""

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks.journal.form import Access, connect
from ailf.async_tasks.journal.reading import Query, Reader, reports
from ailf.async_tasks.journal.reading.reports import Order, Place, Wanted
from ailf.async_tasks.states import TaskStatus
from benchmarks import page

FEW, MANY = 21_000, 84_000
EVERY_STEPS = 100


class Counting(Reader):
    """A reader that counts how many steps SQLite takes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.steps = 0

    def rows(self, query: Query) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with closing(connect(self._path, Access.READ)) as connection:
            connection.create_function("ailf_kind", 1, lambda error: error)
            connection.set_progress_handler(self._count, EVERY_STEPS)
            return connection.execute(*query).fetchall()

    def _count(self) -> int:
        self.steps += EVERY_STEPS
        return 0


@pytest.fixture(scope="module")
def journals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A journal of few tasks, and one of many."""
    folder = tmp_path_factory.mktemp("growth")
    paths = [folder / f"{number}.db" for number in (FEW, MANY)]
    for path, number in zip(paths, (FEW, MANY), strict=True):
        page.fill(path, number)
    return paths


NOW = datetime.now(UTC)
FAILED = (TaskStatus.FAILED,)


def listed(wanted: Wanted, order: Order, after: Place | None = None) -> Callable[[Reader], object]:
    """A question for a page of a list."""
    return lambda reader: reports.page(reader, wanted, order, descending=True, limit=50, after=after, at=NOW)


MIDDLE = Place("work 10", 6_000, 0, "2026-11-24T03:00:00.000000Z")
QUESTIONS: dict[str, Callable[[Reader], object]] = {
    "the board": lambda reader: reports.board(reader, NOW, running=40, queue=10, latest=10),
    **{f"by {order}": listed(Wanted(), order) for order in Order},
    "from the middle on": listed(Wanted(), Order.NAME, MIDDLE),
    "failed": listed(Wanted(statuses=FAILED), Order.CREATED),
    "failed lately": listed(Wanted(statuses=FAILED, ended_after=NOW - timedelta(days=1)), Order.ENDED),
    "a text that is nowhere": listed(Wanted(text="nowhere"), Order.CREATED),
    "a key": listed(Wanted(metadata={"customer": "c7"}), Order.CREATED),
    "failures": reports.failures,
    "names": lambda reader: reports.stats(reader, most=5_000),
    "a timeline": lambda reader: reports.period_lines(reader, NOW - timedelta(minutes=5), NOW, 300),
    "a timeline of long ago": lambda reader: reports.period_lines(
        reader, NOW - timedelta(minutes=15), NOW - timedelta(minutes=10), 300
    ),
    "one task": lambda reader: reports.sheet(reader, "00000bb8-0000-7000-8000-000000000bb8"),
    "its family": lambda reader: reports.family(reader, "00000bb8-0000-7000-8000-000000000bb8", 100),
    "the span": reports.span,
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_takes_no_more_of_a_long_history(journals: list[Path], question: str) -> None:
    """Four times as many tasks, the same steps or nearly so."""
    steps = []
    for path in journals:
        reader = Counting(path)
        QUESTIONS[question](reader)
        steps.append(reader.steps)
    few, many = steps
    assert many <= 1.5 * few + 1_000
