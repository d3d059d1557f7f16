"""Tasks that submit tasks: who is whose child, looking a family up, and ending it."""

import asyncio
import logging
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ailf.async_tasks import TaskManager, TaskStatus, current_task
from ailf.errors import InvalidArgumentError, InvalidTypeError
from tests.conftest import until


async def noop() -> None:
    """A task that does nothing."""


async def forever() -> None:
    """A task that waits for its cancellation."""
    await asyncio.Event().wait()


@pytest.fixture
async def neighbour(manager: TaskManager, journal: Path) -> AsyncIterator[TaskManager]:
    """Another manager on the same journal."""
    async with TaskManager(journal) as started:
        yield started


def parent_of(manager: TaskManager, task_id: str) -> str | None:
    """The parent that the journal has of a task."""
    info = manager.get_task_info(task_id)
    assert info is not None
    return info.parent_id


async def test_a_task_submitted_in_a_task_is_its_child(manager: TaskManager) -> None:
    """With nothing to learn: in its coroutine, in what that starts, and in its threads."""
    loop = asyncio.get_running_loop()

    async def parent() -> list[str]:
        async with asyncio.TaskGroup() as group:
            grouped = group.create_task(manager.submit(noop()))
        in_thread = await asyncio.to_thread(
            lambda: asyncio.run_coroutine_threadsafe(manager.submit(noop()), loop).result()
        )
        return [await manager.submit(noop()), grouped.result(), in_thread]

    task_id = await manager.submit(parent())
    children = await manager.result(task_id)
    assert [parent_of(manager, child) for child in children] == [task_id] * 3
    assert parent_of(manager, task_id) is None
    assert {info.id for info in manager.list_tasks(parent=task_id)} == set(children)


async def test_a_task_knows_its_parent(manager: TaskManager) -> None:
    """``current_task().parent_id``, None at the top."""

    async def who() -> tuple[str, str | None]:
        return current_task().id, current_task().parent_id

    async def parent() -> tuple[str, str | None]:
        return await manager.result(await manager.submit(who()))  # type: ignore[no-any-return]

    top = await manager.submit(parent())
    child, its_parent = await manager.result(top)
    assert its_parent == top != child
    assert (await manager.result(await manager.submit(who())))[1] is None


async def test_a_submitter_chooses_the_parent(manager: TaskManager) -> None:
    """Another task, ended or not; or none, where that is said."""
    other = await manager.submit(noop())
    await manager.result(other)

    async def parent() -> list[str]:
        return [await manager.submit(noop(), parent=None), await manager.submit(noop(), parent=other)]

    orphan, adopted = await manager.result(await manager.submit(parent()))
    assert parent_of(manager, orphan) is None
    assert parent_of(manager, adopted) == other


@pytest.mark.parametrize(
    ("parent", "error"),
    [("nobody", InvalidArgumentError), ("me", InvalidArgumentError), (5, InvalidTypeError), ("", InvalidArgumentError)],
)
async def test_a_parent_that_cannot_be(manager: TaskManager, parent: Any, error: type[Exception]) -> None:
    """An unknown one, the task itself, no id at all: an error of ours, no row, and the coroutine is closed."""
    with pytest.raises(error, match="parent is"):
        await manager.submit(noop(), task_id="me", parent=parent)
    assert manager.list_tasks() == []


async def test_a_parent_that_is_gone_stays_named(manager: TaskManager) -> None:
    """Retention deletes it, and its children still say whose they were."""
    child_id = ""

    async def parent() -> None:
        nonlocal child_id
        child_id = await manager.submit(forever())

    task_id = await manager.submit(parent())
    await manager.result(task_id)
    with sqlite3.connect(str(manager.journal)) as connection:
        connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
    connection.close()
    assert parent_of(manager, child_id) == task_id
    assert await manager.cancel_task(child_id)
    assert parent_of(manager, child_id) == task_id


async def test_a_family_is_that_of_one_journal(manager: TaskManager, neighbour: TaskManager, tmp_path: Path) -> None:
    """Two managers on one journal are one family; a task of another journal is nobody's parent here."""
    async with TaskManager(tmp_path / "elsewhere.db") as elsewhere:

        async def parent() -> tuple[str, str]:
            return await neighbour.submit(noop()), await elsewhere.submit(noop())

        task_id = await manager.submit(parent())
        near, far = await manager.result(task_id)
        assert parent_of(manager, near) == task_id
        assert parent_of(elsewhere, far) is None


