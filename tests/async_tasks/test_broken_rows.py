"""Rows that somebody broke: each is shown as what it is, by every read, and hides no other."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ailf.async_tasks import ResultFormat, TaskManager, TaskStatus
from tests.async_tasks.journal.support import BROKEN, DIGITS, fill_broken, run


@pytest.fixture
def broken(journal: Path) -> Path:
    """A journal with a good task, each kind of broken one, and another good one."""
    fill_broken(journal)
    return journal


async def test_every_read_shows_every_row(broken: Path) -> None:
    """One by one and all at once, waiting or not: what cannot be decoded is its text."""
    names = ["t1", *BROKEN, "last"]
    async with TaskManager(broken, retention=None) as manager:
        infos = {info.id: info for info in manager.list_tasks()}
        assert list(infos) == names
        assert [info.id for info in await manager.alist_tasks(newest_first=True)] == names[::-1]
        for name in names:
            assert manager.get_task_info(name) == await manager.aget_task_info(name) == infos[name]
            assert len(manager.get_task_events(name)) == len(await manager.aget_task_events(name)) == 1
    assert infos["digits"].result == DIGITS
    assert infos["digits within"].result == {"a": [DIGITS]}
    assert infos["deep"].result_format is ResultFormat.JSON
    assert infos["metadata"].metadata == {"a": DIGITS}
    assert (infos["bytes"].name, infos["bytes"].result) == ("caf\\xe9", '"\\xff"')
    assert infos["bytes in metadata"].metadata == {"undecodable": '{"a":"\\xff"}'}
    assert (infos["no json"].result, infos["no json"].metadata) == ("not json", {"undecodable": "nor this"})
    assert infos["shell's time"].created_at == datetime(2026, 11, 24, 3, tzinfo=UTC)
    assert infos["no time"].duration is None
    assert infos["status"].status is TaskStatus.FAILED
    assert "paused" in (infos["status"].error or "")
    assert infos["progress"].progress == 0
    assert infos["reason"].reason is None


def test_an_export_has_every_row(broken: Path) -> None:
    """In each of its forms."""
    out = run(sys.executable, "-m", "ailf", "tasks", "export", "--journal", broken).stdout
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["t1", *BROKEN, "last"]
    csv = run(sys.executable, "-m", "ailf", "tasks", "export", "--format", "csv", "--journal", broken).stdout
    assert len(csv.splitlines()) == 3 + len(BROKEN)
    assert "last" in run(sys.executable, "-m", "ailf", "tasks", "list", "--limit", 100, "--journal", broken).stdout
