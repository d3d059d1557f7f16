"""``ailf mcp``, in a process of its own."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mcp import MCPError
from mcp_types import TextContent, TextResourceContents

from ailf.async_tasks import TaskManager
from tests.async_tasks.journal.support import attempt, snapshot
from tests.conftest import PATIENCE_SECONDS
from tests.mcp.conftest import answer, asking, complaint
from tests.mcp.tasks_client import first_line


async def test_a_journal_that_is_not_there_yet(journal: Path) -> None:
    """Each tool says so, nothing is made, and once it is there it is read: no agent has to be started again."""
    async with asking(journal) as client:
        assert f"There is no journal {journal}" in await complaint(client, "find_tasks")
        assert f"There is no journal {journal}" in await complaint(client, "stats")
        with pytest.raises(MCPError, match="There is no journal"):
            await client.read_resource("ailf://schema")
        assert list(journal.parent.iterdir()) == []
        async with TaskManager(journal):
            assert (await answer(client, "find_tasks"))["tasks"] == []


async def test_what_is_no_journal_is_left_alone(journal: Path) -> None:
    """And said to be none."""
    journal.write_text("a letter")
    async with asking(journal, "--actions") as client:
        assert "a letter" not in (said := await complaint(client, "stats"))
        assert str(journal) in said
    assert journal.read_text() == "a letter"


async def test_it_leaves_the_journal_as_it_was(full: Path) -> None:
    """Byte for byte, with nothing beside it."""
    before = snapshot(full.parent)
    async with asking(full) as client:
        await answer(client, "failures")
        await answer(client, "get_task", task_id="big")
    assert snapshot(full.parent) == before


async def test_the_schema_is_there_to_write_queries_with(full: Path) -> None:
    """The DDL of the tables and views, as another SQLite takes it."""
    async with asking(full) as client:
        [resource] = (await client.list_resources()).resources
        [content] = (await client.read_resource(str(resource.uri))).contents
    assert isinstance(content, TextResourceContents)
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(content.text)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert {"tasks", "task_events", "task_logs", "owners", "failed_tasks", "task_history"} <= tables
    assert "-- " in content.text


async def test_a_prompt_to_begin_with(full: Path) -> None:
    """What went wrong last night? It names the tools, and since when."""
    async with asking(full) as client:
        [prompt] = (await client.list_prompts()).prompts
        assert prompt.title == "What went wrong last night?"
        [message] = (await client.get_prompt(prompt.name, {"since": "7d"})).messages
        tools = [tool.name for tool in (await client.list_tools()).tools]
        descriptions = [tool.description or "" for tool in (await client.list_tools()).tools]
    assert all(text and "  " not in text and "\n " not in text for text in descriptions)
    assert isinstance(message.content, TextContent)
    assert "'7d'" in message.content.text
    assert {"failures", "get_task", "stats", "find_tasks"} <= {name for name in tools if name in message.content.text}


def test_it_ends_with_whoever_started_it(full: Path) -> None:
    """At the end of its input with code 0 and without a word."""
    command = [sys.executable, "-W", "error", "-m", "ailf", "mcp", "--journal", str(full)]
    patience = 4 * PATIENCE_SECONDS
    ended = subprocess.run(command, input="", capture_output=True, text=True, timeout=patience, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_it_is_told_to(full: Path, number: int) -> None:
    """With its input still open, and nothing left beside the journal that it had open."""
    before = snapshot(full.parent)
    command = [sys.executable, "-W", "error", "-m", "ailf", "mcp", "--journal", str(full)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as server:
        try:
            assert server.stdin is not None
            assert server.stderr is not None
            for message in ASKED:
                server.stdin.write(f"{message}\n")
                server.stdin.flush()
                assert first_line(server)
            server.send_signal(number)
            assert server.wait(timeout=4 * PATIENCE_SECONDS) == 128 + number
            assert server.stderr.read() == ""
        finally:
            server.kill()
    assert snapshot(full.parent) == before


ASKED = (
    (
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
        '"clientInfo":{"name":"test","version":"1"}}}'
    ),
    '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"failures","arguments":{}}}',
)
"""What a client of an older version of the protocol sends."""


def test_without_its_libraries(tmp_path: Path) -> None:
    """What to install is said."""
    (tmp_path / "mcp.py").write_text("raise ModuleNotFoundError('no', name='mcp')")
    ended = attempt(sys.executable, "-m", "ailf", "mcp", PYTHONPATH=os.pathsep.join([str(tmp_path)]))
    assert ended.returncode == 3
    assert 'pip install "ailf[mcp]"' in ended.stderr