async def family(manager: TaskManager) -> tuple[str, str, str, str]:
    """A task with two children, of whom one has a child: the ids of all, which run for ever."""
    ids: dict[str, str] = {}

    async def branch() -> None:
        ids["leaf"] = await manager.submit(forever(), name="leaf")
        await forever()

    async def root() -> None:
        ids["branch"] = await manager.submit(branch(), name="branch")
        ids["other"] = await manager.submit(forever(), name="other")
        await forever()

    ids["root"] = await manager.submit(root(), name="root")
    await until(lambda: len(ids) == 4)
    return ids["root"], ids["branch"], ids["leaf"], ids["other"]


async def test_a_family_ends_together(manager: TaskManager) -> None:
    """The task first, then what it started, down to the leaves, each an ordinary cancellation."""
    ids = await family(manager)
    stranger = await manager.submit(forever())
    assert await manager.cancel_task(ids[0], children=True)
    infos = [manager.get_task_info(task_id) for task_id in ids]
    assert [info and (info.status, info.reason) for info in infos] == [("cancelled", "cancelled")] * 4
    ends = [info.completed_at for info in infos if info and info.completed_at]
    assert min(ends) == ends[0]
    assert [info.id for info in manager.list_tasks(TaskStatus.RUNNING)] == [stranger]


