"""What this machine says of processes, boots and file systems; empty or None where it does not say."""

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ailf.async_tasks.journal.care.life import Owner, Process

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE_FILE = Path("/proc/self/ns/pid")
MOUNTS_FILE = Path("/proc/self/mountinfo")
PROCESSES_FOLDER = Path("/proc")

FIELD_THREADS, FIELD_STARTED = 17, 19
"""The 20th and 22nd field of /proc/PID/stat, counted from the third on."""

SHARED_FILE_SYSTEMS = frozenset(
    {
        *(
            "9p",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "drvfs",
            "gfs2",
            "glusterfs",
            "gpfs",
            "lustre",
            "ncpfs",
            "nfs",
        ),
        *("nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs"),
        *("fuse.blobfuse2", "fuse.ceph", "fuse.ceph-fuse", "fuse.gcsfuse", "fuse.glusterfs", "fuse.goofys"),
        *("fuse.grpcfuse", "fuse.juicefs", "fuse.mountpoint-s3", "fuse.osxfs", "fuse.rclone", "fuse.s3fs"),
        *("fuse.seaweedfs", "fuse.sshfs", "fuse.vmhgfs-fuse"),
    }
)
"""Those that several machines may use at the same time; the locks of the others are not seen on them."""


def boot_id() -> str:
    """What tells one boot of this machine from the next, where the system says; else empty."""
    try:
        return BOOT_ID_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def pid_namespace() -> str | None:
    """What tells the pids of this process's container from those of others (pid_namespaces(7))."""
    try:
        return str(PID_NAMESPACE_FILE.stat().st_ino)
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class Stat:
    """What is of interest here of /proc/PID/stat (proc_pid_stat(5))."""

    started: int
    """In clock ticks after the boot."""
    is_over: bool
    """Whether it has ended, and only its parent has not heard of it yet."""


def stat_of(pid: int) -> Stat:
    """What the system says of a process.

    Raises:
        OSError: there is none, or it is not shown to this user.
        ValueError: what it says has another form.
    """
    text = (PROCESSES_FOLDER / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    # The second field is the program's name, in parentheses, which may hold any character.
    fields = text[text.rindex(")") + 1 :].split()
    if len(fields) <= FIELD_STARTED:
        raise ValueError(text)
    state, threads, started = fields[0], int(fields[FIELD_THREADS]), int(fields[FIELD_STARTED])
    # A process whose first thread has ended looks like a dead one, but for its other threads.
    return Stat(started, is_over=state in "ZXx" and threads <= 1)


def process_started() -> int | None:
    """When this process started."""
    try:
        return stat_of(os.getpid()).started
    except (OSError, ValueError):
        return None


def look_for(owner: Owner, here: Owner) -> Process:
    """What became of an owner's process, as far as it would be seen from here.

    Args:
        owner: the owner in question.
        here: the one who asks.
    """
    is_known = owner.process_started is not None and owner.pid_namespace is not None and owner.boot_id != ""
    if not is_known or (owner.boot_id, owner.pid_namespace) != (here.boot_id, here.pid_namespace):
        return Process.UNSEEN
    try:
        found = stat_of(owner.pid)
    except (OSError, ValueError):
        return Process.UNSEEN if _exists(owner.pid) else Process.ENDED
    if found.is_over or found.started != owner.process_started:
        return Process.ENDED
    return Process.RUNS


def is_open_elsewhere(file: Path) -> bool:
    """Whether another process has a file open, as far as that is shown to this user."""
    here = str(os.getpid())
    with suppress(OSError):
        wanted = file.stat()
        for process in PROCESSES_FOLDER.iterdir():
            if process.name.isdigit() and process.name != here and _has_open(process, wanted):
                return True
    return False


def _has_open(process: Path, wanted: os.stat_result) -> bool:
    with suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(descriptor.stat(), wanted):
                    return True
    return False


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def shared_file_system(path: Path) -> str | None:
    """The kind of the file system that a file is on, if other machines may use it at the same time."""
    try:
        mounts = MOUNTS_FILE.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    kind = file_system(path.resolve(), mounts)
    return kind if kind in SHARED_FILE_SYSTEMS else None


def file_system(file: Path, mounts: str) -> str | None:
    """The kind of the file system that a file is on.

    Args:
        file: an absolute path without links.
        mounts: what /proc/self/mountinfo says (proc_pid_mountinfo(5)); of several mounts at one place the last counts.
    """
    best, kind = -1, None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 6 or not after:  # noqa: PLR2004 - those that every line has
            continue
        place = Path(_unescaped(fields[4]))
        if len(place.parts) >= best and file.is_relative_to(place):
            best, kind = len(place.parts), after.split(" ")[0]
    return kind


def _unescaped(text: str) -> str:
    """A path without the octal escapes for blanks, tabs, newlines and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
