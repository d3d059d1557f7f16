"""``ailf tasks``: list, show, stats, timeline, export, prune."""

import csv
import io
import json
import re
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.reports import lists
from tests.async_tasks.journal.support import BROKEN, LATE, RUNNING, fill_broken, insert, opened, snapshot
from tests.cli.conftest import HOSTILE, Ailf

TASK_KEYS = {
    *("id", "name", "status", "reason", "progress", "progress_message", "created_at", "started_at", "completed_at"),
    *("timeout", "metadata", "result", "result_format", "error", "error_type", "traceback", "owner_id"),
    *("cancel_requested_at", "parent_id", "duration"),
}
ALL = ["bb-waits", "ba-runs", "ab-gone", "aa-failed", "aa-done"]


def ids(output: str) -> list[str]:
    """The ids of a list in JSON."""
    return [task["id"] for task in json.loads(output)]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ("", ALL),
        ("--reverse", ALL[::-1]),
        ("--failed", ["aa-failed"]),
        ("--status completed -s CANCELLED", ["ab-gone", "aa-done"]),
        ("--failed -s running", ["ba-runs", "aa-failed"]),
        ("--name report", ["aa-failed", "aa-done"]),
        ("-m user=u1 -m n=3 --name other", ["ab-gone"]),
        ('-m user="u1" -n 1', ["ab-gone"]),
        ("--limit 2", ALL[:2]),
        ("--limit 2 --all", ALL),
        ("--since 2026-11-24T03:00:00Z --until 2026-11-24T03:00:01Z", ALL),
        ("--sort progress --limit 1", ["ba-runs"]),
        ("--sort name", ["ba-runs", "ab-gone", "aa-done", "aa-failed", "bb-waits"]),
        ("--sort started --reverse", ["aa-done", "aa-failed", "ab-gone", "ba-runs", "bb-waits"]),
        ("--sort ended --limit 3", ["ab-gone", "aa-failed", "aa-done"]),
        ("--sort duration --limit 1", ["ba-runs"]),
    ],
)
def test_list_chooses_and_sorts(full: Path, ailf: Ailf, options: str, wanted: list[str]) -> None:
    """Each option as it says; what has nothing to sort by comes last."""
    found = ailf("tasks", "list", "--json", *options.split())
    assert (found.exit_code, ids(found.stdout)) == (0, wanted)


def test_the_shape_of_a_task(full: Path, ailf: Ailf) -> None:
    """The keys are the columns of the table and the duration; times are UTC text, results are what they are."""
    tasks = {task["id"]: task for task in json.loads(ailf("tasks", "list", "--json").stdout)}
    assert all(task.keys() == TASK_KEYS for task in tasks.values())
    done = tasks["aa-done"]
    assert (done["result"], done["metadata"], done["duration"]) == (1, {"n": 3, "user": "u1"}, 1.0)
    assert done["completed_at"] == LATE


def test_list_in_a_pipe_is_plain_and_harmless(full: Path, ailf: Ailf) -> None:
    """A line a task below a head, no colours, no character that a terminal obeys."""
    found = ailf("tasks", "list")
    lines = found.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["id", *ALL]
    assert "evil\\x1b]0;title\\x07\\x9b31m name" in found.stdout
    assert all(line.isprintable() for line in lines)
    assert found.stderr == ""


def test_list_says_that_there_are_more(full: Path, ailf: Ailf) -> None:
    """On the error output, where it disturbs no pipe."""
    found = ailf("tasks", "list", "-n", 2)
    assert len(found.stdout.splitlines()) == 3
    assert found.stderr == "There are more than these 2: see --limit and --all.\n"


@pytest.mark.parametrize("verb", ["list --name nobody", "list --name nobody --json", "stats --since 1s"])
def test_nothing_found_is_an_exit_code(full: Path, ailf: Ailf, verb: str) -> None:
    """A script sees it without reading."""
    found = ailf("tasks", *verb.split())
    assert found.exit_code == 1
    assert found.stdout in {"", "[]\n"}


def test_show_tells_everything(full: Path, ailf: Ailf) -> None:
    """Status, error with its lines, traceback, metadata and timeline, harmless."""
    found = ailf("tasks", "show", "aa-failed")
    assert found.exit_code == 0
    for text in (
        "failed (error)",
        "ValueError: no\nway",
        "Traceback\n  at\\x1b[2J",
        '{"n": 3, "user": "u1"}',
        "submitted",
    ):
        assert text in found.stdout
    assert all(line.isprintable() for line in found.stdout.splitlines())


