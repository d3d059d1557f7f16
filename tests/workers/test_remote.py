"""Awaiting Celery tasks, with real workers over a folder and over Redis."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from celery import Signature, chain, chord, group

from ailf.async_tasks import TaskManager, TaskStatus, current_task
from ailf.errors import (
    BrokerError,
    DocumentNotFoundError,
    InvalidArgumentError,
    InvalidTypeError,
    RemoteTaskFailedError,
    RemoteTaskRevokedError,
    RemoteTimeoutError,
    ResultExpiredError,
    WorkerLostError,
)
from ailf.workers import run_celery
from tests.conftest import until
from tests.redis_server import HOST, PrivateServer, free_port
from tests.workers.worker_process import Worker, sender


@pytest.fixture
async def manager(tmp_path: Path) -> AsyncIterator[TaskManager]:
    """A started manager."""
    async with TaskManager(tmp_path / "journal.db") as started:
        yield started


def begun(folder: Path) -> list[int]:
    """The processes in which the holding task began."""
    marker = folder / "begun"
    return [int(line) for line in marker.read_text().split()] if marker.exists() else []


async def test_a_document_is_processed_by_a_worker(worker: Worker) -> None:
    """The result is the worker's, whatever lies between."""
    result = await run_celery(worker.app.signature("tasks.process_document", args=["doc1"]))
    assert (result["document_id"], result["status"], result["title"], result["words"]) == (
        "doc1",
        "completed",
        "Cats",
        7,
    )
    assert result["terms"][:2] == [{"term": "cats", "count": 3}, {"term": "boxes", "count": 2}]


async def test_a_batch_goes_on_past_a_document_that_fails(worker: Worker) -> None:
    """What failed says why, in its place."""
    result = await run_celery(worker.app.signature("tasks.batch_process", args=[["doc1", "nope", "doc2"]]))
    assert (result["completed"], result["failed"]) == (2, 1)
    assert [document["document_id"] for document in result["documents"]] == ["doc1", "nope", "doc2"]
    assert result["documents"][1]["error_type"] == "DocumentNotFoundError"


async def test_many_waits_share_what_they_wait_with(worker: Worker) -> None:
    """Results come back to whoever waits for them."""
    calls = [run_celery(worker.app.signature("test.add", args=[number, 1])) for number in range(12)]
    assert await asyncio.gather(*calls) == list(range(1, 13))


async def test_progress_of_the_worker_is_progress_of_the_task(
    prefork_worker: Worker, manager: TaskManager, tmp_path: Path
) -> None:
    """A journaled task shows what the worker reports, as it does."""
    signature = prefork_worker.app.signature("test.steps", args=[str(tmp_path), 4])
    task_id = await manager.submit(run_celery(signature))
    for step in range(4):
        await until(partial(has_progress, manager, task_id, 25 * (step + 1), f"step {step + 1}"))
        (tmp_path / str(step)).touch()
    assert await manager.result(task_id) == "done"
    reported = [event.progress for event in manager.get_task_events(task_id) if event.kind == "progress"]
    assert reported == [25, 50, 75, 100]


def has_progress(manager: TaskManager, task_id: str, progress: float, message: str) -> bool:
    """Whether a task shows this progress and message."""
    info = manager.get_task_info(task_id)
    assert info is not None
    return (info.progress, info.progress_message) == (progress, message)


async def test_progress_goes_to_whom_is_named_instead(prefork_worker: Worker, tmp_path: Path) -> None:
    """Outside of a task, and inside of one too."""
    (tmp_path / "0").touch()
    told: list[tuple[float, str | None]] = []
    signature = prefork_worker.app.signature("test.steps", args=[str(tmp_path), 2])
    waiting = asyncio.create_task(run_celery(signature, progress=lambda share, message: told.append((share, message))))
    await until(lambda: (100, "step 2") in told)
    (tmp_path / "1").touch()
    assert await waiting == "done"


