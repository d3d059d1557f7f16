"""The libraries: with which settings each is run, and what it keeps."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peer:
    """One library with one set of settings: ``LIBRARY.txt`` pins what is installed, ``run_LIBRARY.py`` runs it."""

    name: str
    synchronous: str
    """SQLite's setting as it is run here, and its kind of log: what a commit survives, and costs."""
    history: str
    """What it keeps of tasks that have ended, and of how they came there."""
    results: str
    """What it keeps of their results."""
    settings: str
    """How it is run here: polling is set as fast as it goes, which is to its advantage."""
    least_python: tuple[int, int] = (3, 11)
    is_rival: bool = True
    """Whether it is one of those that the goal of three times their throughput is about."""
    variant: str = ""
    """Which settings, where a library is there with several; its script is given the word."""
    scale: float = 1.0
    """Which part of the work it does: a slow one does less, and rates stay comparable."""

    @property
    def library(self) -> str:
        """The library's name, without the word for its settings."""
        return self.name.removesuffix(f"-{self.variant}")


OURS = "ailf"

PEERS = (
    Peer(
        OURS,
        "NORMAL, WAL",
        "every task, every transition",
        "JSON",
        "TaskManager(journal, retention=None), all else as it comes",
        is_rival=False,
    ),
    Peer(
        "ailf-power",
        "FULL, WAL",
        "every task, every transition",
        "JSON",
        'the same with durability="power"',
        is_rival=False,
        variant="power",
        scale=0.2,
    ),
    Peer(
        "huey",
        "OFF, WAL",
        "none",
        "until read",
        "SqliteHuey(fsync=False), one worker thread, initial_delay and max_delay 1 ms; waits poll every 1 ms",
    ),
    Peer(
        "huey-full",
        "FULL, WAL",
        "none",
        "until read",
        "the same without fsync=False, as it comes",
        variant="full",
        scale=0.2,
    ),
    Peer(
        "dura",
        "FULL, WAL",
        "tasks and attempts",
        "JSON",
        "DurableEngine, one run_worker thread, poll_interval 1 ms; get_task every 1 ms",
        least_python=(3, 13),
    ),
    Peer(
        "pulse-queue",
        "NORMAL, WAL",
        "tasks, last state",
        "none",
        "WorkerPool(concurrency=1), poll_interval 1 ms; find_task every 1 ms",
        least_python=(3, 12),
    ),
    Peer(
        "dbos",
        "FULL, rollback",
        "workflows",
        "serialized",
        "SQLite system database, start_workflow_async, then get_result of its handle, woken in the process",
        scale=0.5,
    ),
    Peer(
        "qler",
        "NORMAL, WAL",
        "jobs and attempts",
        "JSON",
        "Worker(concurrency=8, poll_interval=0.001) in the same loop; job.wait(), woken in the process",
        least_python=(3, 12),
        scale=0.5,
    ),
    Peer(
        "apscheduler",
        "FULL, rollback",
        "none",
        "until read",
        "SQLAlchemyDataStore on aiosqlite, add_job with result_expiration_time, get_job_result",
        scale=0.2,
    ),
    Peer(
        "celery",
        "FULL, rollback",
        "the end of each task",
        "JSON",
        "sqla+sqlite broker and db+sqlite results, a worker of one thread in the process, polling_interval 1 ms",
        is_rival=False,
        scale=0.2,
    ),
    Peer(
        "prefect",
        "NORMAL, WAL",
        "task runs, seconds later",
        "in memory",
        "tasks in a flow on the ephemeral server with SQLite",
        is_rival=False,
        scale=0.1,
    ),
)