def test_show_prints_a_result_over_several_lines_and_bounded(full: Path, ailf: Ailf) -> None:
    """A large one is cut off; in JSON it is whole."""
    with closing(opened_again(full)) as connection:
        insert(connection, "tasks", RUNNING | {"id": "large"})
        result = json.dumps({"rows": list(range(5000))})
        connection.execute(
            "UPDATE tasks SET status = 'completed', completed_at = ?, result = ?, result_format = 'json' WHERE id = ?",
            (LATE, result, "large"),
        )
    text = ailf("tasks", "show", "large").stdout
    assert '{\n  "rows": [\n    0,\n' in text
    assert "…" in text
    assert len(text) < 6000
    assert json.loads(ailf("tasks", "show", "large", "--json").stdout)["result"] == json.loads(result)


def opened_again(journal: Path) -> sqlite3.Connection:
    """The journal, as plain SQLite opens it."""
    return sqlite3.connect(journal, isolation_level=None)


def test_show_in_json_has_owner_and_events(full: Path, ailf: Ailf) -> None:
    """The task's own keys and three more."""
    task = json.loads(ailf("tasks", "show", "ba-r", "--json").stdout)
    assert task.keys() == TASK_KEYS | {"owner", "events", "logs"}
    assert task["name"] == HOSTILE
    assert task["owner"].keys() == {"id", "pid", "host", "started_at", "stopped_at", "life"}
    assert task["owner"]["life"] == "unknown"
    done = json.loads(ailf("tasks", "show", "aa-done", "--json").stdout)
    assert [event["kind"] for event in done["events"]] == ["submitted", "completed"]
    assert done["events"][0].keys() == {"seq", "task_id", "at", "kind", "progress", "message"}


@pytest.mark.parametrize(
    ("part", "wanted"), [("aa-d", "aa-done"), ("ab", "ab-gone"), ("done", "aa-done"), ("b-waits", "bb-waits")]
)
def test_a_unique_part_of_an_id_will_do(full: Path, ailf: Ailf, part: str, wanted: str) -> None:
    """Its beginning, or else its end."""
    assert json.loads(ailf("tasks", "show", part, "--json").stdout)["id"] == wanted


def test_an_id_that_begins_others_is_itself(full: Path, ailf: Ailf) -> None:
    """Who types an id whole means it, whatever else begins so."""
    with closing(opened_again(full)) as connection:
        insert(connection, "tasks", RUNNING | {"id": "aa"})
    assert json.loads(ailf("tasks", "show", "aa", "--json").stdout)["id"] == "aa"


@pytest.mark.parametrize("part", ["aa", "s", "a_", "%", "*"])
def test_a_part_that_is_not_unique_or_unknown(full: Path, ailf: Ailf, part: str) -> None:
    """Several are named, with what to do; what is a pattern elsewhere is none here."""
    found = ailf("tasks", "show", part)
    assert found.stdout == ""
    assert len(found.stderr.splitlines()) == 1
    if part in {"aa", "s"}:
        assert found.exit_code == 2
        assert re.search(r"fits several tasks: .*, .*; give more of the id", found.stderr)
    else:
        assert (found.exit_code, "ailf tasks list" in found.stderr) == (1, True)


def test_stats_count_by_name(full: Path, ailf: Ailf) -> None:
    """As the view does, with whole names and times in UTC."""
    found = json.loads(ailf("tasks", "stats", "--json").stdout)
    report = found[0]
    assert (report["name"], report["tasks"], report["completed"], report["failed"]) == ("report", 2, 1, 1)
    assert (report["median_s"], report["last_failed"], report["last_error"]) == (1.0, LATE, "ValueError: no\nway")
    assert HOSTILE in [one["name"] for one in found]
    text = ailf("tasks", "stats").stdout
    assert text.splitlines()[0].split()[:3] == ["name", "tasks", "active"]
    assert "ValueError: no way" in text


def test_the_timeline_draws_a_row_a_task(full: Path, ailf: Ailf) -> None:
    """Where it waited and where it ran, of the width that is asked for."""
    period = ("--since", "2026-11-24T03:00:00Z", "--until", "2026-11-24T03:00:10Z")
    lines = ailf("tasks", "timeline", "--width", 20, *period).stdout.splitlines()
    assert len(lines) == 6
    assert "··███                completed" in lines[1]
    assert "evil\\x1b]0" in lines[4]
    shape = json.loads(ailf("tasks", "timeline", "--json", *period).stdout)
    assert shape["begin"] == "2026-11-24T03:00:00.000000Z"
    assert [task["id"] for task in shape["tasks"]] == ALL[::-1]
    assert json.loads(ailf("tasks", "timeline", "--json").stdout)["begin"] == "2026-11-24T03:00:00.000000Z"


