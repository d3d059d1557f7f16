"""A folder as a queue."""

import multiprocessing
import os
import signal
import stat
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ailf.errors import InvalidArgumentError
from ailf.workers.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "spool")


def payloads(spool: Spool, queue: str) -> list[bytes]:
    """Claim and finish whatever waits."""
    taken = []
    while (claim := spool.claim(queue)) is not None:
        taken.append(claim.payload)
        spool.finish(claim)
    return taken


def test_messages_come_out_in_order_and_once(spool: Spool) -> None:
    """Each queue has its own."""
    for number in range(10):
        spool.put("a", str(number).encode())
    spool.put("b", b"other")
    assert (spool.size("a"), spool.size("b"), spool.size("none")) == (10, 1, 0)
    assert payloads(spool, "a") == [str(number).encode() for number in range(10)]
    assert spool.claim("a") is None
    assert payloads(spool, "b") == [b"other"]


def test_purge_and_drop_take_what_waits(spool: Spool) -> None:
    """And nothing else."""
    spool.put("a", b"1")
    spool.put("a", b"2")
    spool.put("b", b"3")
    assert spool.purge("a") == 2
    spool.drop("b")
    assert spool.size("a") == spool.size("b") == 0
    spool.put("b", b"4")
    assert payloads(spool, "b") == [b"4"]


def test_a_name_that_no_file_can_have_is_refused(spool: Spool) -> None:
    """The error says how long it may be, and nothing is taken; the longest allowed one works."""
    for queue in ("\U00010000" * 13, "q" * 151):
        for call in (lambda name: spool.put(name, b"x"), spool.claim, spool.size, spool.purge, spool.drop):
            with pytest.raises(InvalidArgumentError, match="150 are allowed"):
                call(queue)
    spool.put("q" * 150, b"x")
    assert payloads(spool, "q" * 150) == [b"x"]


@settings(deadline=None)  # a disk takes its time to sync
@given(st.text(min_size=1, max_size=12))
def test_no_queue_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, queue: str) -> None:
    """Whatever a queue is called, its messages stay below the folder, and it does not mix with another."""
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder / "spool")
    spool.put(queue, b"x")
    spool.put(queue + "y", b"y")
    assert [path.name for path in folder.iterdir()] == ["spool"]
    assert payloads(spool, queue) == [b"x"]
    spool.close()


def test_only_the_owner_can_read_it(spool: Spool, tmp_path: Path) -> None:
    """Messages hold what tasks are given."""
    spool.put("a", b"secret")
    spool.claim("a")
    for path in (tmp_path / "spool").rglob("*"):
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_closing_gives_back_what_was_not_finished(spool: Spool, tmp_path: Path) -> None:
    """In the order in which it was put."""
    for number in range(3):
        spool.put("a", str(number).encode())
    spool.claim("a")
    second = spool.claim("a")
    assert second is not None
    spool.finish(second)
    spool.finish(second)
    spool.close()
    spool.close()
    assert payloads(Spool(tmp_path / "spool"), "a") == [b"0", b"2"]


def test_the_living_keep_their_claims(spool: Spool, tmp_path: Path) -> None:
    """Recovery by another process takes nothing from one that lives."""
    spool.put("a", b"1")
    claim = spool.claim("a")
    assert claim is not None
    other = Spool(tmp_path / "spool")
    assert other.recover() == 0
    assert other.claim("a") is None
    assert claim.path.exists()


def claim_and_hang(folder: Path, ready: Path) -> None:
    """Claim a message, and never finish it."""
    spool = Spool(folder)
    assert spool.claim("a") is not None
    ready.touch()
    signal.pause()


def test_the_claims_of_the_dead_go_back(tmp_path: Path) -> None:
    """Also after kill -9; what was recovered once is not recovered again."""
    spool = Spool(tmp_path / "spool")
    spool.put("a", b"1")
    spool.put("a", b"2")
    process = spawn(claim_and_hang, tmp_path / "spool", tmp_path / "ready")
    while not (tmp_path / "ready").exists():
        process.join(0.01)
        assert process.is_alive()
    assert spool.recover() == 0
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert spool.recover() == 1
    assert spool.recover() == 0
    assert payloads(spool, "a") == [b"1", b"2"]
    assert list((tmp_path / "spool" / "claimed").glob("*.lock")) != []
    spool.close()
    assert list((tmp_path / "spool" / "claimed").iterdir()) == []


def put_many(folder: Path, start: int, count: int) -> None:
    """Put numbered messages of some size."""
    spool = Spool(folder)
    for number in range(start, start + count):
        spool.put("a", str(number).encode() + b" " * 3000)


