"""The documentation: every program and command in it runs and prints what is shown, every picture and link is there."""

import ast
import re
from pathlib import Path

import pytest

from tests.pages import PAGES, TOP, Block, blocks, in_language, missing, run


def name_of(page: Path) -> str:
    """A page by its path in the project."""
    return str(page.relative_to(TOP))


@pytest.mark.parametrize("block", in_language("python"), ids=str)
def test_python_is_right(block: Block) -> None:
    """It compiles, excerpts with their awaits included, and what it imports is there."""
    tree = compile(block.text, str(block), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(tree, ast.Module)
    own = {other.said["file"].removesuffix(".py") for other in blocks(block.page) if "file" in other.said}
    imports: list[ast.stmt] = [
        node
        for node in tree.body
        if (isinstance(node, ast.ImportFrom) and node.module not in own) or isinstance(node, ast.Import)
    ]
    exec(compile(ast.Module(imports, []), str(block), "exec"), {})


def runnable(page: Path) -> bool:
    """Whether there is anything to run on a page."""
    return any(block.language in {"console", "sql", "run"} or block.is_program for block in blocks(page))


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=name_of)
def test_a_page_runs(page: Path, tmp_path: Path) -> None:
    """From top to bottom, in one shell: each command ends as is said, and prints the lines that are shown."""
    folder, scratch = tmp_path / "folder", tmp_path / "scratch"
    folder.mkdir()
    scratch.mkdir()
    for step, code, output in run(page, folder, scratch):
        about = f"{step.block}: {step.command}\n{output}"
        assert code == step.exit_code, about
        if step.shown.strip():
            assert output.strip() or "quiet" in step.block.said, about
            assert missing(step.shown, output) == [] or "quiet" in step.block.said, about


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pictures_and_links_lead_somewhere(page: Path) -> None:
    """Each picture, page or file of the project that a page names is there."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?:|mailto:|#", target):
            continue
        assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def test_language_models_are_told_of_every_page() -> None:
    """By its title, as the page has it."""
    told = (TOP / "docs" / "llms.txt").read_text()
    pages = [page for page in PAGES if page.parent != TOP and page.name != "index.md"]
    lines = [
        f"- [{page.read_text().partition(chr(10))[0].removeprefix('# ')}]({page.relative_to(TOP / 'docs')})"
        for page in pages
    ]
    assert [line for line in lines if line not in told.splitlines()] == []


def test_what_a_page_says_to_its_runner_is_understood() -> None:
    """A misspelt word in a comment would leave a block unrun."""
    known = {"file", "journal", "exit", "quiet", "skip"}
    for page in PAGES:
        for block in blocks(page):
            assert set(block.said) <= known, block


def test_the_reference_is_complete() -> None:
    """Every public name, table, view and exit code is on its page."""
    from ailf import async_tasks
    from ailf.async_tasks.journal.form.schema import metadata
    from ailf.async_tasks.journal.form.views import VIEWS
    from ailf.cli import codes

    reference = TOP / "docs" / "reference"
    api = (reference / "api.md").read_text()
    assert [name for name in async_tasks.__all__ if f"ailf.async_tasks.{name}" not in api] == []
    journal = (reference / "journal.md").read_text()
    assert [name for name in metadata.tables if f"```{{journal-table}} {name}\n" not in journal] == []
    assert [name for name in VIEWS if f"```{{journal-view}} {name}\n" not in journal] == []
    command = (reference / "command.md").read_text()
    assert [code for name, code in vars(codes).items() if name.isupper() and f"| {code} |" not in command] == []
