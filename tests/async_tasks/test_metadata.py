"""Metadata: what may be attached, and finding tasks by it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ailf.async_tasks import TaskManager
from ailf.errors import InvalidArgumentError, InvalidTypeError

ODD_TEXTS = [
    *(
        "%(limit)s",
        "%(path_0)s",
        "%(value_0)s",
        "__[POSTCOMPILE_x]",
        "path 0",
        "'path 0'",
        "x')) WHERE ",
    ),
    *("", " ", "plain", "a.b", "a[0]", "$", "$.a", '"', "'", '"quoted"', "back\\slash", "\\u0022", "tab\there"),
    *(
        "line\nbreak",
        "\0",
        "nul\0inside",
        "\x7f",
        "\ud800",
        "\udfff\ud800",
        "é",
        "e\u0301",
        "日本",
        "🍃",
        "%",
        "_",
        "#",
        "*",
    ),
]


@pytest.fixture(params=[(), (*ODD_TEXTS, "value", "Value", "VALUE")], ids=["no index", "indexes"])
async def manager(journal: Path, request: pytest.FixtureRequest) -> AsyncIterator[TaskManager]:
    """A manager without an index of any key, and one with an index of every odd one: both find the same."""
    async with TaskManager(journal, indexed_metadata=request.param) as started:
        yield started


async def submit(manager: TaskManager, **options: Any) -> str:
    """Submit a task that ends at once."""
    return await manager.submit(asyncio.sleep(0), **options)


async def test_metadata_matches_whatever_characters_a_key_or_value_holds(manager: TaskManager) -> None:
    """Each odd text finds its own task by key and by value, and no other one."""
    for text in ODD_TEXTS:
        await submit(manager, task_id=None, metadata={text: "here", "value": text})
    for index, text in enumerate(ODD_TEXTS):
        [by_key] = manager.list_tasks(metadata={text: "here"})
        [by_value] = manager.list_tasks(metadata={"value": text})
        assert by_key == by_value == manager.list_tasks(offset=index, limit=1)[0]
        assert by_key.metadata == {text: "here", "value": text}


async def test_metadata_values_of_every_type_match_themselves_alone(manager: TaskManager) -> None:
    """Null, booleans, numbers, texts, lists and objects are told apart; a key that is not there is not null."""
    values: list[Any] = [
        *(None, True, False, 0, 1, "1", "true", "null", "", 2**53 + 1, 2**63, -(2**63) - 1, 10**30, 0.1, 5e-324),
        *([], [1], [1, "1"], {}, {"a": {"b": [None]}}, "x" * 1_000_000),
    ]
    await submit(manager, metadata={"other": 1})
    for value in values:
        await submit(manager, metadata={"value": value})
    for index, value in enumerate(values, start=1):
        [found] = manager.list_tasks(metadata={"value": value})
        assert found.id == manager.list_tasks(offset=index, limit=1)[0].id
    assert manager.count_tasks(metadata={"value": 1.0}) == 1
    await submit(manager, metadata={"value": -0.0})
    for zero in (0, 0.0, -0.0):
        assert manager.count_tasks(metadata={"value": zero}) == 2
    assert manager.count_tasks(metadata={"value": {"a": {"b": [None]}, "c": 1}}) == 0


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    metadata=st.dictionaries(
        st.text(),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
            max_leaves=6,
        ),
        max_size=4,
    )
)
def test_any_metadata_comes_back_and_is_found(metadata: dict[str, Any]) -> None:
    """Whatever JSON object is attached is read back equal, and matches each of its own items."""

    async def check() -> None:
        async with TaskManager(":memory:") as manager:
            task_id = await submit(manager, metadata=metadata)
            info = manager.get_task_info(task_id)
            assert info is not None
            assert info.metadata == metadata
            for condition in ({key: value} for key, value in metadata.items()):
                assert manager.count_tasks(metadata=condition) == 1
            assert manager.count_tasks(metadata=metadata) == 1

    asyncio.run(check())


async def test_metadata_is_attached_as_it_was(manager: TaskManager) -> None:
    """What the caller does to its dict afterwards, or a reader to its own, changes nothing."""
    mine: dict[str, Any] = {"user_id": "user-1", "tags": ["a"]}
    task_id = await submit(manager, metadata=mine)
    mine["tags"].append("b")
    for _ in range(2):
        info = manager.get_task_info(task_id)
        assert info is not None
        assert info.metadata == {"user_id": "user-1", "tags": ["a"]}
        info.metadata["tags"].append("c")


@pytest.mark.parametrize(
    "value",
    [{1, 2}, b"x", object(), float("nan"), float("inf"), datetime.now(UTC), 1j],
    ids=lambda value: repr(value)[:12],
)
async def test_metadata_is_a_json_object(manager: TaskManager, value: Any) -> None:
    """A value that JSON does not have, however deep, is refused and leaves no row."""
    circular: list[Any] = []
    circular.append(circular)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for bad in ({"x": value}, {"x": [{"y": value}]}, {"x": circular}, {"x": deep}, {1: "x"}, {None: 1}):
        with pytest.raises((InvalidTypeError, InvalidArgumentError), match="metadata is no JSON object"):
            await submit(manager, metadata=bad)
    assert manager.count_tasks() == 0


def indexes_in(journal: Path) -> list[str]:
    """The names of the indexes of keys."""
    with closing(sqlite3.connect(journal)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'tasks_by_metadata%' ORDER BY name")
        return [name for (name,) in rows]


async def test_an_index_is_made_for_a_key_that_is_asked_for(journal: Path) -> None:
    """Once, in a journal that has tasks already; it stays for those who do not ask, and other keys join it."""
    async with TaskManager(journal) as before:
        await submit(before, metadata={"userId": "u1", "shop": "north"})
        assert indexes_in(journal) == []
    for wanted, there in (
        (["userId"], ["userId"]),
        (["userId"], ["userId"]),
        ([], ["userId"]),
        (("userid", "it's"), ["it's", "userId", "userid_2"]),
        ({"userId": 1, "shop": 2}, ["it's", "shop", "userId", "userid_2"]),
    ):
        async with TaskManager(journal, indexed_metadata=wanted) as manager:
            await submit(manager, metadata={"userid": "u1", "it's": 1})
            assert manager.count_tasks(metadata={"userId": "u1"}) == 1
            assert manager.list_tasks(metadata={"userId": "u1", "shop": "north"}) == manager.list_tasks(limit=1)
        assert indexes_in(journal) == [f"tasks_by_metadata_{name}" for name in there]


async def test_what_a_shell_has_written_is_found_by_an_index_as_well(journal: Path) -> None:
    """A number as SQLite spells it, which is not always Python's way; a key that is spelled otherwise never is."""
    numbers = [1e-7, 1e17, 1.5, 7, 0.1 + 0.2, 5e-324, -0.0]
    async with TaskManager(journal, indexed_metadata=["rate"]) as manager, TaskManager(journal) as other:
        running = [await manager.submit(asyncio.sleep(3600), metadata={"rate": "none"}) for _ in numbers]
        odd = await manager.submit(asyncio.sleep(3600))
        with closing(sqlite3.connect(journal, isolation_level=None)) as shell:
            for task_id, number in zip(running, numbers, strict=True):
                shell.execute(
                    "UPDATE tasks SET metadata = json_set(metadata, '$.rate', ?) WHERE id = ?", (number, task_id)
                )
            shell.execute("UPDATE tasks SET metadata = ? WHERE id = ?", ('{"\\u0072ate":7}', odd))
        for number in numbers:
            found = manager.list_tasks(metadata={"rate": number})
            assert found == other.list_tasks(metadata={"rate": number})
        assert [info.id for info in manager.list_tasks(metadata={"rate": 7})] == [running[3]]
        assert [info.id for info in manager.list_tasks(metadata={"rate": 1e-7})] == [running[0]]


