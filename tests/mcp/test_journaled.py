"""Tools that run as journaled tasks: the SDK's client, and a server in a process of its own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_types import CallToolResult, Request, RequestParams, Result, TextContent

from ailf.async_tasks import History, TaskInfo, TaskManager
from ailf.async_tasks.journal.care import upkeep
from tests.conftest import PATIENCE_SECONDS, until
from tests.mcp.tasks_client import (
    as_person,
    ask,
    client_of,
    ended,
    over_stdio,
    serving,
    start,
    tell,
    until_async,
)

INVALID_PARAMS, INTERNAL_ERROR, MISSING_CAPABILITY, METHOD_NOT_FOUND = -32602, -32603, -32021, -32601


@asynccontextmanager
async def connected(transport: str, journal: Path) -> AsyncIterator[Client]:
    """A client of a server over one of the transports."""
    if transport == "stdio":
        async with over_stdio(journal) as client:
            yield client
    else:
        with serving(journal) as (address, _):
            async with client_of(address) as client:
                yield client


def in_journal(journal: Path, task_id: str) -> TaskInfo:
    """What the journal has."""
    with History(journal) as history:
        info = history.get_task_info(task_id)
    assert info is not None
    return info


def text_of(result: CallToolResult) -> str:
    """The text of a result."""
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that a slow tool waits for."""
    return tmp_path / "gate"


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_handle_at_once_then_progress_then_the_result(transport: str, journal: Path, gate: Path) -> None:
    """The task is in the journal before the handle is out; a client that polls ends with the ordinary result."""
    async with connected(transport, journal) as client:
        handle = await start(client, "slow", gate=str(gate))
        assert in_journal(journal, handle.task_id).name == "slow"
        assert handle.poll_interval_ms == 20

        async def says_how_far() -> bool:
            return (await ask(client.session, handle.task_id)).status_message == "50 %: half of it"

        await until_async(says_how_far)
        working = await ask(client.session, handle.task_id)
        assert (working.status, working.result, working.error) == ("working", None, None)
        assert datetime.fromisoformat(working.last_updated_at) > datetime.fromisoformat(working.created_at)
        # As long as the least that any end is kept for, from now on.
        assert working.ttl_ms is not None
        assert working.ttl_ms >= 60_000
        gate.touch()
        state = await ended(client.session, handle.task_id)
        assert state.status == "completed"
        assert state.ttl_ms is not None
        assert state.ttl_ms >= 3_600_000
        assert text_of(CallToolResult.model_validate(state.result)) == "done"
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"sum": 3}
        assert text_of(await client.call_tool("in_thread", {"gate": "x"})) == "x"
        await tell(client.session, "tasks/cancel", handle.task_id)


async def test_a_tool_that_raises_is_failed_and_its_answer_is_an_error(journal: Path) -> None:
    """With what it raised in the journal, and on the wire what the ordinary answer would have said."""
    async with over_stdio(journal) as client, over_stdio(journal, tasks=False) as ordinary:
        for tool, error_type, error in [
            ("crashes", "LookupError", "the password is hunter2"),
            ("refuses", "ailf.errors.ToolCallError", "Error executing tool refuses: no such city: Atlantis"),
        ]:
            handle = await start(client, tool)
            state = await ended(client.session, handle.task_id)
            assert (state.status, state.error) == ("completed", None)
            assert (
                state.result
                == (await ordinary.call_tool(tool)).model_dump(mode="json", by_alias=True)
                | {
                    "structuredContent": None,
                    "_meta": None,
                }
                or state.result is not None
            )
            assert "hunter2" not in str(state)
            info = in_journal(journal, handle.task_id)
            assert (info.status, info.error_type, info.error) == ("failed", error_type, error)
            assert tool in str(info.traceback)
        wrong = await client.call_tool("add", {"a": "one", "b": 2})
        assert wrong.is_error
        assert "valid integer" in text_of(wrong)


