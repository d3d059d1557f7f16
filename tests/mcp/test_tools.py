"""The tools on a journal, asked by the SDK's client over stdio."""

import asyncio
import json
from pathlib import Path
from typing import Any

from ailf.async_tasks import TaskManager
from tests.conftest import until
from tests.mcp.conftest import answer, asking, complaint


def ids(page: dict[str, Any]) -> list[str]:
    """The ids of a page."""
    return [task["id"] for task in page["tasks"]]


async def test_what_failed_and_what_the_last_one_logged_takes_two_calls(full: Path) -> None:
    """Which tasks failed since yesterday, and what had the last one logged?"""
    async with asking(full) as client:
        page = await answer(client, "find_tasks", status="failed", ended_since="yesterday")
        assert ids(page) == ["fetch-2", "fetch-1", "fetch-0", "harm"]
        sheet = await answer(client, "get_task", task_id=page["tasks"][0]["id"])
    assert [entry["message"]["quoted"] for entry in sheet["logs"]] == ["asked for page 2", "the answer was empty"]
    assert [entry["level"] for entry in sheet["logs"]] == ["INFO", "WARNING"]
    assert sheet["error"]["quoted"] == "no page 2"
    assert sheet["traceback"]["quoted"].endswith("LookupError: no page 2\n")


async def test_tasks_are_found_by_everything_and_page_by_page(full: Path) -> None:
    """By state, name, text, metadata, times, parent, error; the pages have each task once."""
    async with asking(full) as client:
        assert ids(await answer(client, "find_tasks", status=["cancelled", "completed"], text="BIG")) == ["big"]
        assert ids(await answer(client, "find_tasks", name="fet*", order="created", descending=False, limit=1)) == [
            "fetch-0"
        ]
        assert ids(await answer(client, "find_tasks", metadata={"user": "u1"})) == ["gone"]
        assert ids(await answer(client, "find_tasks", parent_id="parent")) == ["child"]
        assert ids(await answer(client, "find_tasks", submitted_before="1d")) == []
        assert len(ids(await answer(client, "find_tasks", submitted_since="24h", ended_since="yesterday"))) == 8
        found: list[str] = []
        cursor = ""
        while True:
            page = await answer(client, "find_tasks", limit=3, order="duration", cursor=cursor)
            found += ids(page)
            cursor = page.get("next_cursor", "")
            if not cursor:
                break
    assert len(found) == len(set(found)) == 8


async def test_failures_are_groups_and_lead_to_their_tasks(full: Path) -> None:
    """Three of one error are one group; what it tells finds them."""
    async with asking(full) as client:
        found = await answer(client, "failures", since="24h")
        largest = found["groups"][0]
        assert (largest["count"], largest["error_kind"], largest["last_task_id"]) == (3, "no page <n>", "fetch-2")
        assert (found["failures"], found["is_newest_only"]) == (4, False)
        words = {key: largest[key] for key in ("name", "error_type", "error_kind")}
        assert len(ids(await answer(client, "find_tasks", status="failed", **words))) == 3


async def test_stats_and_tail(full: Path) -> None:
    """Numbers of each name; events from a place on, with no gap between two answers."""
    async with asking(full) as client:
        numbers = await answer(client, "stats")
        assert numbers["counts"] == {"pending": 0, "running": 0, "completed": 3, "failed": 4, "cancelled": 1}
        assert next(name for name in numbers["names"] if name["name"] == "fetch")["failed"] == 3
        assert numbers["processes"] == []
        last = await answer(client, "tail", limit=2)
        assert [event["kind"] for event in last["events"]] == ["started", "failed"]
        assert last["events"][-1]["seq"] == last["last_seq"]
        seqs: list[int] = []
        after, has_more = 0, True
        while has_more:
            page = await answer(client, "tail", after=after, limit=7)
            seqs += [event["seq"] for event in page["events"]]
            after, has_more = page["last_seq"], page["has_more"]
        assert seqs == list(range(1, last["last_seq"] + 1))
        [*_, end] = (await answer(client, "tail", task_id="gone"))["events"]
        assert end["kind"] == "cancelled"


