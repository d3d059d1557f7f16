"""``ailf tasks tree``, ``logs``, ``list --stalled``, and what ``show`` and ``timeline`` say of families and logs."""

import asyncio
import json
import logging
import sqlite3
from pathlib import Path

import pytest

from ailf.async_tasks import TaskManager, current_task
from tests.async_tasks.journal.support import CANCELLED, FAILED, PENDING, RUNNING, insert, opened, update
from tests.cli.conftest import HOSTILE, Ailf

log = logging.getLogger("app")

BAD_LINE = {
    "task_id": "right",
    "at": "2026-11-24T03:00:00.000000Z",
    "level": 40,
    "level_name": "ERROR",
    "logger": HOSTILE,
    "message": HOSTILE,
    "exception": "Traceback\n  at\x1b[2J",
}


@pytest.fixture
def family(journal: Path) -> Path:
    """A journal that nobody has open: a family of three generations, with lines in their logs, and one alone."""
    connection = opened(journal)
    for task_id, parent in (("top", None), ("left", "top"), ("leaf", "left"), ("right", "top"), ("alone", None)):
        insert(connection, "tasks", RUNNING | {"id": task_id, "name": f"{task_id}er", "parent_id": parent})
    for number in range(25):
        line = {"task_id": "leaf", "at": f"2026-11-24T03:00:{number:02d}.000000Z", "logger": "app"}
        level = {"level": 30, "level_name": "WARNING"} if number % 5 == 0 else {"level": 20, "level_name": "INFO"}
        insert(connection, "task_logs", line | level | {"message": f"line {number}"})
    insert(
        connection,
        "task_logs",
        BAD_LINE | {"fields": '{"k":"v"}'},
    )
    update(connection, "right", FAILED | {"error": "no", "error_type": "ValueError"})
    connection.close()
    return journal


def test_the_tree_of_all_and_of_one(family: Path, ailf: Ailf) -> None:
    """The newest family first, children indented below their parent in order; one task's family alone."""
    lines = ailf("tasks", "tree").stdout.splitlines()
    assert [line.partition("er ")[0] for line in lines[1:]] == ["alone", "top", "  left", "    leaf", "  right"]
    assert lines[0].split() == ["task", "status", "ran", "outcome", "id"]
    assert "failed" in lines[5]
    assert "ValueError: no" in lines[5]
    lines = ailf("tasks", "tree", "left").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["lefter", "leafer"]


def test_the_tree_in_json_and_in_part(family: Path, ailf: Ailf) -> None:
    """Each task says how deep it is and whose child; of more than the limit, that is said."""
    found = json.loads(ailf("tasks", "tree", "top", "--json").stdout)
    assert [(one["id"], one["depth"], one["parent_id"]) for one in found] == [
        ("top", 0, None),
        ("left", 1, "top"),
        ("leaf", 2, "left"),
        ("right", 1, "top"),
    ]
    result = ailf("tasks", "tree", "--limit", 2)
    assert len(result.stdout.splitlines()) == 3
    assert "more than these 2" in result.stderr
    assert len(ailf("tasks", "tree", "--all").stdout.splitlines()) == 6


def test_a_tree_of_nothing(journal: Path, ailf: Ailf) -> None:
    """An empty journal has none, and the exit code says so."""
    opened(journal).close()
    result = ailf("tasks", "tree")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "No such task.\n")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", list(range(25))),
        ("--level warning", [0, 5, 10, 15, 20]),
        ("-l 30 -n 2", [15, 20]),
        ("--lines 3", [22, 23, 24]),
        ("--follow --lines 1", None),
    ],
)
def test_the_log_of_a_task(family: Path, ailf: Ailf, options: str, wanted: list[int] | None) -> None:
    """All that is kept, or of a level, or the last; in a pipe a line each."""
    if wanted is None:
        with sqlite3.connect(family) as connection:
            update(connection, "leaf", CANCELLED)
            wanted = [24]
        connection.close()
    found = ailf("tasks", "logs", "leaf", *options.split())
    assert found.exit_code == 0
    assert [line.rpartition("app: line ")[2] for line in found.stdout.splitlines()] == [str(one) for one in wanted]
    assert found.stdout.splitlines()[0][24:33].strip() in ("INFO", "WARNING")