async def test_a_progress_that_raises_ends_the_wait_and_the_work(prefork_worker: Worker, tmp_path: Path) -> None:
    """As a cancellation would: nobody waits for it any more."""

    def refuse(_share: float, _message: str | None) -> None:
        raise LookupError("no such bar")

    signature = prefork_worker.app.signature("test.steps", args=[str(tmp_path), 2])
    with pytest.raises(LookupError, match="no such bar"):
        await run_celery(signature, progress=refuse)
    inspect = prefork_worker.app.control.inspect(timeout=1)
    async with asyncio.timeout(30):
        while any((await asyncio.to_thread(inspect.active) or {"?": [1]}).values()):
            await asyncio.sleep(0.05)


async def test_a_progress_that_is_to_be_awaited_is_refused(folder_worker: Worker) -> None:
    """Nobody would await it."""

    async def told(_share: float, _message: str | None) -> None: ...

    with pytest.raises(InvalidTypeError, match="plain function"):
        await run_celery(folder_worker.app.signature("test.add", args=[1, 1]), progress=told)


async def test_a_celery_task_that_is_awaited_in_a_task_is_its_child(worker: Worker, manager: TaskManager) -> None:
    """The wait for a worker is submitted like any other task."""
    reported: list[str | None] = []

    async def child() -> int:
        own = current_task()
        result = await run_celery(worker.app.signature("test.add", args=[1, 2]))
        reported.append(own.parent_id)
        return int(result)

    async def parent() -> int:
        return int(await manager.result(await manager.submit(child())))

    task_id = await manager.submit(parent())
    assert await manager.result(task_id) == 3
    assert reported == [task_id]
    [info] = manager.list_tasks(parent=task_id)
    assert info.status is TaskStatus.COMPLETED


async def test_a_failure_is_the_tasks_failure(worker: Worker, manager: TaskManager) -> None:
    """The journal has the worker's type, text and traceback."""
    task_id = await manager.submit(run_celery(worker.app.signature("test.fail", args=["odd"])))
    assert await manager.wait_for_task(task_id) is None
    info = manager.get_task_info(task_id)
    assert info is not None
    assert (info.status, info.error) == (TaskStatus.FAILED, "odd thing")
    assert info.error_type == "tests.workers.worker_app.OddError"
    assert info.traceback is not None
    assert "in fail" in info.traceback
    assert "worker_app.py" in info.traceback


async def test_a_failure_can_be_caught_by_its_type(worker: Worker) -> None:
    """It is of the type that was raised where that is known here, and of ours in any case."""
    with pytest.raises(DocumentNotFoundError) as caught:
        await run_celery(worker.app.signature("tasks.process_document", args=["nope"]))
    assert isinstance(caught.value, RemoteTaskFailedError)
    assert caught.value.error_type == "ailf.errors.DocumentNotFoundError"
    assert "$AILF_DOCUMENTS" in str(caught.value)
    with pytest.raises(KeyError, match="missing"):
        await run_celery(worker.app.signature("test.fail", args=["key"]))
    with pytest.raises(RemoteTaskFailedError, match=r"^ValueError$"):
        await run_celery(worker.app.signature("test.fail", args=["bare"]))
    assert "tests.workers.worker_app" not in sys.modules
    with pytest.raises(RemoteTaskFailedError, match=r"^odd thing$") as unknown:
        await run_celery(worker.app.signature("test.fail", args=["odd"]))
    assert type(unknown.value).__qualname__ == "OddError"
    assert unknown.value.remote_traceback is not None
    assert "OddError: odd thing" in unknown.value.remote_traceback


async def test_cancelling_the_task_stops_the_work(prefork_worker: Worker, manager: TaskManager, tmp_path: Path) -> None:
    """The process that runs it is terminated, and it is not run again."""
    task_id = await manager.submit(run_celery(prefork_worker.app.signature("test.hold", args=[str(tmp_path)])))
    await until(lambda: begun(tmp_path))
    assert await manager.cancel_task(task_id)
    (pid,) = begun(tmp_path)
    await until(lambda: not Path(f"/proc/{pid}").exists())
    # The next task shows that the worker has gone on, without having taken the first one up again.
    assert await run_celery(prefork_worker.app.signature("test.add", args=[1, 1])) == 2
    assert begun(tmp_path) == [pid]
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.status is TaskStatus.CANCELLED


