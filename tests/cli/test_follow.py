"""The command in processes of its own: on a terminal, in a pipe, beside a program that runs tasks."""

import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.async_tasks.journal.support import RUNNING, insert
from tests.conftest import PATIENCE_SECONDS

PROGRAM = """
import asyncio, sys
from ailf.async_tasks import TaskManager, current_task

async def climb():
    for step in range(1, 100):
        current_task().update_progress(step, f"step {step} \\x1b[31m")
        await asyncio.sleep(0.2)
    await asyncio.Event().wait()

async def main():
    async with TaskManager(sys.argv[1]) as manager:
        await manager.result(await manager.submit(asyncio.sleep(0, {"answer": 42}), task_id="quick", name="quick"))
        await manager.submit(climb(), task_id="climber", name="climber")
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)

asyncio.run(main())
"""
AILF = (sys.executable, "-W", "error", "-m", "ailf")

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def program(journal: Path) -> Iterator["subprocess.Popen[str]"]:
    """A program that runs a task; a line on its standard input ends it."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(journal)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def environment(journal: Path, **more: str) -> dict[str, str]:
    """What the command finds around it."""
    plain = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    return plain | {"AILF_JOURNAL": str(journal), "TERM": "xterm-256color"} | more


def run(journal: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a pipe, to its end."""
    return subprocess.run(
        [*AILF, *arguments],
        env=environment(journal),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, journal: Path, *arguments: str, **more: str) -> None:
        self.output = ""
        self._main, side = pty.openpty()
        self.process = subprocess.Popen(
            [*AILF, *arguments],
            *(-1, None, side, side, side),
            env=environment(journal, COLUMNS="120", LINES="40", **more),
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - this process runs no threads then
        )
        os.close(side)

    def read_until(self, *wanted: str) -> None:
        """Read what is shown until all of these texts were."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(text in self.output for text in wanted):
            assert time.monotonic() < deadline, self.output[-3000:]
            if not self._read(deadline - time.monotonic()):
                raise AssertionError(f"it ended: {self.output[-3000:]}")

    def _read(self, timeout: float) -> bool:
        if not select.select([self._main], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self._main, 65536)
        except OSError:
            return False
        self.output += data.decode(errors="replace")
        return bool(data)

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._main, keys.encode())

    def end(self) -> int:
        """Read to the end: the exit code."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._read(max(0.0, deadline - time.monotonic())):
            assert time.monotonic() < deadline, self.output[-3000:]
        code = self.process.wait(PATIENCE_SECONDS)
        os.close(self._main)
        return code

    def kill(self) -> None:
        """End it, however."""
        self.process.kill()
        self.process.wait()
        with suppress(OSError):
            os.close(self._main)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A suite that runs in the background ignores Ctrl-C, and what it starts would as well.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def terminal(journal: Path) -> Iterator[Callable[..., Terminal]]:
    """Run the command on a terminal."""
    opened: list[Terminal] = []

    def start(*arguments: str, **more: str) -> Terminal:
        opened.append(Terminal(journal, *arguments, **more))
        return opened[-1]

    yield start
    for one in opened:
        one.kill()


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_watch_follows_a_program_and_leaves_a_clean_terminal(
    program: "subprocess.Popen[str]", terminal: Callable[..., Terminal], how: str
) -> None:
    """Its task is seen to go on, with a bar and the time that is left; then screen and cursor are as before."""
    watch = terminal("tasks", "watch")
    watch.read_until("climber", "━", "left", "quick", '{"answer": 42}', "\\x1b[31m")
    seen = max(map(int, re.findall(r"step (\d+)", watch.output)))
    watch.read_until(f"step {seen + 2}")
    if how == "Ctrl-C":
        watch.press("\x03")
    else:
        watch.process.send_signal(signal.SIGTERM)
    assert watch.end() == 130
    shown, _, after = watch.output.rpartition("\x1b[?1049l")
    assert "\x1b[?1049h" in shown
    assert "\x1b[?25h" in watch.output[watch.output.rindex("\x1b[?25l") :]
    assert "Traceback" not in after