def test_a_log_in_json(family: Path, ailf: Ailf) -> None:
    """An object a line: the columns of the table."""
    [line] = ailf("tasks", "logs", "right", "--json").stdout.splitlines()
    assert json.loads(line) == BAD_LINE | {"seq": 26, "fields": {"k": "v"}}


def test_a_log_is_harmless(family: Path, ailf: Ailf) -> None:
    """What a terminal obeys is spelled out, in the exception too, which has lines of its own."""
    output = ailf("tasks", "logs", "right").stdout
    assert '"v"' in output
    assert all(line.isprintable() for line in output.splitlines())
    assert output.splitlines()[1:] == ["    Traceback", "      at\\x1b[2J"]


def test_no_log_and_no_level(family: Path, ailf: Ailf) -> None:
    """A task that logged nothing says so; a level that does not exist is a wrong argument."""
    result = ailf("tasks", "logs", "alone")
    assert (result.exit_code, result.stderr) == (1, "It has logged nothing that was kept.\n")
    result = ailf("tasks", "logs", "leaf", "--level", "LOUD")
    assert result.exit_code == 2
    assert "there are NOTSET, DEBUG, INFO" in " ".join(result.stderr.split())


def test_show_ends_with_the_last_lines(family: Path, ailf: Ailf) -> None:
    """Twenty of them, and the parent above."""
    output = ailf("tasks", "show", "leaf").stdout
    assert output.splitlines()[-1].endswith("app: line 24")
    assert output.count("app: line ") == 20
    assert "parent:       left" in output
    shape = json.loads(ailf("tasks", "show", "leaf", "--json").stdout)
    assert [line["message"] for line in shape["logs"]] == [f"line {number}" for number in range(5, 25)]


def test_the_timeline_draws_children_below_their_parents(family: Path, ailf: Ailf) -> None:
    """Though others were submitted between them."""
    connection = sqlite3.connect(family)
    insert(connection, "tasks", PENDING | {"id": "late", "name": "later", "parent_id": "left"})
    connection.commit()
    connection.close()
    lines = ailf("tasks", "timeline").stdout.splitlines()
    assert [line[:10].rstrip() for line in lines[1:]] == [
        *("toper", "  lefter", "    leafer", "    later", "  righter", "aloneer")
    ]


def test_stalled_tasks_say_for_how_long(family: Path, ailf: Ailf) -> None:
    """Those that run and have said nothing for so long, with how long that is."""
    output = ailf("tasks", "list", "--stalled", "5m").stdout
    assert output.count("quiet for ") == 4
    found = json.loads(ailf("tasks", "list", "--stalled", "5m", "--json").stdout)
    assert {one["id"]: one["quiet_s"] > 300 for one in found} == dict.fromkeys(("alone", "leaf", "left", "top"), True)
    assert ailf("tasks", "list", "--stalled", "2000w").exit_code == 1


async def test_following_a_log_as_it_grows(journal: Path, ailf: Ailf) -> None:
    """Each line as it comes, until the task has ended."""
    go = asyncio.Event()

    async def work() -> None:
        log.info("first")
        await go.wait()
        current_task().log("last")

    async with TaskManager(journal, capture_logs="INFO") as manager:
        task_id = await manager.submit(work())
        following = asyncio.create_task(asyncio.to_thread(ailf, "tasks", "logs", task_id, "--follow"))
        await asyncio.sleep(0.3)
        go.set()
        output = (await following).stdout
    assert [line.split()[-1] for line in output.splitlines()] == ["first", "last"]