async def test_a_family_ends_together_though_one_in_between_is_gone(manager: TaskManager) -> None:
    """Deleted by the clean-up, which leaves nothing between a task and its grandchildren in the journal."""
    ids: list[str] = []

    async def left_running() -> None:
        ids.append(await manager.submit(forever(), name="left running"))

    async def dispatcher() -> None:
        ids.append(current_task().id)
        ids.append(await manager.submit(forever(), name="grandchild"))
        asyncio.get_running_loop().call_soon(lambda: late.append(asyncio.ensure_future(left_running())))

    async def top() -> None:
        await manager.result(await manager.submit(dispatcher()))
        await forever()

    late: list[asyncio.Future[None]] = []
    top_id = await manager.submit(top())
    await until(lambda: len(ids) == 3)
    await asyncio.gather(*late)
    gone, *below = ids
    await manager.result(gone)
    with closing(sqlite3.connect(str(manager.journal), isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("DELETE FROM tasks WHERE id = ?", (gone,))
    assert await manager.cancel_task(top_id, children=True)
    assert [info and info.status for info in map(manager.get_task_info, below)] == ["cancelled"] * 2


async def test_a_task_alone_ends_alone(manager: TaskManager) -> None:
    """Without ``children`` the family runs on."""
    ids = await family(manager)
    assert await manager.cancel_task(ids[0])
    assert {info.id for info in manager.list_tasks(TaskStatus.RUNNING)} == set(ids[1:])


async def test_one_that_does_not_end_so_is_told(manager: TaskManager, caplog: pytest.LogCaptureFixture) -> None:
    """False, and the log says which task went on to another end."""

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "no"
        return ""

    async def root() -> str:
        return await manager.submit(stubborn(), name="stubborn")

    task_id = await manager.submit(root())
    child = await manager.result(task_id)
    await until(lambda: manager.list_tasks("running", parent=task_id))
    with caplog.at_level(logging.WARNING, "ailf.async_tasks"):
        assert not await manager.cancel_task(task_id, children=True)
    assert f"Task {child} was not cancelled with task {task_id}" in caplog.text
    assert "it is completed" in caplog.text


async def test_a_task_can_end_its_own_family(manager: TaskManager) -> None:
    """It is cancelled first, and its children are none the less."""

    async def root() -> None:
        await manager.submit(forever())
        await manager.cancel_task(current_task().id, children=True)

    task_id = await manager.submit(root())
    await until(lambda: {info.status for info in manager.list_tasks()} == {"cancelled"})
    assert parent_of(manager, manager.list_tasks()[1].id) == task_id


async def test_children_of_a_task_that_has_ended_are_cancelled_too(manager: TaskManager) -> None:
    """False for the task, which had ended; what it left running ends."""

    async def root() -> None:
        await manager.submit(forever())

    task_id = await manager.submit(root())
    await manager.result(task_id)
    assert not await manager.cancel_task(task_id, children=True)
    assert manager.count_tasks("cancelled") == 1


CHILD_ELSEWHERE = """
import asyncio, sys
from ailf.async_tasks import TaskManager

async def main():
    async with TaskManager(sys.argv[1]) as manager:
        await manager.submit(asyncio.Event().wait(), task_id="far", parent=sys.argv[2])
        print("submitted", flush=True)
        await manager.wait_for_task("far")

asyncio.run(main())
"""


async def test_a_family_ends_in_other_processes_too(manager: TaskManager, journal: Path) -> None:
    """A child that another process runs is asked for through the journal."""
    task_id = await manager.submit(forever())
    command = [sys.executable, "-c", CHILD_ELSEWHERE, str(journal), task_id]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"submitted\n"
    assert await manager.cancel_task(task_id, children=True)
    await process.communicate()
    info = manager.get_task_info("far")
    assert info is not None
    assert (info.status, info.parent_id) == ("cancelled", task_id)


async def test_a_running_task_that_says_nothing_is_found(manager: TaskManager) -> None:
    """By how long it has been quiet; one that reports is not, and one that has ended never is."""
    quiet = await manager.submit(forever(), name="quiet")
    loud = await manager.submit(forever(), name="loud")
    await manager.result(await manager.submit(noop()))
    await until(lambda: manager.count_tasks(quiet_for=0.05) == 2)
    manager.update_progress(loud, 1)
    await until(lambda: len(manager.get_task_events(loud)) == 3)
    assert loud not in {info.id for info in manager.list_tasks(quiet_for=timedelta(seconds=30))}
    assert quiet in {info.id for info in manager.list_tasks("running", quiet_for=0.01, name="quiet")}
    assert manager.list_tasks("completed", quiet_for=0.01) == []
    assert manager.list_tasks(quiet_for=3600) == []


@pytest.mark.parametrize("length", [0, -1, "soon", float("nan"), 1e15])
async def test_no_length_of_time(manager: TaskManager, length: Any) -> None:
    """Each is an error that names the argument."""
    with pytest.raises((InvalidArgumentError, InvalidTypeError), match="quiet_for is"):
        manager.list_tasks(quiet_for=length)


async def test_the_tree_reads_well(manager: TaskManager, journal: Path) -> None:
    """A bare SELECT shows a family as it is, indented; the newest family first, the oldest child first."""
    ids = await family(manager)
    await manager.cancel_task(ids[0], children=True)
    await manager.result(await manager.submit(noop(), name="alone"))
    with sqlite3.connect(journal) as connection:
        rows = connection.execute("SELECT task, status, outcome FROM task_tree").fetchall()
        first = connection.execute("SELECT task FROM task_tree LIMIT 2").fetchall()
        plan = " ".join(row[3] for row in connection.execute("EXPLAIN QUERY PLAN SELECT * FROM task_tree LIMIT 2"))
    connection.close()
    assert rows[0] == ("alone", "completed", "null")
    assert [row[0] for row in rows[1:]] == ["root", "  branch", "    leaf", "  other"]
    assert {row[1:] for row in rows[1:]} == {("cancelled", "cancelled")}
    assert first == [("alone",), ("root",)]
    assert "TEMP B-TREE FOR ORDER BY" not in plan.replace("RECURSIVE STEP", "")


async def test_a_circle_of_a_shell_s_making_ends(manager: TaskManager, journal: Path) -> None:
    """Two that are each other's parents: the views and the cancellation come to an end."""
    first = await manager.submit(forever())
    second = await manager.submit(forever(), parent=first)
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE tasks SET parent_id = ? WHERE id = ?", (second, first))
    connection.close()
    with sqlite3.connect(journal) as connection:
        assert connection.execute("SELECT count(*) FROM task_tree").fetchone() == (0,)
    connection.close()
    assert await manager.cancel_task(first, children=True)
    assert manager.count_tasks("cancelled") == 2
