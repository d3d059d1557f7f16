"""Results and errors: what the journal holds of them, and what comes back in this process and after a restart."""

import asyncio
import base64
import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from ailf.async_tasks import Reason, ResultFormat, TaskInfo, TaskManager, TaskStatus
from ailf.errors import TaskFailedError


def info_of(manager: TaskManager, task_id: str) -> TaskInfo:
    """A task that is there."""
    info = manager.get_task_info(task_id)
    assert info is not None
    return info


def circular() -> list[Any]:
    """A list that holds itself."""
    itself: list[Any] = [1]
    itself.append(itself)
    return itself


def deep(levels: int) -> list[Any]:
    """A list in a list in a list."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@dataclass
class Point:
    """A value that JSON does not know."""

    x: int


class Unspeakable:
    """A value that cannot even be shown."""

    def __repr__(self) -> str:
        """Refuse."""
        raise RuntimeError("no words")

    def __eq__(self, other: object) -> bool:
        """Refuse too."""
        raise RuntimeError("no equal")

    def __hash__(self) -> int:
        """Refuse as well."""
        raise RuntimeError("no hash")


JSON_VALUES: list[Any] = [
    *(None, True, 0, -1, 2**63, 10**400, 0.1, -0.0, 1e300, "", "text", 'it\'s "quoted"', "é日🍃", "\x1b[31m"),
    *([], [1, [2, [None]]], {}, {"a": {"b": [1.5]}}, ["x" * 1_000_000], deep(400)),
]

OTHER_VALUES: list[Callable[[], Any]] = [
    *(lambda: {1, 2}, lambda: (1, 2), lambda: b"\x00\xff", lambda: float("nan"), lambda: float("inf"), circular),
    *(lambda: {1: "a"}, lambda: [(1,)], lambda: {"a": {2}}, lambda: OrderedDict(a=1), lambda: TaskStatus.RUNNING),
    *(lambda: Point(3), object, Unspeakable, lambda: print, lambda: deep(501), lambda: deep(100_000)),
    *(lambda: "nul\0", lambda: "\ud800", lambda: ["\ud83d\ude00"], lambda: 10**5000, lambda: ValueError("returned")),
]


@pytest.mark.parametrize("value", JSON_VALUES, ids=lambda value: repr(value)[:20])
async def test_a_json_value_comes_back_equal(journal: Path, value: Any) -> None:
    """What JSON holds exactly is the result on every read, in this process and after a restart."""
    async with TaskManager(journal) as manager:
        task_id = await manager.submit(asyncio.sleep(0, value))
        assert await manager.wait_for_task(task_id) is value
        assert manager.list_tasks()[0].result == value
    async with TaskManager(journal) as manager:
        info = info_of(manager, task_id)
        assert info.result_format is ResultFormat.JSON
        assert repr(info.result) == repr(value)
        assert repr(await manager.result(task_id)) == repr(value)


@pytest.mark.parametrize("make", OTHER_VALUES, ids=range(len(OTHER_VALUES)))
async def test_any_other_value_is_itself_until_a_restart(journal: Path, make: Callable[[], Any]) -> None:
    """No result fails its task; every read gives the very object or its equal, and the journal something legible."""
    value = make()
    async with TaskManager(journal) as manager:
        task_id = await manager.submit(asyncio.sleep(0, value))
        assert await manager.wait_for_task(task_id) is value
        assert await manager.result(task_id) is value
        reads = [info_of(manager, task_id), manager.list_tasks()[0], (await manager.alist_tasks())[0]]
        for read in reads:
            assert read.status is TaskStatus.COMPLETED
            assert read.result is value or (type(read.result) is type(value) is str and read.result == value)
    async with TaskManager(journal) as manager:
        info = info_of(manager, task_id)
        assert info.status is TaskStatus.COMPLETED
        if info.result_format is ResultFormat.REPR:
            assert isinstance(info.result, str)
            assert 0 < len(info.result) < 11_000
    with closing(sqlite3.connect(journal)) as connection:
        [(text,)] = connection.execute("SELECT result FROM tasks")
    assert text.isprintable()


async def test_the_journals_word_for_a_value_is_the_nearest(journal: Path) -> None:
    """After a restart it is JSON as near as that comes, found by a query, and its ``repr`` where nothing is near."""
    values = {
        "set": {1, 2},
        "bytes": b"\x00",
        "point": Point(3),
        "tuple": (1, (2,)),
        "int keys": {1: "a"},
        "same keys": {1: "a", "1": "b"},
        "nothing near": {(1, 2): 3},
    }
    async with TaskManager(journal) as manager:
        for name, value in values.items():
            await manager.wait_for_task(await manager.submit(asyncio.sleep(0, value), task_id=name))
    async with TaskManager(journal) as manager:
        results = {info.id: (info.result, str(info.result_format)) for info in manager.list_tasks()}
    assert results == {
        "set": ([1, 2], "lossy"),
        "bytes": ("AA==", "lossy"),
        "point": ({"x": 3}, "lossy"),
        "tuple": ([1, [2]], "lossy"),
        "int keys": ({"1": "a"}, "lossy"),
        "same keys": ("{1: 'a', '1': 'b'}", "repr"),
        "nothing near": ("{(1, 2): 3}", "repr"),
    }
    with closing(sqlite3.connect(journal)) as connection:
        found = connection.execute("SELECT id FROM tasks WHERE result_format = 'lossy' AND result ->> '$.x' = 3")
        assert found.fetchall() == [("point",)]


async def test_results_of_fifty_megabytes(journal: Path) -> None:
    """A long text is kept whole, and long bytes as themselves until a restart, as base64 from then on."""
    text, data = "x" * 50_000_000, bytes(50_000_000)
    async with TaskManager(journal) as manager:
        ids = [await manager.submit(asyncio.sleep(0, value)) for value in (text, data)]
        assert [await manager.wait_for_task(task_id) for task_id in ids] == [text, data]
        assert info_of(manager, ids[1]).result is data
    async with TaskManager(journal) as manager:
        assert info_of(manager, ids[0]).result == text
        assert base64.b64decode(info_of(manager, ids[1]).result) == data


async def test_a_result_is_kept_in_memory_only_while_its_task_is_there(journal: Path) -> None:
    """Clean-up lets go of the objects of the tasks that it deletes, and of no others."""
    async with TaskManager(journal, retention={"cancelled": 0}) as manager:
        await manager.wait_for_task(await manager.submit(asyncio.sleep(0, {1}), task_id="kept"))
        await manager.wait_for_task(await manager.submit(asyncio.sleep(0, {2}), task_id="deleted"))
        with closing(sqlite3.connect(journal)) as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("DELETE FROM tasks WHERE id = 'deleted'")
            connection.commit()
        await manager.cleanup()
        assert manager._session is not None
        assert manager._session.live.remembered.result_ids() == ["kept"]
        assert info_of(manager, "kept").result == {1}


async def test_an_id_that_is_free_again_has_no_memory_of_its_first_task(manager: TaskManager, journal: Path) -> None:
    """A second task with the id of one that somebody deleted is answered for by its own end alone."""

    async def fail() -> None:
        raise ValueError("second")

    def delete() -> None:
        with closing(sqlite3.connect(journal)) as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("DELETE FROM tasks")
            connection.commit()

    assert await manager.result(await manager.submit(asyncio.sleep(0, {1}), task_id="x")) == {1}
    delete()
    await manager.submit(asyncio.sleep(0, [2]), task_id="x")
    assert await manager.result("x") == [2]
    assert info_of(manager, "x").result == [2]
    delete()
    await manager.submit(fail(), task_id="x")
    for _ in range(2):
        with pytest.raises(TaskFailedError, match="second"):
            await manager.result("x")


class NoWords(Exception):  # noqa: N818 - a name that does not say Error
    """An exception that cannot say what it is."""

    def __str__(self) -> str:
        """Refuse."""
        raise RuntimeError("no words")


def raiser(error: BaseException) -> Callable[[], NoReturn]:
    """A function that raises."""

    def function() -> NoReturn:
        raise error

    return function


@pytest.mark.parametrize("threaded", [False, True], ids=["coroutine", "function"])
@pytest.mark.parametrize(
    ("error", "text", "kind"),
    [
        (ValueError("plain"), "plain", "ValueError"),
        (ValueError(), "ValueError", "ValueError"),
        (KeyError("key"), "'key'", "KeyError"),
        (NoWords(), "NoWords", f"{__name__}.NoWords"),
        (
            ExceptionGroup("several", [ValueError("a"), TypeError("b")]),
            "several (2 sub-exceptions): ValueError: a, and 1 more",
            "ExceptionGroup",
        ),
        (
            BaseExceptionGroup("base", [KeyboardInterrupt()]),
            "base (1 sub-exception): KeyboardInterrupt",
            "BaseExceptionGroup",
        ),
        (ValueError("nul\0 and \ud800"), "nul\\x00 and \\ud800", "ValueError"),
        (ValueError("x" * 1_000_000), "x" * 1_000_000, "ValueError"),
        (TimeoutError("its own"), "its own", "TimeoutError"),
    ],
    ids=["plain", "empty", "key", "no words", "group", "base group", "odd text", "long", "timeout"],
)
async def test_an_error_is_recorded(
    journal: Path, error: BaseException, text: str, kind: str, *, threaded: bool
) -> None:
    """Text, type and traceback of whatever a task raises are in the journal, after a restart too."""
    function = raiser(error)

    async def coroutine() -> None:
        function()

    async with TaskManager(journal) as manager:
        task_id = await manager.submit(function if threaded else coroutine())
        assert await manager.wait_for_task(task_id) is None
    async with TaskManager(journal) as manager:
        info = info_of(manager, task_id)
        assert (info.status, info.reason, info.error, info.error_type) == (TaskStatus.FAILED, Reason.ERROR, text, kind)
        assert info.traceback is not None
        assert info.traceback.lstrip(" +|").startswith(("Traceback", "Exception Group Traceback"))
        assert len(info.traceback) < 25_000
        assert manager.get_task_events(task_id)[-1].message == text


async def test_a_group_of_errors_shows_each(manager: TaskManager) -> None:
    """The traceback of an ExceptionGroup holds those of its parts."""

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(raiser(ValueError("first part"))))

    task_id = await manager.submit(work())
    with pytest.raises(TaskFailedError, match="1 sub-exception") as caught:
        await manager.result(task_id)
    assert "first part" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("fatal", "threaded"),
    [(KeyboardInterrupt, False), (KeyboardInterrupt, True), (SystemExit, False)],
    ids=["interrupt", "interrupt in a function", "exit"],
)
def test_what_ends_a_program_is_recorded_and_raised_again(
    journal: Path, fatal: type[BaseException], *, threaded: bool
) -> None:
    """KeyboardInterrupt and SystemExit of a task end the program, and the journal says so."""
    function = raiser(fatal("enough"))

    async def coroutine() -> None:
        function()

    async def main() -> None:
        async with TaskManager(journal) as manager:
            await manager.submit(function if threaded else coroutine(), task_id="fatal")
            await manager.submit(asyncio.Event().wait(), task_id="other")
            await asyncio.Event().wait()

    with pytest.raises(fatal, match="enough"):
        asyncio.run(main())
    with closing(sqlite3.connect(journal)) as connection:
        rows = connection.execute("SELECT id, status, error_type, reason FROM tasks ORDER BY rowid").fetchall()
    assert rows[0] == ("fatal", "failed", fatal.__name__, "error")
    assert rows[1][:2] == ("other", "cancelled")
