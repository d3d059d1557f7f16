"""The demo: its numbers add up, it leaves nothing beside the journal, and what it says to try next works."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]


@pytest.mark.parametrize("option", [(), ("--journal", "my tasks.db")])
def test_the_demo_adds_up_and_leads_on(tmp_path: Path, option: tuple[str, ...]) -> None:
    """Run twice, the second run counts the first one's tasks apart; each of its last three lines can be pasted."""
    environment = {name: value for name, value in os.environ.items() if name != "AILF_JOURNAL"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])

    def run(*command: str) -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), command
        return done.stdout

    demo = [sys.executable, "-m", "ailf", "demo", str(TOP / "ailf" / "messaging"), *option]
    for earlier in (False, True):
        said = run(*demo)
        [files] = map(int, re.findall(r"^(\d+) files of", said))
        ours, theirs = (
            [int(number) for number in re.findall(r"\d+", line.replace("(pid", "").partition("SIGKILL")[0])]
            for line in re.findall(r"^(\d+ tasks of .*)$", said, re.MULTILINE)
        )
        assert f"{files + 3}/{files + 3}" in said
        assert ours == [files + 3, files, 2, 1]
        assert theirs[0] == 7
        assert "SIGKILL: 3 completed, 4 failed" in said
        assert f"\n{files + 10} tasks in all" in said
        assert (f"beside {files + 10} of earlier runs" in said) is earlier
    name = option[1] if option else "ailf_tasks.db"
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.owners"]
    tries = said.partition("Try next:\n")[2].splitlines()
    assert len(tries) == 3
    for line in tries:
        assert run("bash", "-c", line).strip()
