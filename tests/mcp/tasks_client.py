"""The client's half of the tasks extension, on the SDK's own client."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client import ClientExtension, ClientSession
from mcp.client.extension import ClaimContext, ResultClaim
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, Request, RequestParams, Result

from tests.conftest import PATIENCE_SECONDS

TOP = Path(__file__).parents[2]
SERVER = ["-W", "error", "-m", "tests.mcp.tool_server"]


class Handle(Result):
    """What a call is answered with that became a task."""

    result_type: Literal["task"]
    task_id: str
    status: str
    ttl_ms: int | None
    poll_interval_ms: int
    created_at: str
    last_updated_at: str


class State(Result):
    """A task as it stands."""

    result_type: Literal["complete"]
    task_id: str
    status: str
    status_message: str | None = None
    created_at: str
    last_updated_at: str
    ttl_ms: int | None
    poll_interval_ms: int
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Acknowledged(Result):
    """Nothing but that it was heard."""

    result_type: Literal["complete"]


class Params(RequestParams):
    """Which task."""

    task_id: str
    input_responses: dict[str, Any] | None = None


class Asked(Request[Params, str]):
    """One of the extension's requests."""

    name_param: ClassVar[str | None] = "taskId"


async def ask(session: ClientSession, task_id: str) -> State:
    """How a task stands."""
    return await session.send_request(Asked(method="tasks/get", params=Params(task_id=task_id)), State)


async def tell(session: ClientSession, method: str, task_id: str, **more: Any) -> Acknowledged:
    """Send one of the requests that are acknowledged."""
    return await session.send_request(Asked(method=method, params=Params(task_id=task_id, **more)), Acknowledged)


async def ended(session: ClientSession, task_id: str) -> State:
    """A task once it has ended, as a client polls for that."""
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while (state := await ask(session, task_id)).status in ("working", "input_required"):
            await asyncio.sleep(state.poll_interval_ms / 1000)
    return state


async def until_async(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until a condition holds, or fail."""
    async with asyncio.timeout(2 * PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.02)


class Tasks(ClientExtension):
    """Declares the extension, and polls for the results of calls that became tasks."""

    identifier = "io.modelcontextprotocol/tasks"

    def claims(self) -> list[ResultClaim[Any]]:
        """The one shape that a call may have beside its own."""

        async def resolve(handle: Handle, context: ClaimContext) -> CallToolResult:
            state = await ended(context.session, handle.task_id)
            return CallToolResult.model_validate(state.result, by_name=False)

        return [ResultClaim(result_type="task", model=Handle, resolve=resolve)]


async def start(client: Client, tool: str, **arguments: Any) -> Handle:
    """Call a tool that becomes a task."""
    handle = await client.session.call_tool(tool, arguments, allow_claimed=True)
    assert isinstance(handle, Handle), handle
    return handle


def client_of(transport: Any, *, tasks: bool = True, mode: str = "auto") -> Client:
    """The SDK's client, with the extension or without."""
    extensions = [Tasks()] if tasks else None
    return Client(transport, extensions=extensions, read_timeout_seconds=2 * PATIENCE_SECONDS, mode=mode)


def over_stdio(journal: Path, *arguments: str, tasks: bool = True, mode: str = "auto") -> Client:
    """A client that starts a server of its own."""
    command = [*SERVER, str(journal), "stdio", *arguments]
    return client_of(StdioServerParameters(command=sys.executable, args=command, cwd=str(TOP)), tasks=tasks, mode=mode)


def first_line(process: subprocess.Popen[str]) -> str:
    """The first line that a process prints, which it is not waited for without end."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 2 * PATIENCE_SECONDS)
    assert ready, "nothing was printed"
    return process.stdout.readline()


@contextmanager
def serving(journal: Path, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server over streamable HTTP: its address, and its process."""
    command = [sys.executable, *SERVER, str(journal), "http", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=TOP, env=dict(os.environ)) as server:
        try:
            yield f"http://127.0.0.1:{int(first_line(server))}/mcp", server
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait(timeout=PATIENCE_SECONDS)


@asynccontextmanager
async def as_person(address: str, token: str) -> AsyncIterator[Client]:
    """A client that says who it is."""
    async with (
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=2 * PATIENCE_SECONDS) as http,
        client_of(streamable_http_client(address, http_client=http)) as client,
    ):
        yield client