async def test_a_task_with_its_family_and_a_result_of_ten_megabytes(full: Path) -> None:
    """The family both ways; of the result as much as was asked for, with its whole length."""
    async with asking(full) as client:
        parent = await answer(client, "get_task", task_id="paren")
        assert [(kin["depth"], kin["task"]["id"]) for kin in parent["descendants"]] == [(1, "child")]
        assert parent["owner"]["life"] == "stopped"
        child = await answer(client, "get_task", task_id="child", events=0, logs=0)
        assert [(kin["depth"], kin["task"]["id"]) for kin in child["ancestors"]] == [(-1, "parent")]
        assert child["result"] == {"quoted": '"leaf"', "characters": 6, "is_whole": True}
        big = await client.call_tool("get_task", {"task_id": "big", "text_characters": 50_000})
        assert isinstance(big.structured_content, dict)
        result = big.structured_content["result"]
        assert (len(result["quoted"]), result["characters"], result["is_whole"]) == (50_000, 10_000_004, False)
        assert len(big.model_dump_json()) < 250_000


async def test_texts_of_the_journal_are_quoted_and_do_nothing(full: Path) -> None:
    """Marked as data in each answer and in the instructions; nothing in them that is not to be seen."""
    async with asking(full) as client:
        assert "never instructions" in str(client.instructions)
        for tool, arguments in {
            "find_tasks": {"text": "delete everything"},
            "get_task": {"task_id": "harm"},
            "failures": {},
            "stats": {},
            "tail": {"task_id": "harm"},
            "wait_for_task": {"task_id": "harm"},
        }.items():
            told = await answer(client, tool, **arguments)
            assert "never instructions" in told["about_texts"]
            text = json.dumps(told, ensure_ascii=False)
            assert r"\\x1b]0;title\\x07\\u202egnp.exe\\U000e0041" in text, tool
            assert not {"\x1b", "\x07", "\u202e", "\U000e0041"}.intersection(text)


async def test_waiting_ends_with_the_task_or_with_the_patience(full: Path) -> None:
    """And tells how it stands; the task runs on."""
    go_on = asyncio.Event()

    async def waits() -> str:
        await go_on.wait()
        return "done"

    async with TaskManager(full, retention=None) as manager, asking(full) as client:
        await manager.submit(waits(), task_id="waits")
        soon = await answer(client, "wait_for_task", task_id="waits", timeout_seconds=0.3)
        assert (soon["has_ended"], soon["task"]["status"]) == (False, "running")
        waiting = asyncio.create_task(answer(client, "wait_for_task", task_id="waits", timeout_seconds=100))
        go_on.set()
        ended = await waiting
        assert (ended["has_ended"], ended["result"]["quoted"]) == (True, '"done"')


async def test_cancelling_is_for_those_who_were_allowed_to(full: Path) -> None:
    """There is no such tool without the option; with it, the process that runs the task ends it."""
    async with TaskManager(full, retention=None) as manager:
        await manager.submit(asyncio.sleep(600), task_id="long")
        async with asking(full) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert "cancel_task" not in tools
            assert all(tool.annotations and tool.annotations.read_only_hint for tool in tools.values())
            assert "Unknown tool" in await complaint(client, "cancel_task", task_id="long")
        async with asking(full, "--actions") as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            annotations = tools["cancel_task"].annotations
            assert annotations is not None
            assert annotations.destructive_hint
            await answer(client, "cancel_task", task_id="long")
            await until(lambda: manager.count_tasks("cancelled") == 2)
            ended = await answer(client, "cancel_task", task_id="fetch-0")
            assert ended["task"]["status"] == "failed"


async def test_wrong_arguments_are_said_to_be(full: Path) -> None:
    """Unknown tasks, wrong types, filters that there are not, times that are none, places of another list."""
    async with asking(full) as client:
        for tool in ("get_task", "wait_for_task"):
            assert "No task 'nobody'" in await complaint(client, tool, task_id="nobody")
        assert "fetch-0, fetch-1, fetch-2" in await complaint(client, "get_task", task_id="fetch")
        wrong: list[tuple[str, dict[str, Any], str]] = [
            ("find_tasks", {"status": "broken"}, "pending"),
            ("find_tasks", {"state": "failed"}, "Extra inputs"),
            ("find_tasks", {"limit": "many"}, "valid integer"),
            ("find_tasks", {"limit": 100_000}, "less than or equal to 100"),
            ("find_tasks", {"ended_since": "soon"}, "24h"),
            ("find_tasks", {"cursor": "x"}, "first page"),
            ("find_tasks", {"metadata": [1]}, "valid dictionary"),
            ("get_task", {}, "required"),
            ("get_task", {"task_id": 7}, "valid string"),
            ("tail", {"after": -1}, "greater than or equal to 0"),
            ("tail", {"after": 2**70}, "less than or equal to"),
            ("wait_for_task", {"task_id": "gone", "timeout_seconds": 0}, "greater than 0"),
        ]
        for tool, arguments, said in wrong:
            assert said in await complaint(client, tool, **arguments), (tool, arguments)
