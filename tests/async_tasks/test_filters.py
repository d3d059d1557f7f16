"""How tasks are chosen: by names with stars, several values, reasons, keys in keys, the time of the end."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import Reason, TaskManager
from ailf.errors import InvalidArgumentError, InvalidTypeError

NAMES = {"a": "report daily", "b": "report weekly", "c": "mail", "d": "what? [all] *", "e": "Report daily"}
METADATA: dict[str, dict[str, Any]] = {
    "a": {"user": {"id": 1, "plan": "pro"}, "region": "eu"},
    "b": {"user": {"id": 2, "plan": "team"}, "region": "us"},
    "c": {"user.id": 1, "region": "asia"},
    "d": {"user": {"id": {"deep": [1, 2]}}, "tags": ["x", "y"]},
    "e": {"user": "1", "region": None},
}


@pytest.fixture
async def history(journal: Path) -> AsyncIterator[TaskManager]:
    """Five tasks that have ended, three of them badly."""

    async def work(name: str) -> None:
        if name == "b":
            raise ValueError
        if name in "cd":
            await asyncio.Event().wait()

    async with TaskManager(journal) as manager:
        for name, called in NAMES.items():
            limit = 0.01 if name == "d" else None
            await manager.submit(work(name), task_id=name, name=called, metadata=METADATA[name], timeout=limit)
            if name == "c":
                await manager.cancel_task("c")
            await manager.wait_for_task(name)
        yield manager


async def found(manager: TaskManager, **conditions: Any) -> str:
    """The ids of those that fit; all four ways of asking agree."""
    ids = "".join(info.id for info in manager.list_tasks(**conditions))
    assert "".join(info.id for info in await manager.alist_tasks(**conditions)) == ids
    assert manager.count_tasks(**conditions) == await manager.acount_tasks(**conditions) == len(ids)
    return ids


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("report daily", "a"),
        ("report *", "ab"),
        ("*daily", "ae"),
        ("*", "abcde"),
        ("*port*ly", "abe"),
        (["mail", "report daily"], "ac"),
        (["mail", "*weekly"], "bc"),
        ({"mail"}, "c"),
        ([], ""),
        ("what? [all] *", "d"),
        (r"what? [all] \*", "d"),
        (r"*\*", "d"),
        (r"report \*", ""),
        ("report ?aily", ""),
        ("[rm]*", ""),
    ],
)
async def test_a_name_may_have_stars_and_there_may_be_several(history: TaskManager, name: Any, ids: str) -> None:
    """A star stands for anything, and every other character for itself, in its own case."""
    assert await found(history, name=name) == ids


@pytest.mark.parametrize(
    ("metadata", "ids"),
    [
        ({"region": {"eu", "asia"}}, "ac"),
        ({"region": frozenset({None, "us"})}, "be"),
        ({"region": set()}, ""),
        ({"tags": ["x", "y"]}, "d"),
        ({"tags": {"x"}}, ""),
        ({("user", "id"): 1}, "a"),
        ({("user", "plan"): {"pro", "team"}}, "ab"),
        ({("user", "id", "deep"): [1, 2]}, "d"),
        ({("user",): "1"}, "e"),
        ({"user.id": 1}, "c"),
        ({("user", "id"): {1, 2}, "region": {"us", "asia"}}, "b"),
        ({("user", "none"): None}, ""),
        ({"user": {"id": 1, "plan": "pro"}}, "a"),
    ],
)
async def test_metadata_may_lie_deep_and_be_any_of_several(history: TaskManager, metadata: Any, ids: str) -> None:
    """A set is any of its members, a tuple is keys in keys, and a list is the list that it is."""
    assert await found(history, metadata=metadata) == ids


async def test_several_values_where_the_key_has_an_index(journal: Path) -> None:
    """It is the same with an index as without."""
    async with TaskManager(journal, indexed_metadata=["user"]) as manager:
        for user in ("u1", "u2", 3):
            await manager.submit(asyncio.sleep(0), task_id=str(user)[-1], metadata={"user": user})
        assert await found(manager, metadata={"user": {"u1", 3}}) == "13"
        assert await found(manager, metadata={"user": "u2"}, ended_after=None, name="*") == "2"


@pytest.mark.parametrize(
    ("reason", "ids"),
    [("error", "b"), (Reason.TIMEOUT, "d"), (["CANCELLED", Reason.TIMEOUT], "cd"), ([], ""), ("shutdown", "")],
)
async def test_a_reason_chooses(history: TaskManager, reason: Any, ids: str) -> None:
    """By its name in any case, or several of them."""
    assert await found(history, reason=reason) == ids


async def test_the_time_of_the_end_chooses(history: TaskManager) -> None:
    """From a moment on and up to one, together with any other condition; what has not ended has none."""
    ends = {info.id: info.completed_at for info in history.list_tasks()}
    third = ends["c"]
    assert third is not None
    running = await history.submit(asyncio.Event().wait())
    assert await found(history, ended_after=third) == "cde"
    assert await found(history, ended_before=third) == "ab"
    assert await found(history, ended_after=third, ended_before=third + timedelta(microseconds=1)) == "c"
    assert await found(history, ended_after=third, name="*d*", status="completed", reason=None) == "e"
    assert await found(history, ended_after=third, created_before=third, metadata={"region": {"asia"}}) == "c"
    assert running not in await found(history, ended_after=third - timedelta(days=1))


@pytest.mark.parametrize(
    ("conditions", "error"),
    [
        ({"name": 5}, InvalidTypeError),
        ({"name": ["a", 5]}, InvalidTypeError),
        ({"reason": "because"}, InvalidArgumentError),
        ({"reason": 5}, InvalidTypeError),
        ({"reason": [5]}, InvalidTypeError),
        ({"metadata": {(): 1}}, InvalidTypeError),
        ({"metadata": {("a", 1): 1}}, InvalidTypeError),
        ({"metadata": {"a": {float("nan")}}}, InvalidArgumentError),
        ({"metadata": {"a": {b"x"}}}, InvalidTypeError),
        ({"ended_after": "yesterday"}, InvalidTypeError),
        ({"ended_before": 5}, InvalidTypeError),
    ],
)
async def test_what_is_no_condition_is_refused(manager: TaskManager, conditions: Any, error: type[Exception]) -> None:
    """Each error names the argument."""
    with pytest.raises(error, match=next(iter(conditions))):
        manager.list_tasks(**conditions)


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--name", "report *"], "ab"),
        (["--name", "mail", "--name", "*weekly"], "bc"),
        (["--reason", "timeout", "--reason", "error"], "bd"),
        (["-m", "region=eu", "-m", "region=us"], "ab"),
        (["-m", "user.id=1"], "ac"),
        (["-m", "user=1"], "e"),
        (["-m", 'user="1"'], "e"),
        (["-m", "region=null"], "e"),
        (["-m", "user.plan=team"], "b"),
        (["--ended-since", "1h", "--failed"], "bd"),
        (["--ended-until", "2020-01-01"], ""),
    ],
)
async def test_the_command_has_the_same(history: TaskManager, options: list[str], ids: str) -> None:
    """With a key with dots for one that is so called as well as for keys in keys."""
    command = [sys.executable, "-m", "ailf", "tasks", "export", "--journal", str(history.journal), *options]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert "".join(json.loads(line)["id"] for line in out.splitlines()) == ids