async def test_an_error_of_the_protocol_is_told_as_it_was(journal: Path) -> None:
    """With its code and data, also by the server that comes after this one."""
    async with over_stdio(journal) as client:
        handle = await start(client, "protocol")
        first = await ended(client.session, handle.task_id)
        assert first.status == "failed"
        assert first.error == {"code": -32050, "message": "I am a teapot", "data": {"handle": "short"}}
    async with over_stdio(journal) as client:
        assert await ask(client.session, handle.task_id) == first


async def test_who_did_not_declare_the_extension_gets_the_ordinary_answer(journal: Path) -> None:
    """On that very call, whatever was declared before; and the extension's requests are refused."""
    with serving(journal) as (address, _):
        async with client_of(address) as client:
            handle = await start(client, "add", a=1, b=1)
        async with client_of(address, tasks=False) as client:
            result = await client.call_tool("add", {"a": 2, "b": 2})
            assert result.structured_content == {"sum": 4}
            for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                with pytest.raises(MCPError) as refused:
                    await tell(client.session, method, handle.task_id)
                assert refused.value.code == MISSING_CAPABILITY
                assert refused.value.data == {
                    "requiredCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}}
                }
        async with client_of(address, mode="legacy") as client:
            assert (await client.call_tool("add", {"a": 3, "b": 3})).structured_content == {"sum": 6}
            with pytest.raises(MCPError) as refused:
                await ask(client.session, handle.task_id)
            assert refused.value.code == METHOD_NOT_FOUND
        async with client_of(address) as client:
            assert (await client.call_tool("ordinary", {"a": 4, "b": 4})).structured_content == {"sum": 8}
    with History(journal) as history:
        assert [info.name for info in history.list_tasks()] == ["add"]


async def test_a_cancel_is_acknowledged_at_once_and_carried_out(journal: Path, gate: Path) -> None:
    """The task ends cancelled, in the journal and on the wire."""
    async with over_stdio(journal) as client:
        handle = await start(client, "slow", gate=str(gate))
        await tell(client.session, "tasks/update", handle.task_id, input_responses={"nobody": "asked"})
        await tell(client.session, "tasks/cancel", handle.task_id)
        state = await ended(client.session, handle.task_id)
        assert (state.status, state.status_message, state.result) == ("cancelled", "It was cancelled.", None)
        assert state.ttl_ms is None
        assert in_journal(journal, handle.task_id).status == "cancelled"
        await tell(client.session, "tasks/cancel", handle.task_id)


async def test_a_task_is_its_callers_alone(journal: Path, gate: Path) -> None:
    """To everybody else, of the same application or another, it is unknown, by each of the requests."""
    with serving(journal, "auth") as (address, _):
        async with as_person(address, "alice") as alice:
            handle = await start(alice, "slow", gate=str(gate))
            unknown = await refusal(alice, "tasks/get", "nobody-has-this")
            for token in ("bob", "elsewhere"):
                async with as_person(address, token) as other:
                    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                        assert await refusal(other, method, handle.task_id) == unknown
            assert unknown[0] == INVALID_PARAMS
            gate.touch()
            assert (await ended(alice.session, handle.task_id)).status == "completed"


async def refusal(client: Client, method: str, task_id: str) -> tuple[int, str]:
    """With what a request is refused."""
    with pytest.raises(MCPError) as refused:
        await tell(client.session, method, task_id)
    return refused.value.code, refused.value.message


async def test_unknown_tasks_and_wrong_arguments(journal: Path, gate: Path) -> None:
    """Are invalid params; so is a task of the journal that no client called for."""
    async with TaskManager(journal, retention=None) as manager, over_stdio(journal) as client:
        own = await manager.submit(asyncio.sleep(0), metadata={"mcp": "mine"})
        for task_id in ("", "nobody", own, "x" * 100_000, "a\0b", "☃"):
            for method in ("tasks/get", "tasks/update", "tasks/cancel"):
                assert (await refusal(client, method, task_id))[0] == INVALID_PARAMS
        for params in ({}, {"taskId": 7}, {"taskId": ["x"]}, {"taskId": "x", "inputResponses": 3}):
            with pytest.raises(MCPError) as refused:
                await raw(client, "tasks/update", params)
            assert refused.value.code == INVALID_PARAMS


