"""The command as a whole: where the journal may be named, examples in each help, outputs that cannot be written."""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from ailf.cli.app import app
from ailf.cli.options import Moment
from tests.cli.conftest import Ailf
from tests.conftest import PATIENCE_SECONDS


def commands(group: click.Group = app, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group, with its name in full."""
    context = click.Context(group)
    yield path, group
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(*found, id=" ".join(found[0]) or "ailf") for found in commands()]
)
def test_each_help_ends_with_two_examples_that_are_right(path: tuple[str, ...], command: click.Command) -> None:
    """They are lines of their own, and the command takes their options and arguments."""
    with click.Context(command, info_name="ailf") as context:
        text = command.get_help(context)
    found = [
        shlex.split(line)[1:] for line in re.findall(r"^ +(ailf .*)$", text.partition("Examples:")[2], re.MULTILINE)
    ]
    assert len(found) == 2
    for words in found:
        arguments = words[: words.index(">")] if ">" in words else words
        assert [word for word in path if word not in arguments] == []
        parsed(app, [argument.replace("~/notes", "/tmp") for argument in arguments])


def parsed(command: click.Command, arguments: list[str]) -> None:
    """Parse a command line down to its last command, which is not run."""
    context = command.make_context("ailf", arguments)
    rest = [*context._protected_args, *context.args]
    if isinstance(command, click.Group) and rest:
        _, inner, rest = command.resolve_command(context, rest)
        assert inner is not None
        parsed(inner, rest)


def test_the_journal_may_be_named_before_the_command(full: Path, ailf: Ailf, tmp_path: Path) -> None:
    """Or after it, which says the last word; the environment's is used where neither is named."""
    moved = full.rename(tmp_path / "elsewhere.db")
    assert ailf("tasks", "list").exit_code == 3
    for words in (("--journal", moved, "tasks", "list"), ("tasks", "list", "--journal", moved)):
        assert ailf(*words).exit_code == 0
    assert ailf("--journal", tmp_path / "none.db", "tasks", "list", "--journal", moved).exit_code == 0
    assert ailf("--journal", moved, "journal", "info").exit_code == 0


def run(journal: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which $AILF is the command."""
    environment = os.environ | {"AILF_JOURNAL": str(journal), "AILF": f"{sys.executable} -W error -m ailf"}
    return subprocess.run(
        ["bash", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("verb", ["tasks list", "tasks list --json", "tasks export", "journal info", "tasks stats"])
@pytest.mark.parametrize("output", [">/dev/full", ">&-", ">/dev/full 2>&1", ">&- 2>&-", "</dev/null <&- >/dev/full"])
def test_an_output_that_cannot_be_written(full: Path, verb: str, output: str) -> None:
    """One line, where that can be said, a code of its own, and no traceback."""
    found = run(full, f"$AILF {verb} {output}")
    assert found.returncode == 4
    if "2>" in output:
        assert found.stderr == ""
    else:
        [line] = found.stderr.splitlines()
        assert line.startswith("ailf: The ")


def test_nothing_is_deleted_that_nobody_hears_of(full: Path) -> None:
    """A closed output is refused before anything is done; a closed input is nobody to be asked."""
    assert run(full, "$AILF tasks prune --older-than 1s --yes >&-").returncode == 4
    refused = run(full, "$AILF tasks prune --older-than 1s <&-")
    assert (refused.returncode, "say --yes" in refused.stderr) == (2, True)
    assert run(full, "$AILF tasks list").stdout.count("\n") == 6


@pytest.mark.parametrize(("journal_name", "code"), [("tasks.db", 2), (None, 2), ("/nowhere/tasks.db", 3)])
def test_a_deleted_working_directory(full: Path, tmp_path: Path, journal_name: str | None, code: int) -> None:
    """A path that begins there cannot be meant; a whole one can."""
    folder = tmp_path / "gone"
    folder.mkdir()
    option = "" if journal_name is None else f"--journal {journal_name}"
    script = f"cd {folder} && rmdir {folder} && unset AILF_JOURNAL && {sys.executable} -P -m ailf tasks list {option}"
    found = run(full, script)
    assert found.returncode == code
    [line] = found.stderr.splitlines()
    assert ("give a whole path" in line) == (code == 2)
    # A journal that is named by its whole path is read from anywhere.
    assert run(full, f"cd {tmp_path} && $AILF tasks list --journal {full}").returncode == 0


def test_without_the_extra_it_says_what_to_install_and_where_the_journal_is(full: Path, tmp_path: Path) -> None:
    """And how to look at it all the same; or that it is not there yet."""
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError('No module named click', name='click')\n")
    for journal, said in ((full, f"sqlite3 {full}"), (tmp_path / "none.db", "is not there yet")):
        found = run(journal, f"PYTHONPATH={tmp_path} $AILF")
        assert found.returncode == 1
        assert "pip install 'ailf[cli]'" in found.stderr
        assert said in found.stderr


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A clock that was set back by an hour at 2026-10-25T01:00Z, and ahead at 2026-03-29T01:00Z."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("now", "today", "yesterday"),
    [
        ("2026-10-25T20:00", "2026-10-24T22:00", "2026-10-23T22:00"),
        ("2026-10-26T20:00", "2026-10-25T23:00", "2026-10-24T22:00"),
        ("2026-03-29T20:00", "2026-03-28T23:00", "2026-03-27T23:00"),
        ("2026-03-30T20:00", "2026-03-29T22:00", "2026-03-28T23:00"),
    ],
)
def test_today_began_at_midnight_by_the_clock_of_then(
    monkeypatch: pytest.MonkeyPatch, now: str, today: str, yesterday: str
) -> None:
    """On the days on which the clocks change, too."""
    from ailf.async_tasks import moments

    class Then(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Then":
            moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
            return cls.fromtimestamp(moment.timestamp(), tz)  # type: ignore[arg-type]

    monkeypatch.setattr(moments, "datetime", Then)
    for word, begin in (("today", today), ("yesterday", yesterday)):
        assert Moment().convert(word, None, None) == datetime.fromisoformat(begin).replace(tzinfo=UTC)
