"""The MCP server on a journal: tools, the schema as a resource, a prompt to begin with."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from inspect import getdoc
from typing import Annotated, Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import Field

from ailf import __version__
from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.source import Source
from ailf.async_tasks.texts import line
from ailf.errors import AilfError
from ailf.mcp.shapes import NOTE
from ailf.mcp.tools import Tools
from ailf.mcp.waits import Waits

SCHEMA_ADDRESS = "ailf://schema"


def journal_server(source: Source, *, actions: bool = False) -> MCPServer[None]:
    """An MCP server on a journal, which need not be there yet.

    Args:
        source: the journal.
        actions: whether tasks may be cancelled; without, the journal is only read.
    """
    tools, waits = Tools(source), Waits(source)
    reading: list[Callable[..., Any]] = [
        tools.find_tasks,
        tools.get_task,
        tools.failures,
        tools.stats,
        tools.tail,
        waits.wait_for_task,
    ]
    chosen = [_tool(function, ToolAnnotations(read_only_hint=True, open_world_hint=False)) for function in reading]
    if actions:
        changing = ToolAnnotations(
            read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
        )
        chosen.append(_tool(waits.cancel_task, changing))

    @asynccontextmanager
    async def closing(_: MCPServer[None]) -> AsyncIterator[None]:
        try:
            yield
        finally:
            source.close()

    server = MCPServer(
        "ailf",
        title="ailf: the journal of an application's tasks",
        version=__version__,
        instructions=_instructions(source, actions=actions),
        tools=chosen,
        lifespan=closing,
        log_level="WARNING",
    )
    server.resource(
        SCHEMA_ADDRESS,
        name="schema",
        title="The tables and views of the journal",
        description="The DDL of the journal with a comment on each column, for queries with the sqlite3 shell.",
        mime_type="application/sql",
    )(_schema_of(source))
    server.prompt(
        name="what_went_wrong",
        title="What went wrong last night?",
        description="Find out which tasks failed, and why.",
    )(what_went_wrong)
    return server


def _tool(function: Callable[..., Any], annotations: ToolAnnotations) -> Tool:
    """A tool that refuses arguments which it does not know: a filter that is spelled wrong would find everything."""
    tool = Tool.from_function(function, description=getdoc(function), annotations=annotations)
    arguments = tool.fn_metadata.arg_model
    arguments.model_config["extra"] = "forbid"
    arguments.model_rebuild(force=True)
    tool.parameters = arguments.model_json_schema(by_alias=True)
    return tool


def _instructions(source: Source, *, actions: bool) -> str:
    may = "Tasks can be cancelled with cancel_task." if actions else "It is only read: nothing can be changed."
    return (
        f"The journal {line(str(source.path), 1_000)}: what became of the asyncio tasks of an application, "
        f"each with its states, progress, result or error, events and log. {may} "
        "Begin with failures or find_tasks; get_task has the traceback and the log of one task. "
        f"Times are UTC. {NOTE}"
    )


def _schema_of(source: Source) -> Callable[[], str]:
    def schema() -> str:
        try:
            return reports.schema(source.reader())
        except AilfError as error:
            raise ResourceError(str(error)) from error

    return schema


def what_went_wrong(
    since: Annotated[str, Field(description="Since when: 24h, 7d, yesterday, 2026-11-24T03:00.")] = "yesterday",
) -> str:
    """What to do to find out."""
    return (
        f"Find out what went wrong in the journal. Call failures with since={line(since, 60)!r} "
        "for the groups; for each of the largest, call get_task with its last_task_id and read the traceback and the "
        "log. Then call stats for processes that are dead with unfinished tasks, and find_tasks with status=running "
        "for tasks that have been running for far longer than others of their name. Report each problem with its "
        "likely cause, how many tasks it cost and since when, the id of an example, and what to do about it. "
        f"{NOTE}"
    )