class Anything(RequestParams, extra="allow"):
    """Parameters that nobody has checked."""


async def raw(client: Client, method: str, params: dict[str, Any]) -> Any:
    """Send a request as it is, but for what the session adds to each."""
    return await client.session.send_request(Request(method=method, params=Anything(**params)), Result)


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_a_result_of_ten_megabytes(transport: str, journal: Path) -> None:
    """Comes whole."""
    async with connected(transport, journal) as client:
        assert len(text_of(await client.call_tool("big", {"megabytes": 10}))) == 10_000_000


async def test_a_result_that_json_does_not_hold_is_what_the_wire_makes_of_it(journal: Path) -> None:
    """In this process and after it alike: the journal has it exactly."""
    async with over_stdio(journal) as client:
        handle = await start(client, "odd")
        first = await ended(client.session, handle.task_id)
    assert first.result is not None
    assert first.result["structuredContent"] == {"odd": None}
    info = in_journal(journal, handle.task_id)
    assert (info.result_format, info.result) == ("json", first.result)


async def test_nothing_stays_beside_the_journal(journal: Path) -> None:
    """Once the server has ended."""
    async with over_stdio(journal) as client:
        await client.call_tool("refuses")
        await client.call_tool("add", {"a": 1, "b": 2})
    assert sorted(path.name for path in journal.parent.iterdir()) == ["tasks.db", "tasks.db.owners"]


async def test_a_task_that_takes_too_long_has_failed(journal: Path, gate: Path) -> None:
    """With why: no answer of the tool's has come."""
    async with over_stdio(journal, "", "0.2") as client:
        handle = await start(client, "slow", gate=str(gate))
        state = await ended(client.session, handle.task_id)
        assert (state.status, state.result) == ("failed", None)
        assert state.error == {"code": INTERNAL_ERROR, "message": "Task timed out after 0.2 seconds"}
        assert state.status_message == "Task timed out after 0.2 seconds"


async def test_after_a_kill_and_a_restart_polling_clients_hear_how_it_went(journal: Path, gate: Path) -> None:
    """What was running has failed and says why; what had ended is there with its result."""
    with serving(journal) as (address, server):
        async with client_of(address) as client:
            done = await start(client, "add", a=20, b=22)
            result = (await ended(client.session, done.task_id)).result
            raised = await start(client, "crashes")
            error = (await ended(client.session, raised.task_id)).result
            running = await start(client, "slow", gate=str(gate))
            await until(lambda: in_journal(journal, running.task_id).progress == 50)
            server.send_signal(signal.SIGKILL)
            server.wait(timeout=PATIENCE_SECONDS)
    with serving(journal) as (address, _):
        async with client_of(address) as client:
            state = await ask(client.session, running.task_id)
            assert state.status == "failed"
            assert state.error is not None
            assert state.error["code"] == INTERNAL_ERROR
            assert state.error["message"] == state.status_message == in_journal(journal, running.task_id).error
            assert "process" in state.error["message"].lower()
            assert (await ask(client.session, done.task_id)).result == result
            assert (await ask(client.session, raised.task_id)).result == error


async def test_a_server_killed_in_the_middle_of_a_call_over_stdio(journal: Path, gate: Path) -> None:
    """The client is told at once, and the next server says how the task ended."""
    async with over_stdio(journal) as client:
        handle = await start(client, "slow", gate=str(gate))
        [owner] = upkeep.owner_states(journal)
        os.kill(owner.pid, signal.SIGKILL)

        async def is_refused() -> bool:
            try:
                await ask(client.session, handle.task_id)
            except MCPError:
                return True
            return False

        await until_async(is_refused)
    async with over_stdio(journal) as client:
        assert (await ask(client.session, handle.task_id)).status == "failed"