def test_cancel_stops_a_program_s_task(program: "subprocess.Popen[str]", journal: Path) -> None:
    """From outside, while the program runs on; a second time there is nothing to cancel."""
    found = run(journal, "tasks", "cancel", "clim")
    assert (found.returncode, found.stdout, found.stderr) == (0, "cancelled\n", "")
    shown = json.loads(run(journal, "tasks", "show", "climber", "--json").stdout)
    assert (shown["status"], shown["reason"], shown["owner"]["life"]) == ("cancelled", "cancelled", "alive")
    assert shown["cancel_requested_at"] is not None
    again = run(journal, "tasks", "cancel", "climber")
    assert (again.returncode, "ended already: it is cancelled" in again.stderr) == (1, True)
    assert program.poll() is None


def test_wait_tells_how_a_task_ended(program: "subprocess.Popen[str]", journal: Path) -> None:
    """The result and 0, or why there is none and 1; a time-out, and a process that dies meanwhile, end the wait."""
    quick = run(journal, "tasks", "wait", "quick")
    assert (quick.returncode, json.loads(quick.stdout)) == (0, {"answer": 42})
    late = run(journal, "tasks", "wait", "climber", "--timeout", "100ms")
    assert (late.returncode, "is running after 0.1 seconds" in late.stderr) == (1, True)
    waiting = subprocess.Popen([*AILF, "tasks", "wait", "climber"], env=environment(journal), stderr=-1, text=True)
    program.kill()
    program.wait()
    _, errors = waiting.communicate(timeout=PATIENCE_SECONDS)
    assert (waiting.returncode, "run `ailf journal recover`" in errors) == (1, True)
    dead = run(journal, "tasks", "cancel", "climber")
    assert (dead.returncode, "run `ailf journal recover`" in dead.stderr) == (1, True)
    assert run(journal, "journal", "recover").stdout == "1 task marked as failed.\n"
    failed = run(journal, "tasks", "wait", "climber", "--json")
    assert (failed.returncode, json.loads(failed.stdout)["reason"]) == (1, "process_died")


def test_tail_follows_a_task_to_its_end(program: "subprocess.Popen[str]", journal: Path) -> None:
    """Events come while they happen; behind the task's last one the command ends."""
    process = subprocess.Popen(
        [*AILF, "tasks", "tail", "climber", "--json", "-n", "1000"], env=environment(journal), stdout=-1, text=True
    )
    assert process.stdout is not None
    first = [json.loads(process.stdout.readline()) for _ in range(10)]
    assert [event["kind"] for event in first[:3]] == ["submitted", "started", "progress"]
    assert run(journal, "tasks", "cancel", "climber").returncode == 0
    rest, _ = process.communicate(timeout=PATIENCE_SECONDS)
    events = first + [json.loads(line) for line in rest.splitlines()]
    assert process.returncode == 0
    assert events[-1]["kind"] == "cancelled"
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    last = run(journal, "tasks", "tail", "--no-follow", "-n", "2").stdout.splitlines()
    assert len(last) == 2
    assert "cancelled" in last[-1]


def test_watch_in_a_pipe_gives_an_object_a_line(program: "subprocess.Popen[str]", journal: Path) -> None:
    """With the documented keys, each time that something was written; a reader that goes away is no error."""
    process = subprocess.Popen(
        [*AILF, "tasks", "watch", "--json"], env=environment(journal), stdout=-1, stderr=-1, text=True
    )
    assert process.stdout is not None
    first, second = (json.loads(process.stdout.readline()) for _ in range(2))
    process.stdout.close()
    assert process.wait(PATIENCE_SECONDS) == 0
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == ""
    assert first.keys() == {"at", "counts", "rates", "running", "latest"}
    assert first["running"][0]["progress"] < second["running"][0]["progress"]


@pytest.mark.parametrize("verb", ["list --all", "export --format json"])
def test_a_closed_pipe_is_no_error(full: Path, verb: str) -> None:
    """``| head`` takes what it wants, and nothing is said about the rest."""
    process = subprocess.Popen([*AILF, "tasks", *verb.split()], env=environment(full), stdout=-1, stderr=-1)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (0, b"")


def test_the_list_in_json_is_json(full: Path) -> None:
    """To the program that is always there."""
    script = '"$0" -m ailf tasks list --json | "$0" -m json.tool'
    found = subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, sys.executable], env=environment(full), capture_output=True, check=True
    )
    assert len(json.loads(found.stdout)) == 5


