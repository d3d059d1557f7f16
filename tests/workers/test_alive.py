"""Work that lives is never declared dead, and work that is dead is never waited for: with real workers."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain
from kombu.entity import Exchange, Queue

from ailf.errors import RemoteTaskFailedError, ResultExpiredError, WorkerLostError
from ailf.workers import inquiry, run_celery
from tests.conftest import until
from tests.redis_server import HOST, PrivateServer
from tests.workers.worker_process import Worker, sender


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Iterator[list[Worker]]:
    """Three workers of one broker: a plain one, one of another queue, and one of the pool solo that seems far away."""
    with PrivateServer() as server:
        environment = {"CELERY_BROKER_URL": server.url}
        folder = tmp_path_factory.mktemp("crew")
        workers = [
            Worker(folder, environment, "-n", "plain@%h", concurrency=3),
            Worker(folder, environment, "-n", "slow@%h", "-Q", "slow", concurrency=1),
            Worker(folder, environment, "-n", "solo@far.example", "-Q", "far", pool="solo", concurrency=1),
        ]
        yield [worker.wait_ready() for worker in workers]
        for worker in workers:
            worker.stop()


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch, impatient: None) -> Callable[[], int]:
    """Count the inquiries that were answered."""
    answered: list[inquiry.Report] = []
    inquire = inquiry.inquire

    def counted(*arguments: Any) -> inquiry.Report:
        answered.append(inquire(*arguments))
        return answered[-1]

    monkeypatch.setattr(inquiry, "inquire", counted)
    return lambda: len(answered)


def has_begun(folder: Path) -> bool:
    """Whether the holding task began."""
    return (folder / "begun").exists()


def hold(worker: Worker, folder: Path, **options: Any) -> Any:
    """A task that waits for a file."""
    folder.mkdir(exist_ok=True)
    return worker.app.signature("test.hold", args=[str(folder)], options=options)


async def after_rounds(rounds: Callable[[], int], count: int) -> None:
    """Wait until the workers have been asked so many times more."""
    before = rounds()
    await until(lambda: rounds() >= before + count)


async def test_work_that_lives_is_not_lost(crew: list[Worker], tmp_path: Path, rounds: Callable[[], int]) -> None:
    """In another queue, behind a rate limit, on a busy worker that cannot answer, and as what has replaced it."""
    app = crew[0].app
    async with asyncio.TaskGroup() as group:
        calls = {
            "running": group.create_task(run_celery(hold(crew[0], tmp_path / "running", queue="slow"))),
            "silent": group.create_task(run_celery(hold(crew[0], tmp_path / "silent", queue="far"))),
            "replaced": group.create_task(
                run_celery(app.signature("test.replaced", args=[str(tmp_path / "replaced")]))
            ),
        }
        (tmp_path / "replaced").mkdir()
        limited = [group.create_task(run_celery(app.signature("test.limited"))) for _ in range(3)]
        await until(lambda: all(has_begun(tmp_path / name) for name in calls))
        add = app.signature("test.add", args=[1, 1], options={"queue": "slow"})
        queued = group.create_task(run_celery(add))
        await after_rounds(rounds, 4)
        assert not any(call.done() for call in [*calls.values(), queued])
        for name in calls:
            (tmp_path / name / "release").touch()
    assert [call.result() for call in calls.values()] == ["released", "released", 2]
    assert queued.result() == 2
    assert [call.result() for call in limited] == ["run"] * 3


async def test_a_task_that_an_exchange_gave_to_another_queue_is_not_lost(
    crew: list[Worker], tmp_path: Path, rounds: Callable[[], int]
) -> None:
    """A routing key alone decides: the queue that Celery declares with the message has nothing of it."""
    # A name of its own: kombu takes what another application has declared at an address for declared.
    app = sender({"CELERY_BROKER_URL": crew[0].app.conf.broker_url.replace(HOST, "localhost")})
    exchange: Any = Exchange("topics", type="topic")  # type: ignore[no-untyped-call]  # kombu has types in part
    make_queue: Any = Queue
    app.conf.task_queues = [make_queue(name, exchange, routing_key=f"{name}.#") for name in ("ailf", "slow")]
    with app.connection_for_write() as connection:
        for queue in app.conf.task_queues:
            queue(connection.default_channel).declare()
    running = app.signature("test.hold", args=[str(tmp_path)], options={"routing_key": "slow.one"})
    queued = app.signature("test.add", args=[1, 1], options={"routing_key": "slow.two"})
    first = asyncio.create_task(run_celery(running))
    await until(lambda: has_begun(tmp_path))
    second = asyncio.create_task(run_celery(queued))
    await after_rounds(rounds, 4)
    assert not second.done()
    (tmp_path / "release").touch()
    assert (await first, await second) == ("released", 2)


async def test_work_that_is_dead_is_not_waited_for(crew: list[Worker], tmp_path: Path, impatient: None) -> None:
    """The error says by what: a silent worker, a queue that nobody takes from, no result ever stored."""
    app = crew[0].app
    nobody = app.signature("test.add", args=[1, 1], options={"queue": "nobody"})
    marker = tmp_path / "ignored"
    ignored = app.signature("test.ignoring", args=[str(marker)], options={"queue": "slow"})
    first = asyncio.create_task(run_celery(ignored))
    await until(marker.exists)
    busy = asyncio.create_task(run_celery(hold(crew[0], tmp_path / "busy", queue="slow")))
    await until(lambda: has_begun(tmp_path / "busy"))
    behind = asyncio.create_task(run_celery(app.signature("test.add", args=[1, 1], options={"queue": "slow"})))
    ended: Any = await asyncio.gather(
        run_celery(hold(crew[0], tmp_path, queue="far"), worker_timeout=4),
        run_celery(nobody, worker_timeout=2),
        run_celery(app.signature("test.ignoring"), worker_timeout=8),
        run_celery(app.signature("test.rejecting")),
        return_exceptions=True,
    )
    silent, untaken, ignoring, rejecting = ended
    (tmp_path / "release").touch()
    # Something waits in its queue all the time, and is not this task.
    with pytest.raises((ResultExpiredError, WorkerLostError)):
        await first
    assert not behind.done()
    (tmp_path / "busy" / "release").touch()
    assert (await busy, await behind) == ("released", 2)
    assert isinstance(silent, WorkerLostError)
    assert "no worker gave a sign of life for 4 s" in str(silent)
    assert isinstance(untaken, WorkerLostError)
    assert "-Q nobody" in str(untaken)
    # The silent worker may have that one, for all anybody knows.
    assert isinstance(ignoring, ResultExpiredError | WorkerLostError)
    assert isinstance(rejecting, RemoteTaskFailedError)


async def test_a_worker_that_lives_is_not_said_to_have_died(
    crew: list[Worker], tmp_path: Path, impatient: None
) -> None:
    """Where another one that is known is silent, and may have the task: the error says who answered."""
    silent = asyncio.create_task(run_celery(hold(crew[0], tmp_path / "silent", queue="far")))
    await until(lambda: has_begun(tmp_path / "silent"))
    with pytest.raises(WorkerLostError, match="answers, and has it no more") as caught:
        await run_celery(crew[0].app.signature("test.ignoring"), worker_timeout=3)
    assert "died" not in str(caught.value)
    (tmp_path / "silent" / "release").touch()
    assert await silent == "released"


async def test_a_task_that_ends_without_a_result_is_told(folder_worker: Worker, impatient: None) -> None:
    """Ignore stores nothing: the wait ends all the same, and says why."""
    with pytest.raises(ResultExpiredError, match=r"raise Ignore\(\)"):
        await run_celery(folder_worker.app.signature("test.ignoring"))


async def test_a_chain_whose_worker_was_killed_is_lost(
    tmp_path: Path, celery_redis: PrivateServer, impatient: None
) -> None:
    """Nobody will ever have its last task, and no other worker's answer hides that."""
    environment = {"CELERY_BROKER_URL": f"{celery_redis.url[:-1]}2"}
    worker = Worker(tmp_path, environment, "-n", "killed@%h", concurrency=1)
    other = Worker(tmp_path, environment, "-n", "other@%h", "-Q", "other", concurrency=1)
    try:
        worker.wait_ready()
        other.wait_ready()
        signature = chain(hold(worker, tmp_path), worker.app.signature("test.add", args=[1, 1], immutable=True))
        waiting = asyncio.create_task(run_celery(signature, worker_timeout=4))
        await until(lambda: has_begun(tmp_path))
        worker.kill()
        with pytest.raises(WorkerLostError, match="is lost"):
            await waiting
    finally:
        worker.stop()
        other.stop()


async def test_a_task_outlives_a_redis_that_forgets_everything(tmp_path: Path, rounds: Callable[[], int]) -> None:
    """Restarted without persistence: the worker is asked, and has the task; its result comes all the same."""
    with PrivateServer() as server:
        worker = Worker(tmp_path, {"CELERY_BROKER_URL": server.url}, concurrency=1)
        try:
            worker.wait_ready()
            waiting = asyncio.create_task(run_celery(hold(worker, tmp_path)))
            await until(lambda: has_begun(tmp_path))
            server.stop()
            server.start()
            await after_rounds(rounds, 3)
            assert not waiting.done()
            (tmp_path / "release").touch()
            assert await waiting == "released"
        finally:
            worker.stop()