@pytest.mark.parametrize("form", ["jsonl", "json", "csv"])
def test_export_writes_every_task(full: Path, ailf: Ailf, tmp_path: Path, form: str) -> None:
    """In order of submission, to the output or to a file, in the shape of the list or as the table has it."""
    text = ailf("tasks", "export", "--format", form).stdout
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert tuple(rows[0]) == reports.COLUMNS
        assert rows[3]["name"] == HOSTILE
        assert [row["id"] for row in rows] == ALL[::-1]
    else:
        tasks = json.loads(text) if form == "json" else [json.loads(line) for line in text.splitlines()]
        assert [task["id"] for task in tasks] == ALL[::-1]
        assert all(task.keys() == TASK_KEYS for task in tasks)
    ailf("tasks", "export", "--format", form, "-o", tmp_path / "out", "--failed")
    assert "aa-failed" in (tmp_path / "out").read_text()
    assert "aa-done" not in (tmp_path / "out").read_text()


def test_an_export_of_nothing_is_well_formed(full: Path, ailf: Ailf) -> None:
    """A head, an empty array, no line; and the exit code says so."""
    found = {form: ailf("tasks", "export", "--format", form, "--name", "x") for form in ("jsonl", "json", "csv")}
    assert {form: one.exit_code for form, one in found.items()} == dict.fromkeys(found, 1)
    assert (found["jsonl"].stdout, found["json"].stdout) == ("", "[]\n")
    assert found["csv"].stdout.splitlines() == [",".join(reports.COLUMNS)]


def test_an_export_holds_a_page_in_memory_and_no_more(journal: Path, ailf: Ailf, tmp_path: Path) -> None:
    """Ten times the tasks take no more memory; each page is a read of its own."""
    connection = opened(journal)

    def fill(first: int, number: int) -> None:
        connection.execute("BEGIN")
        for index in range(first, first + number):
            insert(connection, "tasks", RUNNING | {"id": f"t{index}"})
        connection.execute("COMMIT")

    def peak() -> int:
        tracemalloc.start()
        ailf("tasks", "export", "-o", tmp_path / "out")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    fill(0, reports.TASKS_A_PAGE)
    peak()
    small = peak()
    fill(reports.TASKS_A_PAGE, 9 * reports.TASKS_A_PAGE)
    assert peak() < 1.5 * small
    assert len((tmp_path / "out").read_text().splitlines()) == 10 * reports.TASKS_A_PAGE
    connection.close()


def test_prune_asks_deletes_and_spares_the_unfinished(full: Path, ailf: Ailf) -> None:
    """Where nobody can be asked it wants --yes; what is not ended stays, however old."""
    refused = ailf("tasks", "prune", "--older-than", "0s")
    assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
    assert ailf("tasks", "prune", "--older-than", "10000d", "--yes").exit_code == 1
    failed = ailf("tasks", "prune", "--older-than", "1s", "--status", "failed", "--yes")
    assert (failed.exit_code, failed.stdout) == (0, "1 tasks deleted.\n")
    assert ailf("tasks", "prune", "--older-than", "1s", "-y").stdout == "2 tasks deleted.\n"
    assert ids(ailf("tasks", "list", "--json").stdout) == ["bb-waits", "ba-runs"]


def test_reading_leaves_the_journal_and_its_folder_as_they_were(full: Path, ailf: Ailf) -> None:
    """Byte for byte, and no file beside it that was not there."""
    before = snapshot(full.parent)
    for verb in (
        "list",
        "show aa-done",
        "stats",
        "timeline",
        "export",
        "watch --once",
        "tail --no-follow",
        "wait aa-done",
    ):
        assert ailf("tasks", *verb.split()).exit_code == 0, verb
    for verb in ("info", "check", "check --full", "doctor"):
        assert ailf("journal", *verb.split()).exit_code in {0, 1}, verb
    assert snapshot(full.parent) == before


def test_ids_like_uses_the_index(full: Path) -> None:
    """The beginning of an id is found among a million as among ten."""
    with closing(opened_again(full)) as connection:
        plan = connection.execute("EXPLAIN QUERY PLAN " + lists._LIKE_ID, ("aa", "aa", "aa", 6)).fetchall()
    assert not [line for *_, line in plan if line.startswith("SCAN tasks")]


@pytest.mark.parametrize("verb", ["list", "tree", "timeline"])
def test_rows_that_somebody_else_has_written_hide_no_other(journal: Path, ailf: Ailf, verb: str) -> None:
    """Every list has each of them, and those around it."""
    fill_broken(journal)
    found = ailf("tasks", verb, "--limit", 100)
    assert found.exit_code == 0
    assert len(found.stdout.splitlines()) >= len(BROKEN) + 2


@pytest.mark.parametrize("task_id", BROKEN)
def test_a_row_that_somebody_else_has_written(journal: Path, ailf: Ailf, task_id: str) -> None:
    """Is shown, and so is its log."""
    fill_broken(journal)
    for form in ((), ("--json",)):
        assert ailf("tasks", "show", task_id, *form).exit_code == 0
        assert "said" in ailf("tasks", "logs", task_id, *form).stdout
    assert ailf("tasks", "stats").exit_code == 0
