"""Several processes on one journal, and trouble for all of them.

``python -m tests.faults.chaos --seconds 60 --seed 7`` prints what it did as one line of figures.

Workers run tasks and say what was acknowledged to them. Meanwhile they are killed, stopped and continued, fork
children that want to use the journal too, lose their lock files or find others in their place, their disk is made
small, and a stranger locks the journal. Half of them bring observers and handlers of the log that raise, and garbage
that calls the manager when it is collected, at any moment; and their stops are cancelled. In the end the journal must
have everything that was acknowledged, and no task of a process that lived may be FAILED for its death.
"""

import argparse
import os
import resource
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from ailf.async_tasks.journal.care.locks import LOCK_PATTERN
from ailf.async_tasks.journal.form import owners_folder
from tests.faults.check import assert_sound, ends_in, recover
from tests.faults.children import CONTEXT, PATIENCE_SECONDS
from tests.faults.worker import COPY, FORK, work

WORKERS = 4

LONGEST_CHILD_SECONDS = 5.0
"""After which time no child of a worker's fork tries to use the journal any more, on a busy machine."""

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@dataclass
class Worker:
    """A worker process, as its tormentor sees it."""

    name: str
    pipe: Connection
    process: Any
    said: list[dict[str, Any]] = field(default_factory=list)
    was_killed: bool = False

    @classmethod
    def start(cls, journal: Path, name: str, seed: int) -> "Worker":
        """Start one, and listen to it."""
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=work, args=(theirs, journal, name, seed), daemon=True)
        process.start()
        theirs.close()
        worker = cls(name, ours, process)
        worker.listener = threading.Thread(target=worker.listen, daemon=True)
        worker.listener.start()
        return worker

    listener: threading.Thread = field(init=False)

    def listen(self) -> None:
        """Take down what it says, to its end."""
        with suppress(EOFError, OSError):
            while True:
                self.said.append(self.pipe.recv())

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.was_killed = True
        assert self.process.is_alive(), (self.name, self.process.exitcode, self.said[-3:])
        os.kill(self.process.pid, signal.SIGKILL)
        self._gone()

    def finish(self) -> None:
        """Have it stop as a program should."""
        self.pipe.send("stop")
        self._gone()
        assert self.process.exitcode == 0, (self.name, self.process.exitcode, self.said[-3:])

    def _gone(self) -> None:
        self.process.join(PATIENCE_SECONDS)
        assert not self.process.is_alive(), f"{self.name} hangs; it said {self.said[-3:]}"
        self.listener.join(PATIENCE_SECONDS)
        self.pipe.close()


