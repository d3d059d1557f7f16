"""What the machine says of processes and file systems."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ailf.async_tasks.journal.care import machine
from ailf.async_tasks.journal.care.life import Process
from ailf.async_tasks.journal.care.machine import file_system, look_for, stat_of
from ailf.async_tasks.journal.care.owners import this_process

MOUNTS = r"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 259:0 / / rw,relatime shared:1 - ext4 /dev/root rw
40 27 0:50 / /mnt/team\040files rw,relatime - nfs4 server:/export rw,vers=4.2
41 40 0:51 / /mnt/team\040files/local rw - tmpfs tmpfs rw
42 27 0:52 / /srv rw master:3 propagate_from:2 - ext4 /dev/vdb rw
43 42 0:53 / /srv rw - fuse.sshfs me@there: rw
44 27 0:54 / /data/tasks.db rw - 9p share rw
not a line
"""


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/home/me/tasks.db", "ext4"),
        ("/mnt/team files/tasks.db", "nfs4"),
        ("/mnt/team files/local/tasks.db", "tmpfs"),
        ("/mnt/team", "ext4"),
        ("/srv/tasks.db", "fuse.sshfs"),
        ("/srvother/tasks.db", "ext4"),
        ("/data/tasks.db", "9p"),
    ],
)
def test_the_mount_that_a_file_is_on(file: str, kind: str) -> None:
    """The deepest one counts, and of several at one place the last; blanks in a name are escaped."""
    assert file_system(Path(file), MOUNTS) == kind


def test_a_file_system_that_machines_share_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local disk is no matter; where the system does not say what is mounted, nothing is known."""
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(machine, "MOUNTS_FILE", mounts)
    assert machine.shared_file_system(tmp_path / "tasks.db") is None
    mounts.write_text("27 1 0:1 / / rw - nfs server:/ rw\n")
    assert machine.shared_file_system(tmp_path / "tasks.db") == "nfs"
    mounts.write_text("27 1 0:1 / / rw - ext4 /dev/root rw\n")
    assert machine.shared_file_system(tmp_path / "tasks.db") is None


def test_a_boot_id_that_cannot_be_read_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every system has the files; then nothing is claimed."""
    for name in ("BOOT_ID_FILE", "PID_NAMESPACE_FILE", "PROCESSES_FOLDER"):
        monkeypatch.setattr(machine, name, tmp_path / "none")
    assert (machine.boot_id(), machine.pid_namespace(), machine.process_started()) == ("", None, None)
    here = this_process()
    assert look_for(here, here) is Process.UNSEEN


def test_this_process_runs() -> None:
    """It is found by its pid and its start in its namespace."""
    here = this_process()
    assert here.process_started == machine.process_started() is not None
    assert look_for(here, this_process()) is Process.RUNS


def test_a_pid_alone_proves_nothing() -> None:
    """The same pid with another start is another process; another container's or boot's is not seen at all."""
    here = this_process()
    assert here.process_started is not None
    assert look_for(replace(here, process_started=here.process_started + 1), here) is Process.ENDED
    for change in (
        {"pid_namespace": "another"},
        {"boot_id": "another"},
        {"boot_id": ""},
        {"process_started": None},
        {"pid_namespace": None},
    ):
        assert look_for(replace(here, **change), here) is Process.UNSEEN


def test_a_process_that_ended_has_ended_before_its_parent_heard_of_it() -> None:
    """A zombie still has its pid and its start; it is over all the same, and so is one whose pid is free again."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    here = this_process()
    owner = replace(here, pid=child.pid, process_started=stat_of(child.pid).started)
    assert look_for(owner, here) is Process.RUNS
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert stat_of(child.pid).is_over
    assert look_for(owner, here) is Process.ENDED
    child.communicate()
    assert look_for(owner, here) is Process.ENDED


def test_a_process_that_is_not_shown_is_not_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some systems hide the processes of others: that one is not shown is no proof while its pid is in use."""
    here = this_process()
    monkeypatch.setattr(machine, "PROCESSES_FOLDER", tmp_path)
    assert look_for(replace(here, pid=1), here) is Process.UNSEEN
    assert look_for(replace(here, pid=2**22 + 1), here) is Process.ENDED


def test_a_name_with_parentheses_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may be called anything; what follows the last parenthesis counts."""
    monkeypatch.setattr(machine, "PROCESSES_FOLDER", tmp_path)
    (tmp_path / "7").mkdir()
    fields = ["S", *["0"] * 16, "3", "0", "4711", *["0"] * 30]
    (tmp_path / "7" / "stat").write_text(f"7 (a) Z (b) {' '.join(fields)}\n")
    assert (stat_of(7).started, stat_of(7).is_over) == (4711, False)
    fields[0], fields[17] = "Z", "1"
    (tmp_path / "7" / "stat").write_text(f"7 (a) {' '.join(fields)}\n")
    assert stat_of(7).is_over
    (tmp_path / "7" / "stat").write_text("7 (a) S 1\n")
    with pytest.raises(ValueError, match="7"):
        stat_of(7)