async def test_a_time_limit_stops_the_work(prefork_worker: Worker, manager: TaskManager, tmp_path: Path) -> None:
    """The limit of the journaled task, and the wait's own."""
    signature = prefork_worker.app.signature("test.hold", args=[str(tmp_path)])
    task_id = await manager.submit(run_celery(signature), timeout=0.8)
    assert await manager.wait_for_task(task_id) is None
    info = manager.get_task_info(task_id)
    assert info is not None
    assert info.reason == "timeout"
    with pytest.raises(RemoteTimeoutError, match=r"unfinished after 0.8 s and was revoked"):
        await run_celery(signature, timeout=0.8)
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in begun(tmp_path)))
    assert not (tmp_path / "ended").exists()


async def test_a_task_that_was_cancelled_while_it_waited_never_starts(solo_worker: Worker, tmp_path: Path) -> None:
    """Also where the worker hears of it only after the task before."""
    first = tmp_path / "first"
    second = tmp_path / "second"
    first.mkdir()
    second.mkdir()
    busy = asyncio.create_task(run_celery(solo_worker.app.signature("test.hold", args=[str(first)])))
    await until(lambda: begun(first))
    waiting = asyncio.create_task(run_celery(solo_worker.app.signature("test.hold", args=[str(second)])))
    await until(lambda: queued(solo_worker) >= 1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (first / "release").touch()
    assert await busy == "released"
    assert await run_celery(solo_worker.app.signature("test.add", args=[1, 1])) == 2
    assert not begun(second)


def queued(worker: Worker) -> int:
    """Count the tasks that wait in the queue."""
    with worker.app.connection_for_read() as connection:
        return int(connection.default_channel.queue_declare(queue="ailf", passive=True).message_count)


async def test_a_task_that_was_cancelled_while_it_was_sent_never_starts(
    folder_worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revocation comes after the task, so that the worker knows what it is about."""
    sending = threading.Event()
    release = threading.Event()
    signature = folder_worker.app.signature("test.hold", args=[str(tmp_path)])
    apply_async = Signature.apply_async

    def slowly(self: Any, *args: Any, **options: Any) -> Any:
        sending.set()
        release.wait(30)
        return apply_async(self, *args, **options)

    monkeypatch.setattr(Signature, "apply_async", slowly)
    waiting = asyncio.create_task(run_celery(signature))
    await until(sending.is_set)
    waiting.cancel()
    await asyncio.sleep(0)
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    monkeypatch.undo()
    assert await run_celery(folder_worker.app.signature("test.add", args=[1, 1])) == 2
    await until(lambda: queued(folder_worker) == 0)
    # Revoked before it began, or terminated just after.
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in begun(tmp_path)))
    assert not (tmp_path / "ended").exists()


async def test_a_revocation_by_somebody_else_is_told(prefork_worker: Worker, tmp_path: Path) -> None:
    """The wait ends, and says so."""
    waiting = asyncio.create_task(run_celery(prefork_worker.app.signature("test.hold", args=[str(tmp_path)])))
    await until(lambda: begun(tmp_path))
    active = await asyncio.to_thread(lambda: prefork_worker.app.control.inspect(timeout=1).active())
    ((task,),) = active.values()
    await asyncio.to_thread(lambda: prefork_worker.app.control.revoke(task["id"], terminate=True))
    with pytest.raises(RemoteTaskRevokedError, match="was revoked"):
        await waiting


async def test_a_process_that_dies_hands_the_task_to_the_next(prefork_worker: Worker, tmp_path: Path) -> None:
    """The pool starts another process, and the task runs again there."""
    assert await run_celery(prefork_worker.app.signature("test.crash_once", args=[str(tmp_path)])) == "survived"


async def test_the_event_loop_runs_on_meanwhile(worker: Worker) -> None:
    """Sending and waiting happen elsewhere."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    await run_celery(worker.app.signature("test.add", args=[1, 1]))
    counting.cancel()
    assert turns > 100


async def test_chains_and_chords_have_one_result(redis_worker: Worker, folder_worker: Worker) -> None:
    """A failure in a chain is the chain's failure; a group is refused with the way out."""
    for app in (redis_worker.app, folder_worker.app):
        add = app.signature("test.add", args=[1])
        assert await run_celery(chain(app.signature("test.add", args=[1, 1]), add, add, app=app)) == 4
        with pytest.raises(KeyError):
            await run_celery(chain(app.signature("test.fail", args=["key"]), add, app=app))
        with pytest.raises(InvalidArgumentError, match=r"asyncio\.gather"):
            await run_celery(group([app.signature("test.add", args=[1, 1])], app=app))
    app = redis_worker.app
    parts = [app.signature("test.add", args=[number, 0]) for number in range(5)]
    assert await run_celery(chord(parts, app.signature("test.total"), app=app)) == 10


async def test_a_signature_can_be_run_twice(folder_worker: Worker) -> None:
    """Each run has an id of its own; the signature stays as it was."""
    signature = folder_worker.app.signature("test.add", args=[1, 1])
    assert list(await asyncio.gather(run_celery(signature), run_celery(signature))) == [2, 2]
    assert "task_id" not in signature.options


@pytest.mark.parametrize("wrong", ["doc1", None, print])
async def test_what_is_no_signature_is_refused(wrong: Any) -> None:
    """The error shows what one looks like."""
    with pytest.raises(InvalidTypeError, match=r"process_document\.s\('doc1'\)"):
        await run_celery(wrong)


async def test_limits_have_to_be_above_zero(folder_worker: Worker) -> None:
    """Nothing is sent."""
    signature = folder_worker.app.signature("test.add", args=[1, 1])
    with pytest.raises(InvalidArgumentError, match="timeout is 0"):
        await run_celery(signature, timeout=0)
    with pytest.raises(InvalidArgumentError, match="worker_timeout is -1"):
        await run_celery(signature, worker_timeout=-1)


async def test_a_back_end_that_only_the_sender_reads_is_refused() -> None:
    """The error names those that work."""
    app = sender({"CELERY_BROKER_URL": "amqp://nowhere", "CELERY_RESULT_BACKEND": "rpc://"})
    with pytest.raises(InvalidArgumentError, match=r"\$CELERY_RESULT_BACKEND"):
        await run_celery(app.signature("test.add", args=[1, 1]))


async def test_redis_announces_the_result(redis_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to look for it."""

    async def never(_self: Any) -> None:
        raise AssertionError("looked for the result")

    monkeypatch.setattr("ailf.workers.sources.AnnouncedSource.look", never)
    assert await run_celery(redis_worker.app.signature("test.add", args=[1, 1])) == 2


async def test_a_cut_connection_loses_no_result(
    redis_worker: Worker, celery_redis: PrivateServer, tmp_path: Path
) -> None:
    """What was announced meanwhile is looked for."""
    import redis.asyncio

    waiting = asyncio.create_task(run_celery(redis_worker.app.signature("test.hold", args=[str(tmp_path)])))
    await until(lambda: begun(tmp_path))
    async with redis.asyncio.from_url(celery_redis.url) as client:
        killed = [
            await client.client_kill_filter(_id=one["id"])
            for one in await client.client_list()
            if one["name"] == "ailf-results"
        ]
    assert killed
    (tmp_path / "release").touch()
    assert await waiting == "released"


async def test_the_shared_connection_is_closed_after_the_last_wait(redis_worker: Worker) -> None:
    """No task of ours stays behind in the event loop."""
    before = asyncio.all_tasks()
    await run_celery(redis_worker.app.signature("test.add", args=[1, 1]))
    assert asyncio.all_tasks() == before


async def test_a_result_that_has_gone_is_told(
    redis_worker: Worker, celery_redis: PrivateServer, tmp_path: Path, impatient: None
) -> None:
    """A task that is known to have run, that nobody has any more, and of which nothing is stored."""
    import redis.asyncio

    files = [str(tmp_path / "begun"), str(tmp_path / "release")]
    waiting = asyncio.create_task(run_celery(redis_worker.app.signature("test.ignoring", args=files)))
    await until((tmp_path / "begun").exists)
    async with redis.asyncio.from_url(celery_redis.url) as client:
        await client.delete(*await client.keys("celery-task-meta-*"))
    (tmp_path / "release").touch()
    with pytest.raises(ResultExpiredError, match="result_expires"):
        await waiting


async def test_a_broker_that_is_down_is_one_clear_error() -> None:
    """It names the address and what to do, in bounded time, and hides the password."""
    app = sender({"CELERY_BROKER_URL": f"redis://user:s3cret@{HOST}:{free_port()}/0"})
    with pytest.raises(BrokerError, match=r"\$CELERY_RESULT_BACKEND") as caught:
        await run_celery(app.signature("test.add", args=[1, 1]))
    assert "s3cret" not in str(caught.value)


async def test_a_broker_alone_that_is_down_is_one_clear_error(tmp_path: Path) -> None:
    """With a result back-end that is there."""
    app = sender(
        {
            "CELERY_BROKER_URL": f"redis://user:s3cret@{HOST}:{free_port()}/0",
            "CELERY_RESULT_BACKEND": f"db+sqlite:///{tmp_path / 'results.db'}",
        }
    )
    with pytest.raises(BrokerError, match=r"\$CELERY_BROKER_URL") as caught:
        await run_celery(app.signature("test.add", args=[1, 1]))
    assert "s3cret" not in str(caught.value)


async def test_without_a_worker_the_wait_is_bounded(tmp_path: Path, impatient: None) -> None:
    """The error says how to start one, and what becomes of the task then."""
    app = sender({"AILF_CELERY_FOLDER": str(tmp_path / "celery")})
    with pytest.raises(WorkerLostError, match=r"no worker has begun it.*celery -A ailf\.workers\.celery_app worker"):
        await run_celery(app.signature("test.add", args=[1, 1]), worker_timeout=1)


async def test_the_polling_loop_of_celerys_manual_works(worker: Worker) -> None:
    """Delay, ready and get, as everybody writes it."""
    sent = await asyncio.to_thread(worker.app.send_task, "tasks.process_document", ["doc1"])
    while not await asyncio.to_thread(sent.ready):
        await asyncio.sleep(0.02)
    assert sent.get()["title"] == "Cats"


@pytest.mark.parametrize(("broker", "pool"), [("folder", "prefork"), ("folder", "solo"), ("redis", "prefork")])
async def test_a_worker_that_is_killed_is_noticed(
    broker: str, pool: str, celery_redis: PrivateServer, tmp_path: Path, impatient: None
) -> None:
    """A worker that died mid-task: a clear error within bounds, though its task is back in a folder's queue."""
    environment = {"AILF_CELERY_FOLDER": str(tmp_path / "celery")}
    if broker == "redis":
        # A database of its own, so that the session's worker does not take the task.
        environment = {"CELERY_BROKER_URL": f"{celery_redis.url[:-1]}1"}
    worker = Worker(tmp_path, environment, pool=pool, concurrency=1).wait_ready()
    waiting = asyncio.create_task(run_celery(worker.app.signature("test.hold", args=[str(tmp_path)]), worker_timeout=3))
    await until(lambda: begun(tmp_path))
    worker.kill()
    with pytest.raises(WorkerLostError, match="died with it"):
        await waiting


async def test_a_killed_workers_task_is_taken_up_by_the_next(tmp_path: Path) -> None:
    """On the embedded default as well: what was not acknowledged goes back, and the wait goes on."""
    environment = {"AILF_CELERY_FOLDER": str(tmp_path / "celery")}
    worker = Worker(tmp_path, environment, concurrency=1).wait_ready()
    signature = worker.app.signature("test.hold", args=[str(tmp_path)])
    waiting = asyncio.create_task(run_celery(signature, progress=lambda *_: None))
    await until(lambda: begun(tmp_path))
    replacement = Worker(tmp_path, environment, concurrency=1)
    try:
        replacement.wait_ready()
        os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        await until(lambda: len(begun(tmp_path)) == 2)
        (tmp_path / "release").touch()
        assert await waiting == "released"
    finally:
        worker.stop()
        replacement.stop()
