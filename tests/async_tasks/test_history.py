"""``History``: a journal read by scripts and notebooks, with no loop and no part in it."""

import asyncio
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from ailf.async_tasks import History, TaskManager, current_task
from ailf.errors import InvalidArgumentError, InvalidTypeError, JournalError
from tests.async_tasks.journal.support import snapshot


@pytest.fixture
def filled(journal: Path) -> Path:
    """A journal with ten tasks, one of which failed."""

    async def work(number: int) -> Any:
        current_task().update_progress(number)
        current_task().log("at work", number=number)
        return {number} if number else 1 / number

    async def main() -> None:
        coders = {"encoder": lambda value: {"set": sorted(value)}, "decoder": lambda made: set(made["set"])}
        async with TaskManager(journal, **coders) as manager:  # type: ignore[arg-type]
            for number in range(10):
                await manager.wait_for_task(await manager.submit(work(number), task_id=str(number), name=f"n{number}"))

    asyncio.run(main())
    return journal


def test_it_reads_what_a_manager_reads(filled: Path) -> None:
    """Lists, counts, single tasks, timelines, logs, with the same conditions; and leaves nothing behind."""
    before = snapshot(filled.parent)
    with History(filled) as history:
        assert [info.id for info in history.list_tasks(newest_first=True, limit=2, offset=1)] == ["8", "7"]
        assert [info.id for info in history.iter_tasks("completed", name="n[1]*")] == []
        assert len(list(history.iter_tasks())) == history.count_tasks() == 10
        assert history.count_tasks("failed", reason="error") == 1
        failed = history.get_task_info("0")
        assert failed is not None
        assert failed.error_type == "ZeroDivisionError"
        assert history.get_task_info("unknown") is None
        assert [event.kind for event in history.get_task_events("1")] == [
            "submitted",
            "started",
            "progress",
            "completed",
        ]
        assert [line.message for line in history.get_task_logs("1")] == ["at work"]
        assert repr(history) == f"<History of {str(filled)!r}>"
        assert history.journal == filled
    assert snapshot(filled.parent) == before


def test_rows_for_a_table(filled: Path) -> None:
    """Each a dict, with times as times and everything else as JSON has it."""
    with History(str(filled)) as history:
        rows = history.to_dicts("completed")
    assert [row["id"] for row in rows] == [str(number) for number in range(1, 10)]
    assert all(isinstance(row["created_at"], datetime) and row["duration"] >= 0 for row in rows)
    assert rows[0]["result"] == {"set": [1]}


def test_the_results_of_an_encoder(filled: Path) -> None:
    """With its decoder they are what they were, without it the JSON in between."""
    with History(filled, decoder=lambda made: set(made["set"])) as history:
        assert history.list_tasks(name="n3")[0].result == {3}
        assert history.to_dicts(name="n3")[0]["result"] == [3]
    with History(filled) as history:
        info = history.list_tasks(name="n3")[0]
        assert (info.result, info.result_format) == ({"set": [3]}, "custom")


async def test_a_journal_in_use_is_read_from_any_thread(journal: Path) -> None:
    """What is committed is there."""
    async with TaskManager(journal) as manager:
        await manager.submit(asyncio.Event().wait(), task_id="x")
        with History(journal) as history:
            seen: list[Any] = []
            thread = Thread(target=lambda: seen.append(history.count_tasks("running")))
            thread.start()
            thread.join()
            assert seen == [1]
            await manager.cancel_task("x")
            assert history.count_tasks("cancelled") == 1
            assert manager.count_tasks() == 1


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    """And nothing is made."""
    with pytest.raises(JournalError, match="There is no journal"):
        History(tmp_path / "none.db")
    (tmp_path / "other").write_text("no database at all, but long enough to look like one" * 20)
    with pytest.raises(JournalError):
        History(tmp_path / "other")
    with pytest.raises(InvalidTypeError, match="decoder"):
        History(tmp_path / "none.db", decoder=5)  # type: ignore[arg-type]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_a_wrong_condition_is_refused_by_the_call(journal: Path) -> None:
    """Before the first step, as everywhere."""
    asyncio.run(_nothing(journal))
    with History(journal) as history, pytest.raises(InvalidArgumentError, match="status"):
        history.iter_tasks("lost")


async def _nothing(journal: Path) -> None:
    async with TaskManager(journal):
        pass


@pytest.mark.parametrize(
    ("encoder", "decoder", "error"),
    [(len, None, InvalidArgumentError), (None, len, InvalidArgumentError), (5, len, InvalidTypeError)],
)
def test_coders_come_in_pairs(encoder: Any, decoder: Any, error: type[Exception]) -> None:
    """What one makes only the other understands."""
    with pytest.raises(error, match="encoder"):
        TaskManager(encoder=encoder, decoder=decoder)
