"""For agents: a journal as an MCP server (``ailf mcp``), and MCP tools that run as journaled tasks.

Needs the extra ``mcp``: ``pip install "ailf[mcp]"``.

::

    from ailf.mcp import JournaledTasks

    server = MCPServer("reports", lifespan=lifespan, extensions=[JournaledTasks(manager, tools={"slow_tool"})])
"""

from ailf.errors import MissingExtraError

try:
    import mcp as _mcp  # noqa: F401  asked for here to say what is missing
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        f'ailf.mcp needs the package {missing.name}: install it with pip install "ailf[mcp]".', name=missing.name
    ) from missing

from ailf.mcp.journaled import JournaledTasks

__all__ = ["JournaledTasks"]
