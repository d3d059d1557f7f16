"""An MCP server whose slow tool is journaled; a client that starts it, is killed, comes back and fetches the result.

Needs ``pip install 'ailf[mcp]'``::

    python examples/mcp_server.py                    # all of it, in a temporary folder
    python examples/mcp_server.py serve reports.db   # the server alone, at http://127.0.0.1:8000/mcp
"""

import asyncio
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import uvicorn
from mcp import Client
from mcp.client import ClientExtension
from mcp.client.extension import ClaimContext, ResultClaim
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import CallToolResult, Request, RequestParams, Result, TextContent

from ailf.async_tasks import TaskManager
from ailf.mcp import JournaledTasks

# The server


async def slow_report(topic: str, context: Context[Any, Any]) -> str:
    """Write a report, which takes a while."""
    chapters = ("sources", "figures", "summary", "index")
    for number, chapter in enumerate(chapters):
        await context.report_progress(number, len(chapters), f"writes the {chapter}")
        await asyncio.sleep(1)
    return f"A report on {topic} in {len(chapters)} chapters."


def report_server(journal: str) -> MCPServer[None]:
    """The server: nothing of the tool says that it is journaled."""
    manager = TaskManager(journal, retention=7 * 86400)

    @asynccontextmanager
    async def lifespan(_: MCPServer[None]) -> AsyncIterator[None]:
        async with manager:
            yield

    tasks = JournaledTasks(manager, tools={"slow_report"}, poll_interval=0.1)
    server = MCPServer("reports", lifespan=lifespan, extensions=[tasks], log_level="WARNING")
    server.add_tool(slow_report)
    return server


def serve(journal: str, port: int = 8000) -> None:
    """Serve over streamable HTTP."""
    with socket.create_server(("127.0.0.1", port)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
        config = uvicorn.Config(report_server(journal).streamable_http_app(), log_level="warning")
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


# The client


class Handle(Result):
    """What a call is answered with that became a task."""

    result_type: Literal["task"]
    task_id: str


class State(Result):
    """A task as it stands."""

    status: str
    poll_interval_ms: int = 1000
    result: dict[str, Any] | None = None


class TaskParams(RequestParams):
    """Which task."""

    task_id: str


class GetTask(Request[TaskParams, Literal["tasks/get"]]):
    """Ask how a task stands."""

    name_param: ClassVar[str | None] = "taskId"
    method: Literal["tasks/get"] = "tasks/get"


class Tasks(ClientExtension):
    """Tells the server that this client understands handles."""

    identifier = "io.modelcontextprotocol/tasks"

    def claims(self) -> Sequence[ResultClaim[Any]]:
        """The shape that a call may have beside its own."""
        return [ResultClaim(result_type="task", model=Handle, resolve=unused)]


async def unused(_handle: Handle, _context: ClaimContext) -> CallToolResult:
    """Resolve a handle within a call: this client keeps it instead, as it says at each call."""
    raise AssertionError("a handle was to be resolved within its call, which this client never asks for")


async def fetch(address: str, notes: Path) -> None:
    """Start the report, or go on with the one in the notes, until it is there."""
    async with Client(address, extensions=[Tasks()]) as client:
        if notes.exists():
            print("client   comes back, and finds the handle in its notes")
        else:
            handle = await client.session.call_tool("slow_report", {"topic": "ravens"}, allow_claimed=True)
            assert isinstance(handle, Handle)  # noqa: S101 - it declared that it understands them
            notes.write_text(handle.task_id)
            print("client   called the tool, and noted the handle", flush=True)
        request = GetTask(params=TaskParams(task_id=notes.read_text()))
        while (state := await client.session.send_request(request, State)).status == "working":  # noqa: ASYNC110
            # Its statusMessage says how far it is: "50 %: writes the summary".
            await asyncio.sleep(state.poll_interval_ms / 1000)
        [content] = CallToolResult.model_validate(state.result).content
        print(f"client   {state.status}: {content.text if isinstance(content, TextContent) else content}")


# The story


def story(folder: Path) -> None:
    """Kill the client while the tool runs, have it come back; kill the server, and have it come back once more."""
    journal, notes = folder / "reports.db", folder / "notes.txt"
    with begun("serve", journal, 0) as address:
        with begun("client", address, notes) as said:
            print(said)
        print("         the client is killed")
        run("client", address, notes)
    print("         the server is killed, and started again")
    with begun("serve", journal, 0) as address:
        run("client", address, notes)


@contextmanager
def begun(*arguments: object) -> Iterator[str]:
    """This program in a process of its own that is killed in the end; gives the first line that it prints."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  this program
        assert process.stdout is not None  # noqa: S101 - it was asked for
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def run(*arguments: object) -> None:
    """The same to its end."""
    sys.stdout.flush()
    subprocess.run(command(*arguments), check=True)  # noqa: S603  this program


def command(*arguments: object) -> list[str]:
    """How this program is started once more."""
    return [sys.executable, *(f"-W{option}" for option in sys.warnoptions), __file__, *map(str, arguments)]


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", journal, *port]:
            serve(journal, *map(int, port))
        case ["client", address, notes]:
            asyncio.run(fetch(address, Path(notes)))
        case _:
            with tempfile.TemporaryDirectory() as folder:
                story(Path(folder))
