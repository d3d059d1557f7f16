"""The README's examples: every program in it runs, every query and command in it answers, on journals that it makes."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

TOP = Path(__file__).parents[1]
PAGES = sorted(TOP.glob("README*.md"))
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOOKS_LIVE = "from active_tasks"
"""A query about what runs now finds nothing here: nothing does."""


@dataclass(frozen=True)
class Example:
    """A block of code of one page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"


def examples(language: str) -> list[Example]:
    """Every block in a language, of every page."""
    return [
        Example(page.name, text.count("\n", 0, block.start()) + 2, language, block[2])
        for page in PAGES
        for text in (page.read_text(),)
        for block in FENCE.finditer(text)
        if block[1] == language
    ]


def is_program(example: Example) -> bool:
    """Whether it is a whole program, and not an excerpt of one."""
    return "asyncio.run(" in example.text


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run something in a folder, with no journal but those that are in it."""
    environment = {name: value for name, value in os.environ.items() if name != "AILF_JOURNAL"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the examples are about: the demo's journal, and those of the programs."""
    folder = tmp_path_factory.mktemp("readme")
    demo = run(sys.executable, "-m", "ailf", "demo", TOP / "ailf", cwd=folder)
    assert demo.returncode == 0, demo.stderr
    for example in filter(is_program, examples("python")):
        done = run(sys.executable, "-W", "error", "-c", example.text, cwd=folder)
        assert done.returncode == 0, f"{example}\n{done.stderr}"
    return folder


@pytest.mark.parametrize("example", examples("python"), ids=str)
def test_python_is_right(example: Example) -> None:
    """It compiles, excerpts with their awaits included, and what it imports is there."""
    tree = compile(example.text, str(example), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(tree, ast.Module)
    imports: list[ast.stmt] = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(imports, []), str(example), "exec"), {})


def queries() -> list[tuple[str, str]]:
    """Every command line about a journal, and where it is."""
    return [
        (str(example), line[2:])
        for example in examples("console")
        for line in example.text.splitlines()
        if line.startswith(("$ sqlite3 ", "$ ailf "))
    ]


@pytest.mark.parametrize(("where", "command"), [pytest.param(*query, id=query[0]) for query in queries()])
def test_queries_and_commands_answer(folder: Path, where: str, command: str) -> None:
    """Each gives rows, and no complaint but that there are more."""
    done = run("bash", "-c", command, cwd=folder)
    assert done.returncode in {0, 1} if command.startswith("ailf journal doctor") else done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if not line.startswith("There are more")]
    assert done.stdout or LOOKS_LIVE in command, where


def applications() -> list[Example]:
    """The examples that make an application."""
    return [example for example in examples("python") if re.search(r"^app = Starlette\(", example.text, re.MULTILINE)]


@pytest.mark.parametrize("example", applications(), ids=str)
async def test_the_application_runs(example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lifespan starts and stops the manager; a request submits a task, and another one sees its result."""
    import httpx

    from ailf.async_tasks import TaskManager

    monkeypatch.setenv("AILF_JOURNAL", str(tmp_path / "app.db"))
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(example.text, str(example), "exec"), namespace)
    app = namespace["app"]
    assert isinstance(app, Starlette)
    async with app.router.lifespan_context(app) as state:
        assert state is not None
        manager = state["tasks"]
        assert isinstance(manager, TaskManager)

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            # As a server does with what the lifespan yields.
            await app(scope | {"state": dict(state)}, receive, send)

        transport = httpx.ASGITransport(app=with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            accepted = await client.post("/reports")
            assert accepted.status_code == 202
            task_id = accepted.json()["id"]
            assert await manager.result(task_id) == {"year": 2026}
            seen = (await client.get(f"/reports/{task_id}")).json()
            assert seen == {"status": "completed", "progress": 0, "result": {"year": 2026}}
            assert (await client.get("/reports/unknown")).status_code == 404


def test_the_pages_pictures_are_there() -> None:
    """Each picture that a page shows is a file of the project."""
    for page in PAGES:
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text()):
            assert (TOP / target).is_file(), f"{page.name}: {target}"
