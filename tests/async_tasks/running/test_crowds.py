"""Many tasks in one breath, each as it would be alone: what is written together is not mixed up."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus, current_task
from ailf.errors import AilfError
from tests.async_tasks.test_metadata import ODD_TEXTS
from tests.conftest import until

NUMBERS = [0, 1, 100, 99.99999999999999, 33.333333333333336, 1e-300, 0.1 + 0.2, 5e-324, 2.2250738585072014e-308]
"""Progress whose text SQLite's own parser has to read to the last place."""


@pytest.mark.parametrize("most", [None, 5])
async def test_odd_texts_in_a_crowd_are_told_apart(journal: Path, most: int | None) -> None:
    """Names, metadata, messages, results and errors of a hundred tasks come back each to its own."""
    texts = [f"{text}{number}" for number in range(5) for text in ODD_TEXTS]

    async def work(text: str) -> Any:
        current_task().update_progress(50, text)
        if len(text) % 2:
            raise ValueError(text)
        return {"text": text, "list": [text, None, 1.5, True]}

    async with TaskManager(journal, max_concurrency=most) as manager:
        ids = await asyncio.gather(
            *(manager.submit(work(text), name=text, metadata={text: text}, timeout=None) for text in texts)
        )
        await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
    async with TaskManager(journal) as manager:
        infos = manager.list_tasks()
        assert [info.id for info in infos] == ids
        for text, info in zip(texts, infos, strict=True):
            spelled = text.replace("\0", "\\x00").replace("\ud800", "\\ud800").replace("\udfff", "\\udfff")
            assert (info.name, info.progress_message) == (spelled, spelled)
            assert info.metadata == {text: text}
            if len(text) % 2:
                assert (info.status, info.error) == (TaskStatus.FAILED, spelled)
            else:
                assert info.result == {"text": text, "list": [text, None, 1.5, True]}


async def test_numbers_in_a_crowd_keep_their_last_place(manager: TaskManager, journal: Path) -> None:
    """Progress, time limits and results of many tasks at once read back bit by bit as they were."""
    dice = random.Random(7)
    numbers = NUMBERS + [dice.random() * 100 for _ in range(150)]

    async def work(number: float) -> float:
        current_task().update_progress(number)
        return number

    ids = await asyncio.gather(*(manager.submit(work(number), timeout=number + 3600) for number in numbers))
    await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
    async with TaskManager(journal) as other:
        for number, info in zip(numbers, other.list_tasks(), strict=True):
            assert [info.progress, info.timeout, info.result] == [number, number + 3600, number]
            assert (type(info.progress), type(info.result)) == (type(number), type(number))


async def test_one_refused_task_in_a_crowd_is_refused_alone(manager: TaskManager) -> None:
    """Among fifty submissions of one moment the duplicates are refused, and all others run."""
    await manager.wait_for_task(await manager.submit(asyncio.sleep(0), task_id="taken"))
    calls = [
        manager.submit(asyncio.sleep(0, number), task_id="taken" if number % 10 == 5 else f"n{number}")
        for number in range(50)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [number for number, answer in enumerate(answers) if isinstance(answer, AilfError)]
    assert refused == [5, 15, 25, 35, 45]
    await until(lambda: manager.count_tasks(TaskStatus.COMPLETED) == 46)
    for number, answer in enumerate(answers):
        if isinstance(answer, str):
            assert await manager.result(answer) == number


async def test_a_long_text_in_a_crowd_is_whole(manager: TaskManager) -> None:
    """A megabyte of name, metadata and result beside many small tasks is kept whole."""
    long = "long 🍃" * 150_000
    small = [manager.submit(asyncio.sleep(0, number)) for number in range(40)]
    big = manager.submit(asyncio.sleep(0, long), name=long, metadata={"text": long})
    ids = await asyncio.gather(*small[:20], big, *small[20:])
    await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ids))
    info = manager.list_tasks()[20]
    assert (info.name == long, info.metadata == {"text": long}, info.result == long) == (True, True, True)
