"""The examples, as their first lines say to run them."""

import gc
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.campaigns.outage import agent_module
from tests.conftest import until
from tests.redis_server import PrivateServer

TOP = Path(__file__).parents[1]
EXAMPLES = TOP / "examples"


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A server of the test's own."""
    with PrivateServer() as server:
        yield server.url


def run(tmp_path: Path, *arguments: str) -> str:
    """Run an example in a folder of its own; warnings are errors."""
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / arguments[0]), *arguments[1:]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    # What an example makes, it makes in a temporary folder.
    assert list(tmp_path.iterdir()) == []
    return ended.stdout


def test_the_agent_answers_and_its_journal_tells(tmp_path: Path) -> None:
    """Three results, one failure, nothing for a message that was no request."""
    output = run(tmp_path, "agent.py", "--embedded")
    assert output.count("result ") == 3
    journal = output.partition("What the journal says:")[2]
    assert journal.count("completed") - journal.count('"completed"') == 3
    assert "failed     IndexError" in journal
    assert "running" not in journal


def documented(command: str) -> str:
    """What the documentation says that a command prints."""
    pages = [TOP / "README.md", *(TOP / "docs").rglob("*.md")]
    [found] = [
        block[1]
        for page in pages
        for block in re.finditer(rf"^\$ {re.escape(command)}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    return str(found)


def without_chance(text: str) -> str:
    """The text without what is another at each run, or on each machine."""
    return re.sub(r"/\S+/examples", "EXAMPLES", re.sub(r" +\d+\.\d\d s ", " TIME ", text))


async def test_the_agent_leaves_no_coroutine_behind_for_what_is_no_request(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lists, numbers, texts and objects without an id are named in the log, and the next request is served."""
    agent = agent_module()
    redis, pubsub, manager = await agent.setup_agent(redis_url, tmp_path / "journal.db")
    try:
        for wrong in ("[]", "7", '"text"', "null", "{}", "{", '{"text": "no id"}', '[["id"]]'):
            await pubsub.publish(agent.REQUESTS, wrong)
        await pubsub.publish(agent.REQUESTS, {"id": 1, "text": "a b a"})
        await until(lambda: manager.list_tasks("completed"))
        assert caplog.text.count("Not a request") == 8
        gc.collect()
    finally:
        await agent.tear_down(redis, pubsub, manager)


@pytest.mark.parametrize("arguments", [(), ("--redis",)])
def test_the_documents_are_processed(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """By a worker over a folder, and over Redis."""
    output = run(tmp_path, "documents.py", *arguments)
    for title in ("On keeping a journal", "Queues, in one page", "The Raven and the Pitcher"):
        assert title in output
    journal = output.partition("What the journal says:")[2]
    assert journal.count("completed ") == 3
    assert "ailf.errors.DocumentNotFoundError: No document 'doc4'" in journal
    assert without_chance(output) == without_chance(documented("python examples/documents.py"))


def test_the_research_tells_of_each_source(tmp_path: Path) -> None:
    """Nine read, one after two tries, one failed; each line is what the source's own task said last."""
    output = run(tmp_path, "research.py")
    assert output.startswith("192 words from 9 sources\n")
    assert output.count(" completed ") == 9
    assert "read 4    completed 6 lines, the last: read" in output
    assert "read 7    failed    1 lines, the last: HTTP Request: GET https://library.example/7" in output


def test_the_page_shows_the_example_as_it_is() -> None:
    """What a reader copies from the page is what the test above runs."""
    page = (EXAMPLES.parent / "docs" / "howto" / "families.md").read_text()
    assert f"```python\n{(EXAMPLES / 'research.py').read_text()}```" in page


def test_the_client_of_a_journaled_tool_comes_back_for_its_result(tmp_path: Path) -> None:
    """After it was killed while the tool ran, and after the server was killed as well."""
    output = run(tmp_path, "mcp_server.py")
    assert output == documented("python examples/mcp_server.py")
    assert output.count("client   completed: A report on ravens") == 2
