"""A server with journaled tools, for processes of its own: over stdio, or over streamable HTTP at a free port."""

import asyncio
import math
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from mcp import MCPError
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import AnyHttpUrl

from ailf.async_tasks import TaskManager, current_task
from ailf.mcp import JournaledTasks

LOOK_SECONDS = 0.01


async def slow(gate: str, context: Context[Any, Any]) -> str:
    """Say that it is half done, and wait for a file to be there."""
    await context.report_progress(1, 2, "half of it")
    while not Path(gate).exists():
        await asyncio.sleep(LOOK_SECONDS)
    return "done"


def in_thread(gate: str) -> str:
    """Report from a thread."""
    current_task().update_progress(50, gate)
    return gate


async def add(a: int, b: int) -> dict[str, int]:
    """A structured result."""
    return {"sum": a + b}


async def crashes() -> str:
    """Raise what no client is to see."""
    raise LookupError("the password is hunter2")


async def refuses() -> str:
    """Raise what the client is to see."""
    raise ToolError("no such city: Atlantis")


async def protocol() -> str:
    """Raise an error of the protocol."""
    raise MCPError(-32050, "I am a teapot", {"handle": "short"})


async def big(megabytes: int) -> str:
    """A long result."""
    return "r" * (megabytes * 1_000_000)


async def odd() -> dict[str, float]:
    """What JSON does not hold."""
    return {"odd": math.nan}


class Tokens:
    """Two people with one application, and another application of the first."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Who has a token."""
        people = {"alice": ("app", "alice"), "bob": ("app", "bob"), "elsewhere": ("other", "alice")}
        if token not in people:
            return None
        client_id, subject = people[token]
        return AccessToken(token=token, client_id=client_id, scopes=[], subject=subject)


def tool_server(manager: TaskManager, *, auth: bool) -> MCPServer[None]:
    """The server."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[None]) -> AsyncIterator[None]:
        async with manager:
            yield

    tools = (slow, in_thread, add, crashes, refuses, protocol, big, odd)
    address = AnyHttpUrl("http://127.0.0.1:9")
    settings = AuthSettings(issuer_url=address, resource_server_url=address, validate_token_resource=False)
    server = MCPServer(
        "tools",
        lifespan=lifespan,
        log_level="WARNING",
        extensions=[JournaledTasks(manager, {tool.__name__ for tool in tools}, poll_interval=timedelta(seconds=0.02))],
        token_verifier=Tokens() if auth else None,
        auth=settings if auth else None,
    )
    for tool in tools:
        server.add_tool(tool)
    server.add_tool(add, name="ordinary")
    return server


def main(journal: str, transport: str, auth: str = "", timeout: str = "") -> None:
    """Serve."""
    manager = TaskManager(journal, retention={"completed": 3600, "failed": 60}, task_timeout=float(timeout or 600))
    server = tool_server(manager, auth=bool(auth))
    if transport == "stdio":
        server.run("stdio")
        return
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)  # noqa: T201 - the test reads it
        config = uvicorn.Config(server.streamable_http_app(), log_level="warning")
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main(*sys.argv[1:])