class Chaos:
    """The tormentor."""

    def __init__(self, journal: Path, seed: int, *, takes_logs: bool = True) -> None:
        """Begin.

        Args:
            journal: the journal to be.
            seed: of all that is left to chance.
            takes_logs: whether logs are taken away too, by deletion or by a worker that reads its own journal. SQLite
                itself promises nothing then: now and then a program that is no manager finds the file malformed, and a
                worker goes on refusing because what is left of its connections cannot be let go.
        """
        self._takes_logs = takes_logs
        self._journal = journal
        self._random = Random(seed)
        self._workers: list[Worker] = []
        self._all: list[Worker] = []
        self._forked_at = 0.0
        self.figures: Counter[str] = Counter()

    def run(self, seconds: float) -> Counter[str]:
        """Torment for so long, then check; returns the figures."""
        for _ in range(WORKERS):
            self._start()
        actions = (
            self._kill,
            self._kill,
            self._pause,
            self._lock,
            self._lock,
            self._fill_disk,
            self._restart,
            self._fork,
            self._tidy_up,
            self._move_away,
            self._link,
            *((self._take_log, self._copy) if self._takes_logs else ()),
        )
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                self._random.choice(actions)()
            except ProcessLookupError:
                # Nobody but the tormentor ends a worker.
                dead = [worker for worker in self._workers if not worker.process.is_alive()]
                raise AssertionError([(one.name, one.process.exitcode, one.said[-3:]) for one in dead]) from None
            # Here and below the random length is the disturbance itself: nothing is waited for.
            time.sleep(self._random.uniform(0.01, 0.2))
        for worker in self._workers:
            worker.finish()
        self._check()
        return self.figures

    def _start(self) -> None:
        worker = Worker.start(self._journal, f"w{len(self._all)}", self._random.randrange(2**32))
        self._workers.append(worker)
        self._all.append(worker)
        self.figures["processes"] += 1

    def _take(self) -> Worker:
        return self._workers.pop(self._random.randrange(len(self._workers)))

    def _kill(self) -> None:
        self._take().kill()
        self.figures["killed"] += 1
        self._start()

    def _restart(self) -> None:
        self._take().finish()
        self.figures["restarted"] += 1
        self._start()

    def _pause(self) -> None:
        worker = self._random.choice(self._workers)
        os.kill(worker.process.pid, signal.SIGSTOP)
        time.sleep(self._random.uniform(0.05, 1.0))
        os.kill(worker.process.pid, signal.SIGCONT)
        self.figures["paused"] += 1

    def _take_log(self) -> None:
        """Delete the log, its index, or both, from under everybody; there are always some alive who have read it."""
        if len(self._at_work()) < WORKERS:
            return
        for suffix in self._random.choice((("-wal",), ("-shm",), ("-wal", "-shm"))):
            self._journal.with_name(f"{self._journal.name}{suffix}").unlink(missing_ok=True)
        self.figures["logs taken away"] += 1

    def _copy(self) -> None:
        if ready := self._at_work():
            os.kill(self._random.choice(ready).process.pid, COPY)
            self.figures["read by a worker itself"] += 1

    def _move_away(self) -> None:
        """Rename the journal for a while; nobody starts meanwhile, who would make a new one."""
        if len(self._at_work()) < WORKERS or time.monotonic() < self._forked_at + LONGEST_CHILD_SECONDS:
            return
        away = self._journal.with_name("away.db")
        self._journal.rename(away)
        time.sleep(self._random.uniform(0.01, 0.3))
        away.rename(self._journal)
        self.figures["moved away"] += 1

    def _link(self) -> None:
        """Give the journal a second name for a while: who starts is refused, who is at work goes on."""
        if not self._at_work():
            return
        link = self._journal.with_name("link.db")
        link.hardlink_to(self._journal)
        time.sleep(self._random.uniform(0.01, 0.3))
        link.unlink()
        self.figures["linked"] += 1

    def _at_work(self) -> list[Worker]:
        """Those that have started, and listen to signals."""
        return [one for one in self._workers if any(line["what"] != "not started" for line in one.said)]

    def _fork(self) -> None:
        self._forked_at = time.monotonic()
        # One that has not said anything may not listen to signals yet.
        if ready := [worker for worker in self._workers if worker.said]:
            os.kill(self._random.choice(ready).process.pid, FORK)

    def _tidy_up(self) -> None:
        """Remove the lock file of somebody, who is alive as a rule, or put another in its place, which nobody holds."""
        if not (files := sorted(owners_folder(self._journal).glob(LOCK_PATTERN))):
            return
        file = self._random.choice(files)
        if self._random.random() < 0.5:
            file.unlink(missing_ok=True)
            self.figures["lock files removed"] += 1
        else:
            another = self._journal.with_name("another.lock")
            another.touch(0o600)
            another.replace(file)
            self.figures["lock files replaced"] += 1

    def _lock(self) -> None:
        stranger = sqlite3.connect(self._journal, timeout=0.2, isolation_level=None)
        # A paused worker may hold the lock: a stranger does not get it then, either.
        with closing(stranger), suppress(sqlite3.OperationalError):
            stranger.execute("BEGIN IMMEDIATE")
            time.sleep(self._random.uniform(0.01, 0.4))
            stranger.execute("ROLLBACK")
            self.figures["locked"] += 1

    def _fill_disk(self) -> None:
        worker = self._random.choice(self._workers)
        log = self._journal.with_name(f"{self._journal.name}-wal")
        size = log.stat().st_size if log.exists() else 0
        resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        time.sleep(self._random.uniform(0.05, 0.6))
        resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, UNLIMITED)
        self.figures["disks filled"] += 1

    def _check(self) -> None:
        recover(self._journal)
        assert_sound(self._journal)
        ends = ends_in(self._journal)
        self.figures["tasks"] = len(ends)
        self.figures["lost"] = self.figures["wrongly failed"] = 0
        for worker in self._all:
            for line in worker.said:
                self._compare(worker, line, ends)
        killed = {worker.name for worker in self._all if worker.was_killed}
        for task_id, (status, reason, _) in ends.items():
            if reason == "process_died":
                self.figures["failed with their process"] += 1
                self.figures["wrongly failed"] += task_id.split("-")[0] not in killed
            assert status in ("completed", "failed", "cancelled"), (task_id, status)

    def _compare(
        self, worker: Worker, line: dict[str, Any], ends: dict[str, tuple[str, str | None, str | None]]
    ) -> None:
        match line:
            case {"what": "submitted", "id": task_id}:
                self.figures["acknowledged"] += 1
                self.figures["lost"] += task_id not in ends
            case {"what": "ended", "id": task_id, "status": status}:
                self.figures["acknowledged"] += 1
                self.figures["lost"] += task_id not in ends or ends[task_id][0] != status
            case {"what": "refused", "id": task_id}:
                self.figures["refused"] += 1
                assert task_id not in ends, f"{task_id} was refused and is in the journal"
            case {"what": "forked", "exit_code": code}:
                self.figures["forked"] += 1
                assert code == 0, f"a child of {worker.name} was not refused the journal ({code})"
            case {"what": "stop cut short"}:
                self.figures["stops cut short"] += 1
            case {"what": "broken"}:
                raise AssertionError(f"{worker.name} broke:\n{line['traceback']}")


def in_one_line(seed: int, seconds: float, figures: Counter[str]) -> str:
    """The figures as the command prints them."""
    return f"seed {seed}, {seconds:g} s: " + ", ".join(f"{what} {count}" for what, count in figures.items())


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--keep-logs", action="store_true", help="leave the write-ahead log alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = Chaos(Path(folder) / "tasks.db", options.seed, takes_logs=not options.keep_logs).run(options.seconds)
    print(in_one_line(options.seed, options.seconds, figures))  # noqa: T201 - the command's output
    return int(figures["lost"] + figures["wrongly failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