async def test_an_index_of_a_key_goes_with_every_other_condition(journal: Path) -> None:
    """Status, name, time and order are what they are without one."""
    async with TaskManager(journal, indexed_metadata=["user"]) as manager:
        begin = datetime.now(UTC)
        ids = [await submit(manager, name=f"n{number % 2}", metadata={"user": "u1"}) for number in range(6)]
        await asyncio.gather(*(manager.result(task_id) for task_id in ids))
        middle = manager.list_tasks()[3].created_at

        def found(**conditions: Any) -> list[int]:
            return [ids.index(info.id) for info in manager.list_tasks(metadata={"user": "u1"}, **conditions)]

        assert found() == [0, 1, 2, 3, 4, 5]
        assert found(newest_first=True, limit=2, offset=1) == [4, 3]
        assert found(name="n1") == [1, 3, 5]
        assert found(status="failed") == []
        assert found(status=["completed", "failed"], name="n0", created_after=middle) == [4]
        assert found(created_after=begin, created_before=middle) == [0, 1, 2]
        assert [info.id for info in await manager.alist_tasks(metadata={"user": "u1"}, limit=1)] == ids[:1]


@pytest.mark.parametrize("wanted", ["user", 1, None, [1], [None], ["user", b"x"]])
def test_the_keys_to_index_are_several_texts(wanted: Any) -> None:
    """One text, whose letters would be keys as well, and whatever else is no key, are refused."""
    with pytest.raises(InvalidTypeError, match="indexed_metadata"):
        TaskManager(":memory:", indexed_metadata=wanted)
