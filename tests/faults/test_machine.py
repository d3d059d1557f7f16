"""Any sequence of calls, crashes and faults, held against a model that is a plain dict."""

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ailf.errors import AilfError
from tests.faults.check import assert_sound
from tests.faults.peer import Peer

pytestmark = pytest.mark.usefixtures("faulty")

UNFINISHED = ("pending", "running")
ENDS = {"quick": "completed", "threaded": "completed", "failing": "failed", "gated": "completed"}
RESULTS: dict[str, Any] = {"quick": {"square": 49}, "threaded": "from a thread", "failing": None}
STATES = st.sampled_from(["running", "completed", "failed", "cancelled"])


@dataclass
class Task:
    """What is known of a task."""

    kind: str
    owner: int
    color: str
    status: str = "running"
    progress: float = 0


class JournalMachine(RuleBasedStateMachine):
    """Two processes on one journal; the model says what each of them, and SQL, must answer."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.journal = self.folder / "tasks.db"
        self.tasks: dict[str, Task] = {}
        self.peers: list[Peer] = []
        self.is_faulty = [False, False]
        self.final: dict[str, tuple[Any, ...]] = {}

    @initialize()
    def start(self) -> None:
        """Two processes open the journal."""
        self.peers = [Peer(self.journal), Peer(self.journal)]

    def a_task(self, data: st.DataObject, *, of: int, statuses: tuple[str, ...]) -> str | None:
        """One of the tasks of a process, if it has such a one."""
        chosen = [key for key, task in self.tasks.items() if task.owner == of and task.status in statuses]
        return data.draw(st.sampled_from(chosen)) if chosen else None

    who = st.integers(0, 1)

    @rule(who=who, kind=st.sampled_from(sorted(ENDS)), color=st.sampled_from(["red", "blue"]))
    def submit(self, who: int, kind: str, color: str) -> None:
        """Submit a task, and wait for its end unless it waits for its gate."""
        task_id = f"t{len(self.tasks)}"
        if self.is_faulty[who]:
            with pytest.raises(AilfError, match="JournalError"):
                self.peers[who].ask("submit", task_id=task_id, kind=kind, metadata={"color": color})
            return
        self.peers[who].ask("submit", task_id=task_id, kind=kind, metadata={"color": color})
        task = self.tasks[task_id] = Task(kind, who, color)
        if kind != "gated":
            assert self.peers[who].ask("wait", task_id=task_id, timeout=None) == RESULTS[kind]
            task.status = ENDS[kind]

    @rule(who=who, value=st.integers(0, 100), message=st.none() | st.text(max_size=5), data=st.data())
    def report(self, who: int, value: int, message: str | None, data: st.DataObject) -> None:
        """Report progress, which counts for a running task of the same process, written or not."""
        task_id = self.a_task(data, of=who, statuses=(*UNFINISHED, "completed"))
        if task_id is None:
            return
        is_running = self.tasks[task_id].status == "running"
        assert self.peers[who].ask("progress", task_id=task_id, value=value, message=message) == is_running
        if is_running:
            self.tasks[task_id].progress = value

    @rule(who=who, data=st.data())
    def cancel(self, who: int, data: st.DataObject) -> None:
        """Cancel a task, whichever process runs it; one that has ended is left as it is."""
        if self.is_faulty[who] or not self.tasks:
            return
        task_id = data.draw(st.sampled_from(sorted(self.tasks)))
        task = self.tasks[task_id]
        if self.is_faulty[task.owner]:
            return
        can_be = task.status == "running"
        assert self.peers[who].ask("cancel", task_id=task_id) == can_be
        if can_be:
            task.status = "cancelled"

    @rule(who=who, data=st.data())
    def finish(self, who: int, data: st.DataObject) -> None:
        """Let a task end; on a faulty disk nobody hears of its end."""
        task_id = self.a_task(data, of=who, statuses=("running",))
        if task_id is None:
            return
        self.peers[who].ask("open_gate", task_id=task_id)
        if self.is_faulty[who]:
            assert self.peers[who].ask("wait", task_id=task_id, timeout=0.01) is None
            self.tasks[task_id].status = "unwritten"
        else:
            assert self.peers[who].ask("wait", task_id=task_id, timeout=None) == "through the gate"
            self.tasks[task_id].status = "completed"

    @rule(who=who, data=st.data())
    def wait_a_little(self, who: int, data: st.DataObject) -> None:
        """Wait too short for a task; it runs on."""
        task_id = self.a_task(data, of=who, statuses=("running",))
        if task_id is None:
            return
        assert self.peers[who].ask("wait", task_id=task_id, timeout=0) is None

    @rule(who=who, status=st.none() | STATES, color=st.sampled_from(["red", "blue"]), newest_first=st.booleans())
    def list_some(self, who: int, status: str | None, color: str, newest_first: bool) -> None:  # noqa: FBT001
        """List the tasks that fit some conditions, in order."""
        listed = self.peers[who].ask("list", status=status, metadata={"color": color}, newest_first=newest_first)
        fitting = [
            key for key, task in self.tasks.items() if task.color == color and status in (None, self.said_of(task))
        ]
        assert [task_id for task_id, _, _ in listed] == (fitting[::-1] if newest_first else fitting)

    @rule(who=who)
    def clean_up(self, who: int) -> None:
        """Clean up: both processes are alive, and nothing is old."""
        if self.is_faulty[who]:
            return
        assert self.peers[who].ask("clean_up") == 0

    @rule(who=who)
    def crash(self, who: int) -> None:
        """Kill a process and start another, which fails what the dead one left, and only that."""
        self.peers[who].kill()
        self.peers[who] = Peer(self.journal)
        self.is_faulty[who] = False
        for task in self.tasks.values():
            if task.owner == who and task.status in ("running", "unwritten"):
                task.status = "failed"

    @rule(who=who)
    def stop_and_start(self, who: int) -> None:
        """Stop a manager and start another."""
        if self.is_faulty[who]:
            return
        self.peers[who].stop()
        self.peers[who] = Peer(self.journal)
        for task in self.tasks.values():
            if task.owner == who and task.status == "running":
                task.status = "cancelled"

    @precondition(lambda self: not all(self.is_faulty))
    @rule(who=who)
    def break_disk(self, who: int) -> None:
        """From now on the disk is full."""
        if self.is_faulty[who]:
            return
        self.peers[who].ask("fault", on=True)
        self.is_faulty[who] = True

    @precondition(lambda self: any(self.is_faulty))
    @rule()
    def mend_disks(self) -> None:
        """There is room again, and what waited for it is written."""
        for who, peer in enumerate(self.peers):
            if self.is_faulty[who]:
                peer.ask("fault", on=False)
        self.is_faulty = [False, False]
        for task in self.tasks.values():
            if task.status == "unwritten":
                task.status = "completed"

    def said_of(self, task: Task) -> str:
        """What everybody says of a task: an end that is not written has not come."""
        return "running" if task.status == "unwritten" else task.status

    @invariant()
    def everybody_says_the_same(self) -> None:
        """SQL and both processes say what the model says; what has ended stays as it is."""
        with closing(sqlite3.connect(self.journal)) as connection:
            rows = connection.execute("SELECT * FROM tasks ORDER BY rowid").fetchall() if self.peers else []
        said = {key: self.said_of(task) for key, task in self.tasks.items()}
        assert {row[0]: row[2] for row in rows} == said
        for row in rows:
            if row[2] not in UNFINISHED:
                assert self.final.setdefault(row[0], row) == row
        for who, peer in enumerate(self.peers):
            listed = peer.ask("list")
            assert {task_id: status for task_id, status, _ in listed} == said
            for task_id, _, progress in listed:
                task = self.tasks[task_id]
                if task.owner == who and task.status == "running":
                    assert progress == task.progress

    def teardown(self) -> None:
        """In the end the file is whole, and its timelines are in order."""
        try:
            for peer in self.peers:
                peer.kill()
            if self.peers:
                assert_sound(self.journal)
        finally:
            shutil.rmtree(self.folder)


def test_any_sequence_of_calls_crashes_and_faults_keeps_the_promises(step: int) -> None:
    """Whatever is called, killed and broken in whatever order, ends are final and SQL says what the API says."""
    run_state_machine_as_test(
        JournalMachine,
        settings=settings(
            max_examples=100 if step == 1 else 6,
            stateful_step_count=25,
            deadline=None,
            # Shrinking a failure takes processes by the thousand; the steps that are printed say enough.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
