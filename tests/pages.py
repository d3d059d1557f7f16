"""The pages of the documentation: the blocks in them, and running all of a page in one shell, from top to bottom.

What a page may say to whoever runs it, in comments that no reader sees:

- ``<!-- file: night.py -->``: the block below is a file of this name, and is there before anything runs.
- ``<!-- run: python night.py -->``: run this as well.
- ``<!-- journal: night.db -->``: the journal that the SQL below is about; ``ailf_tasks.db`` until then.
- ``<!-- exit: 1 -->``: the last command of the block below ends with this exit code.
- ``<!-- quiet -->``: the commands of the block below may print nothing.
- ``<!-- skip: why -->``: the block below is not run; ``sh`` and ``text`` never are.
"""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).parents[1]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
PAGE_SECONDS = 240

_PART = re.compile(
    r"^<!-- (?P<key>\w+)(?:: (?P<value>.*?))? -->$|^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_BLANKS = re.compile(r"[\s─━═╌^~]+")
_BOXES = str.maketrans("╭╮╰╯╞╪╡", "┌┐└┘├┼┤")
"""SQLite's shell draws round corners from 3.52 on; and each Python underlines other parts of a traceback."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block, or a command that no reader sees."""

    page: Path
    line: int
    language: str
    text: str
    said: dict[str, str] = field(default_factory=dict)
    """What the comments right above it say."""

    def __str__(self) -> str:
        """Where it is."""
        return f"{self.page.relative_to(TOP)}:{self.line}"

    @property
    def is_program(self) -> bool:
        """Whether it is a whole Python program, and not an excerpt of one."""
        return self.language == "python" and "asyncio.run(" in self.text and "file" not in self.said


def blocks(page: Path) -> list[Block]:
    """Every block of a page, in order."""
    text = page.read_text()
    found = []
    said: dict[str, str] = {}
    for part in _PART.finditer(text):
        line = text.count("\n", 0, part.start()) + 1
        match part["key"]:
            case None:
                found.append(Block(page, line, part["language"], part["text"], said))
                said = {}
            case "run":
                found.append(Block(page, line, "run", part["value"]))
            case key:
                said[key] = part["value"] or ""
    return found


def in_language(*languages: str) -> list[Block]:
    """Every block in these languages, of every page."""
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


@dataclass(frozen=True, slots=True)
class Step:
    """One command of a page."""

    block: Block
    command: str
    shown: str = ""
    """What the page shows that it prints."""
    exit_code: int = 0


def steps(page: Path, scratch: Path) -> Iterator[Step]:
    """What is to be run of a page, in order; what it needs is written into a folder beside."""
    journal = "ailf_tasks.db"
    for number, block in enumerate(blocks(page)):
        journal = block.said.get("journal", journal)
        if "skip" in block.said:
            continue
        if block.language == "run":
            yield Step(block, block.text)
        elif block.is_program:
            program = scratch / f"program_{number}.py"
            program.write_text(block.text)
            yield Step(block, f"python -W error {shlex.quote(str(program))}")
        elif block.language == "sql":
            query = scratch / f"query_{number}.sql"
            query.write_text(block.text)
            yield Step(block, f"sqlite3 -box {journal} < {shlex.quote(str(query))}")
        elif block.language == "console":
            said = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
            for place, part in enumerate(said, start=1):
                command, _, shown = part.partition("\n")
                code = int(block.said.get("exit", 0)) if place == len(said) else 0
                yield Step(block, command, shown, code)


def run(page: Path, folder: Path, scratch: Path) -> Iterator[tuple[Step, int, str]]:
    """Run a page in a folder: each command with its exit code, and what it printed."""
    for block in blocks(page):
        if "file" in block.said:
            (folder / block.said["file"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.said["file"]).write_text(block.text)
    todo = list(steps(page, scratch))
    script = ["set -u", f"scratch={shlex.quote(str(scratch))}"]
    for number, step in enumerate(todo):
        script.append(f"{{\n{step.command}\n}} > $scratch/{number}.out 2>&1\necho $? > $scratch/{number}.code")
    environment = {name: value for name, value in os.environ.items() if name not in {"AILF_JOURNAL", "COLUMNS"}}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    shell = subprocess.Popen(
        ["bash", "-c", "\n".join(script)], cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        shell.wait(PAGE_SECONDS)
    finally:
        # Whatever the page has left running, its own or after a time-out.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
    for number, step in enumerate(todo):
        code = scratch / f"{number}.code"
        output = (scratch / f"{number}.out").read_text() if code.exists() else "it was never reached"
        yield step, int(code.read_text()) if code.exists() else -1, output


def missing(shown: str, printed: str) -> list[str]:
    """The lines that a page shows and a command did not print; those with digits are others at each run."""
    there = {_BLANKS.sub(" ", line).strip() for line in printed.translate(_BOXES).splitlines()} | {""}
    wanted = [_BLANKS.sub(" ", line).strip() for line in shown.translate(_BOXES).splitlines()]
    return [line for line in wanted if not re.search(r"\d|…|\.\.\.", line) and line not in there]
