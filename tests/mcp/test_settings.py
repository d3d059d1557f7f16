"""``JournaledTasks`` says what is wrong with what it is given."""

from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.server.mcpserver import MCPServer
from mcp_types import INTERNAL_ERROR

from ailf.async_tasks import TaskManager
from ailf.errors import InvalidArgumentError, InvalidTypeError
from ailf.mcp import JournaledTasks
from tests.mcp.tasks_client import Tasks
from tests.mcp.tool_server import add


@pytest.mark.parametrize("wrong", ["slow_tool", 7, None, [1], {"a", 2}])
def test_tools_are_names(wrong: Any) -> None:
    """A text alone is a mistake: it would be as many tools as it has letters."""
    with pytest.raises(InvalidTypeError, match="slow_tool"):
        JournaledTasks(TaskManager(":memory:"), tools=wrong)


def test_other_arguments_are_checked_as_well() -> None:
    """No tools, no manager, no time."""
    with pytest.raises(InvalidArgumentError, match="tools"):
        JournaledTasks(TaskManager(":memory:"), tools=())
    with pytest.raises(InvalidTypeError, match="TaskManager"):
        JournaledTasks("tasks.db", tools={"a"})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="poll_interval"):
        JournaledTasks(TaskManager(":memory:"), tools={"a"}, poll_interval=0)


async def test_a_manager_that_nobody_started_is_told_of() -> None:
    """To the client, as an error of the server's; whoever does not know of tasks gets the answer all the same."""
    server = MCPServer("forgetful", extensions=[JournaledTasks(TaskManager(":memory:"), tools={"add"})])
    server.add_tool(add)
    async with Client(server, extensions=[Tasks()]) as client:
        with pytest.raises(MCPError, match="start") as refused:
            await client.call_tool("add", {"a": 1, "b": 2})
        assert refused.value.code == INTERNAL_ERROR
    async with Client(server) as client:
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"sum": 3}