def take_many(folder: Path, results: Path) -> None:
    """Take messages until there is one that says to stop, and keep a list."""
    spool = Spool(folder)
    with results.open("w") as file:
        while True:
            claim = spool.claim("a")
            if claim is None:
                spool.recover()
                # What is left is another taker's, in another process; it may die and leave it to this one.
                time.sleep(0.01)
                continue
            if claim.payload == b"stop":
                spool.finish(claim)
                return
            file.write(f"{int(claim.payload)} {len(claim.payload)}\n")
            spool.finish(claim)


def test_many_writers_and_readers_lose_and_double_nothing(tmp_path: Path) -> None:
    """Every message is taken whole, and once."""
    folder = tmp_path / "spool"
    readers = [spawn(take_many, folder, tmp_path / f"taken{number}") for number in range(2)]
    writers = [spawn(put_many, folder, number * 75, 75) for number in range(2)]
    for process in writers:
        process.join()
    for _ in readers:
        Spool(folder).put("a", b"stop")
    for process in readers:
        process.join()
    assert [process.exitcode for process in readers + writers] == [0] * 4
    taken = [line.split() for path in tmp_path.glob("taken*") for line in path.read_text().splitlines()]
    assert sorted(int(number) for number, _ in taken) == list(range(150))
    assert all(int(size) == len(number) + 3000 for number, size in taken)


def spawn(target: object, *arguments: object) -> SpawnProcess:
    """Start a process that shares nothing with this one."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=arguments)  # type: ignore[arg-type]  # any function
    process.start()
    return process


def test_a_message_is_on_the_disk_before_its_sender_goes_on(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, and the folder that has its name."""
    synced: list[str] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    spool.put("a", b"x")
    assert synced == ["file", "folder"]


def test_what_cannot_be_read_is_set_aside(spool: Spool, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A folder, a link to nothing and a pipe are logged, kept, and the message after them is taken."""
    spool.put("a", b"whole")
    queue = tmp_path / "spool" / "queues" / "a.queue"
    (queue / "0.msg").mkdir()
    (queue / "1.msg").symlink_to("nowhere")
    os.mkfifo(queue / "2.msg")
    assert payloads(spool, "a") == [b"whole"]
    assert sorted(path.name for path in (tmp_path / "spool" / "unreadable").iterdir()) == [
        "a@0.msg",
        "a@1.msg",
        "a@2.msg",
    ]
    assert caplog.text.count("was set aside") == 3


def test_what_was_set_aside_before_is_kept(spool: Spool, tmp_path: Path) -> None:
    """The next of the same name does not replace it, nor is it in the way where it is a folder."""
    queue = tmp_path / "spool" / "queues" / "a.queue"
    spool.put("a", b"whole")
    for number in range(2):
        (queue / "0.msg").mkdir()
        (queue / "0.msg" / str(number)).touch()
        spool.put("a", b"whole")
        assert set(payloads(spool, "a")) == {b"whole"}
    kept = tmp_path / "spool" / "unreadable"
    assert sorted(path.name for path in kept.glob("*/*")) == ["0", "1"]


def test_a_name_that_no_claim_can_have_is_set_aside(spool: Spool, tmp_path: Path) -> None:
    """Too long with the queue's name before it, or none that text can hold."""
    queue = tmp_path / "spool" / "queues" / "a.queue"
    spool.put("a", b"whole")
    (queue / ("0" * 250 + ".msg")).touch()
    (queue / os.fsdecode(b"\xff.msg")).write_bytes(b"odd")
    assert payloads(spool, "a") == [b"whole", b"odd"]
    assert len(list((tmp_path / "spool" / "unreadable").iterdir())) == 1


def test_what_nobody_claimed_keeps_nothing_back(spool: Spool, tmp_path: Path) -> None:
    """Files that somebody put among a dead process's claims are set aside, and its messages go back."""
    desk = tmp_path / "spool" / "claimed" / "0123"
    desk.mkdir(parents=True)
    desk.with_suffix(".lock").touch()
    for name in ("0.msg", "%2F" * 60 + "@1.msg", "zz.msg"):
        (desk / name).touch()
    (desk / "a@5.msg").write_bytes(b"whole")
    assert spool.recover() == 1
    assert payloads(spool, "a") == [b"whole"]
    assert not desk.exists()
    assert len(list((tmp_path / "spool" / "unreadable").iterdir())) == 3


def test_many_messages_are_listed_once(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look into the folder costs what waits there: looking again for each few makes that the square of it."""
    looks = 0
    glob = Path.glob

    def counted(self: Path, pattern: str) -> object:
        nonlocal looks
        looks += 1
        return glob(self, pattern)

    for number in range(150):
        spool.put("a", str(number).encode())
    monkeypatch.setattr(Path, "glob", counted)
    assert len(payloads(spool, "a")) == 150
    assert looks == 2