@pytest.mark.parametrize("verb", ["list", "show aa-failed", "timeline", "watch --once"])
def test_a_terminal_gets_colours_unless_told_otherwise(
    full: Path, terminal: Callable[..., Terminal], verb: str
) -> None:
    """``NO_COLOR`` takes them away; in neither case does a name or message work the terminal."""
    coloured = terminal("tasks", *verb.split())
    assert coloured.end() == 0
    plain = terminal("tasks", *verb.split(), NO_COLOR="1")
    assert plain.end() == 0
    assert "\x1b[3" in coloured.output
    assert not [code for code in ("\x1b[31", "\x1b[32", "\x1b[36") if code in plain.output]
    for output in (coloured.output, plain.output):
        for harm in ("\x1b]0", "\x1b[2J", "\x9b", "\x07"):
            assert harm not in output


def completed(journal: Path, words: str) -> list[str]:
    """What zsh is offered after these words."""
    found = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv[0] = 'ailf'; from ailf.__main__ import main; main()"],
        env=environment(
            journal, _AILF_COMPLETE="zsh_complete", COMP_WORDS=f"ailf {words}", COMP_CWORD=str(words.count(" ") + 1)
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert found.stderr == ""
    return found.stdout.splitlines()


def test_the_shell_completes_the_short_ids_that_lists_show(full: Path) -> None:
    """Where no id begins so, those whose ends do; with nothing typed, all begin alike and only the ends tell."""
    with closing(sqlite3.connect(full, isolation_level=None)) as connection:
        for number in (1, 2):
            insert(connection, "tasks", RUNNING | {"id": f"01a20bfb-6aba-7394-a693-a43062c5000{number}"})
    assert completed(full, "tasks show a43062c5")[1::3] == ["a43062c50002", "a43062c50001"]
    assert completed(full, "tasks show 01a20")[1::3][0] == "01a20bfb-6aba-7394-a693-a43062c50002"
    assert completed(full, "tasks show ")[1::3][:3] == ["a43062c50002", "a43062c50001", "bb-waits"]
    assert "".join(completed(full, "tasks show 6aba")) == ""
    elsewhere = full.rename(full.with_name("elsewhere.db"))
    assert completed(full, f"--journal {elsewhere} tasks show a43062c5")[1::3] == ["a43062c50002", "a43062c50001"]


def test_the_shell_completes_ids(full: Path) -> None:
    """Those that begin so, with name and status, the newest first; and nothing is made where no journal is."""
    assert completed(full, "tasks show aa")[:6] == [
        "plain",
        "aa-failed",
        "report failed",
        "plain",
        "aa-done",
        "report completed",
    ]
    assert "evil\\x1b]0;title\\x07\\x9b31m name running" in completed(full, "tasks cancel ba")
    assert "timeline" in completed(full, "tasks time")
    elsewhere = full.with_name("none.db")
    assert "".join(completed(elsewhere, "tasks show aa")) == ""
    assert not elsewhere.exists()


def test_a_pipe_needs_no_rich(full: Path) -> None:
    """What only a terminal needs, or another command, is not imported: a script that asks often does not wait."""
    program = """
import sys
from ailf.cli.app import app
app(["tasks", "list"], standalone_mode=False)
print(sorted({"rich", "alembic", "sqlalchemy.ext.asyncio", "aiosqlite", "ailf.cli.demo"} & sys.modules.keys()))
"""
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, env=environment(full), capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("answer", "left"), [("n\r", 5), ("y\r", 2)])
def test_prune_asks_a_person(full: Path, terminal: Callable[..., Terminal], answer: str, left: int) -> None:
    """It says how many, and takes no for an answer."""
    prune = terminal("tasks", "prune", "--older-than", "1s")
    prune.read_until("Delete 3 tasks? [y/N]")
    prune.press(answer)
    assert prune.end() == (1 if left == 5 else 0)
    assert len(json.loads(run(full, "tasks", "list", "--json").stdout)) == left


@pytest.mark.parametrize("verb", ["tasks tail", "tasks watch --json"])
def test_ctrl_c_ends_whatever_waits(full: Path, terminal: Callable[..., Terminal], verb: str) -> None:
    """Without a traceback, with the exit code that shells know."""
    waiting = terminal(*verb.split())
    waiting.read_until("ab-gone" if "json" in verb else "cancelled")
    waiting.press("\x03")
    assert waiting.end() == 130
    assert "Traceback (most recent" not in waiting.output
