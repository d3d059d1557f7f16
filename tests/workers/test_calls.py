"""Calls that cannot work, and calls that need no server: none of them is called a broken broker."""

import asyncio
import contextvars
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import kombu.transport.redis
import pytest
import redis
from celery import Celery, chain, chord
from celery.signals import before_task_publish

from ailf.async_tasks import TaskManager
from ailf.errors import (
    BrokerError,
    InvalidArgumentError,
    InvalidTypeError,
    RemoteTaskFailedError,
    ResultExpiredError,
    TaskFailedError,
)
from ailf.workers import run_celery
from ailf.workers.feed import ResultFeed, client_options
from tests.redis_server import HOST, PrivateServer, free_port
from tests.workers.worker_process import Worker, sender


@pytest.fixture
def app(tmp_path: Path) -> Any:
    """An application with tasks of this process, on a folder that nobody works on."""
    app = sender({"AILF_CELERY_FOLDER": str(tmp_path / "celery")})
    tasks_of(app)
    return app


@pytest.fixture
def eager() -> Any:
    """An application that runs its tasks in this process, with addresses at which nobody is."""
    app = sender({"CELERY_BROKER_URL": f"redis://{HOST}:{free_port()}/0"})
    app.conf.task_always_eager = True
    tasks_of(app)
    return app


def tasks_of(app: Any) -> None:
    """Give an application a few tasks."""

    def add(left: int, right: int) -> int:
        return left + right

    def fail(text: str) -> None:
        raise KeyError(text)

    def total(values: list[int]) -> int:
        return sum(values)

    app.task(name="add", shared=False)(add)
    app.task(name="total", shared=False)(total)
    app.task(name="fail", shared=False)(fail)
    app.task(name="quiet", ignore_result=True, shared=False)(add)


def no_task() -> Any:
    """What JSON cannot hold."""
    return object()


async def test_a_wrong_call_is_named(app: Any) -> None:
    """A missing argument, and what no message can hold."""
    with pytest.raises(InvalidTypeError, match="cannot be called like that"):
        await run_celery(app.tasks["add"].s(1))
    with pytest.raises(InvalidTypeError, match="serializer"):
        await run_celery(app.tasks["add"].s(1, no_task()))


@pytest.mark.parametrize("option", ["compression", "serializer", "delivery_mode", "expires"])
async def test_an_option_that_is_none_is_named(app: Any, celery_redis: PrivateServer, option: str) -> None:
    """Over Redis as well, where kombu takes what it does not know for a broken connection."""
    over_redis = sender({"CELERY_BROKER_URL": celery_redis.url})
    tasks_of(over_redis)
    for one in (app, over_redis):
        with pytest.raises(InvalidArgumentError, match="cannot be sent like that"):
            await run_celery(one.tasks["add"].s(1, 1).set(**{option: "nope"}))


async def test_a_task_has_the_name_of_the_celery_task(eager: Any, tmp_path: Path) -> None:
    """Whether it is submitted as a coroutine or as a partial of the function, and unless it is given one."""
    add = eager.tasks["add"].s(1, 1)
    async with TaskManager(tmp_path / "journal.db") as manager:
        for work, name in (
            (run_celery(add), "add"),
            (partial(run_celery, add, timeout=60), "add"),
            (partial(run_celery, signature=add), "add"),
            (run_celery(chain(add, eager.tasks["add"].s(1), app=eager)), "celery.chain"),
        ):
            task_id = await manager.submit(work)
            await manager.result(task_id)
            info = manager.get_task_info(task_id)
            assert info is not None
            assert info.name == name
        named = await manager.submit(run_celery(add), name="a sum")
        assert [info.id for info in manager.list_tasks(name="a sum")] == [named]
        with pytest.raises(InvalidTypeError, match=r"run_celery needs arguments \(signature\)"):
            await manager.submit(partial(run_celery))
        with pytest.raises(TaskFailedError, match=r"'run_celery'.*takes a signature"):
            await manager.result(await manager.submit(run_celery("add")))


async def test_a_channel_that_was_lost_is_not_the_tasks_fault(
    redis_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kombu goes on with one whose connection is gone: the task is sent again, and else the broker is named."""
    stumbles = 2
    connect: Any = kombu.transport.redis.Channel._connparams

    def stumble(self: Any, *arguments: Any, **options: Any) -> Any:
        nonlocal stumbles
        stumbles -= 1
        if stumbles >= 0:
            self.connection = None
        return connect(self, *arguments, **options)

    monkeypatch.setattr(kombu.transport.redis.Channel, "_connparams", stumble)
    url = redis_worker.app.conf.broker_url
    # Addresses of its own, to which kombu has no channel that was good before.
    other_name = sender({"CELERY_BROKER_URL": url.replace(HOST, "localhost")})
    assert await run_celery(other_name.signature("test.add", args=[1, 1])) == 2
    assert stumbles < 0
    stumbles = 1000
    with pytest.raises(BrokerError, match=r"\$CELERY_BROKER_URL"):
        await run_celery(sender({"CELERY_BROKER_URL": f"{url[:-1]}3"}).signature("test.add", args=[1, 1]))


async def test_a_queue_that_is_none_is_named(app: Any) -> None:
    """Where the application makes none that it does not know."""
    app.conf.task_create_missing_queues = False
    with pytest.raises(InvalidArgumentError, match="missing"):
        await run_celery(app.tasks["add"].s(1, 1).set(queue="nowhere"))


@pytest.mark.parametrize("ignored", ["quiet", "add"])
async def test_a_result_that_is_not_kept_is_refused_at_once(app: Any, ignored: str) -> None:
    """By the task, by the call, and by all tasks, the last of a chain included."""
    signature = app.tasks[ignored].s(1, 1)
    if ignored == "add":
        signature = signature.set(ignore_result=True)
    with pytest.raises(InvalidArgumentError, match=r"ignore_result"):
        await run_celery(signature)
    with pytest.raises(InvalidArgumentError, match=r"ignore_result"):
        await run_celery(chain(app.tasks["add"].s(1, 1), signature, app=app))
    app.conf.task_ignore_result = True
    with pytest.raises(InvalidArgumentError, match=r"ignore_result"):
        await run_celery(app.signature("known.elsewhere"))


@pytest.mark.parametrize(
    "backend",
    [
        "rpc://",
        "disabled://",
        "cache+memory://",
        "db+sqlite://",
        "db+sqlite:///:memory:",
        "celery.backends.rpc.RPCBackend",
    ],
)
async def test_a_back_end_that_other_processes_cannot_read_is_refused(backend: str) -> None:
    """At once, and with those that work."""
    app = Celery("elsewhere", broker="memory://", backend=backend, set_as_current=False)
    with pytest.raises(InvalidArgumentError, match=r"\$CELERY_RESULT_BACKEND"):
        await run_celery(app.signature("add"))


async def test_eager_tasks_need_no_server(eager: Any) -> None:
    """Single ones, chains and chords; a failure is the task's, and a wrong call a wrong call."""
    add = eager.tasks["add"]
    assert await run_celery(add.s(1, 1)) == 2
    assert await run_celery(chain(add.s(1, 1), add.s(1), app=eager)) == 3
    assert await run_celery(chord([add.s(1, 1), add.s(2, 2)], eager.tasks["total"].s(), app=eager)) == 6
    assert await run_celery(eager.tasks["quiet"].s(1, 1)) == 2
    for propagates in (False, True):
        eager.conf.task_eager_propagates = propagates
        with pytest.raises(KeyError) as caught:
            await run_celery(eager.tasks["fail"].s("missing"))
        assert isinstance(caught.value, RemoteTaskFailedError)
        assert "in fail" in str(caught.value.remote_traceback)
    with pytest.raises(InvalidTypeError, match="cannot be called like that"):
        await run_celery(add.s(1))
    with pytest.raises(InvalidTypeError, match="serializer"):
        await run_celery(add.s(1, no_task()))
    with pytest.raises(InvalidArgumentError, match="task_always_eager"):
        await run_celery(eager.signature("known.elsewhere"))


async def test_an_eager_task_that_ends_without_a_result_is_told(eager: Any) -> None:
    """As it would be with a worker."""
    from celery.exceptions import Ignore

    def ignoring() -> None:
        raise Ignore

    eager.task(name="ignoring", shared=False)(ignoring)
    with pytest.raises(ResultExpiredError, match="without a result"):
        await run_celery(eager.tasks["ignoring"].s())


who: contextvars.ContextVar[str | None] = contextvars.ContextVar("who", default=None)


@pytest.fixture
def published() -> Iterator[list[str | None]]:
    """What a handler of before_task_publish sees of a context variable."""
    seen: list[str | None] = []

    def note(**_signal: Any) -> None:
        seen.append(who.get())

    before_task_publish.connect(note)
    yield seen
    before_task_publish.disconnect(note)


async def test_context_variables_reach_who_publishes(folder_worker: Worker, published: list[str | None]) -> None:
    """The caller's own, whichever thread it is."""
    who.set("request 42")
    await run_celery(folder_worker.app.signature("test.add", args=[1, 1]))
    assert published == ["request 42"]


TRACED = """
import asyncio
from celery.signals import before_task_publish
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ailf.workers import run_celery
from ailf.workers.tasks import process_document

spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
CeleryInstrumentor().instrument(tracer_provider=provider)
before_task_publish.connect(lambda headers=None, **_: sent.append(dict(headers)), weak=False)
sent = []

async def main():
    with provider.get_tracer("test").start_as_current_span("caller") as caller:
        await run_celery(process_document.s("doc1"))
    return caller.get_span_context()

caller = asyncio.run(main())
span = next(span for span in spans.get_finished_spans() if span.name.startswith("apply_async"))
assert span.parent.span_id == caller.span_id
assert format(caller.trace_id, "032x") in sent[0]["traceparent"]
"""


def test_open_telemetry_sees_one_trace(folder_worker: Worker, tmp_path: Path) -> None:
    """Its instrumentation of Celery finds the caller's span, and hands it to the worker."""
    folder = folder_worker.app.conf.broker_transport_options["folder"]
    subprocess.run(
        [sys.executable, "-c", TRACED], cwd=tmp_path, env={**os.environ, "AILF_CELERY_FOLDER": folder}, check=True
    )


def test_nothing_heavy_is_imported_in_the_first_call(tmp_path: Path) -> None:
    """Whoever imports the application has its drivers with it; a manager that is not in use stays out."""
    program = """
import asyncio, sys
from ailf.workers import run_celery
from ailf.workers.celery_app import app
before = set(sys.modules)
try:
    asyncio.run(run_celery(app.signature("nothing"), timeout=1))
except TimeoutError:
    pass
later = {name for name in set(sys.modules) - before if name.split(".")[0] in {"celery", "kombu", "redis", "sqlalchemy"}}
assert len(later) < 3, later
assert "ailf.async_tasks" not in sys.modules
"""
    with PrivateServer() as server:
        environment = {"CELERY_BROKER_URL": server.url, "PATH": "/usr/bin:/bin"}
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=environment, check=True)


def test_tls_options_reach_the_feed() -> None:
    """All of them, as Celery's back-end reads them from the address."""
    app = sender({"CELERY_BROKER_URL": "rediss://:pw@box:6380/1?ssl_cert_reqs=none&ssl_ca_certs=/ca&ssl_ciphers=HIGH"})
    options = client_options(app.backend.connparams)
    assert options is not None
    assert (options["ssl"], options["ssl_ca_certs"], options["ssl_ciphers"]) == (True, "/ca", "HIGH")
    assert options["ssl_cert_reqs"] == 0
    assert (options["host"], options["port"], options["db"], options["password"]) == ("box", 6380, 1, "pw")


@pytest.mark.parametrize("cut", ["#", "/", "?"])
async def test_a_password_that_breaks_an_address_is_not_shown(cut: str) -> None:
    """Neither in the environment's address nor in another application's."""
    url = f"redis://bob:s3cr{cut}et@host:6379/0"
    with pytest.raises(InvalidArgumentError, match="%23") as caught:
        sender({"CELERY_BROKER_URL": url})
    assert "s3cr" not in str(caught.value)
    app = Celery("elsewhere", broker=url, backend="redis://localhost", set_as_current=False)
    with pytest.raises(InvalidArgumentError, match="%23") as caught:
        await run_celery(app.signature("add"))
    assert "s3cr" not in str(caught.value)


async def test_the_limit_is_for_the_server_not_for_the_queue_before_it(
    celery_redis: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscription that waits for its turn longer than the limit is made all the same."""
    monkeypatch.setattr("ailf.workers.feed.CONFIRMATION_TIMEOUT", 1.5)
    feed = ResultFeed({"host": HOST, "port": celery_redis.port})
    async with feed._changing:
        waiting = asyncio.create_task(feed.listen(b"key"))
        await asyncio.sleep(2)
        assert not waiting.done()
    await waiting
    await feed.leave(b"key")


async def test_a_feed_that_is_not_answered_says_so(
    celery_redis: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time that it waited."""
    monkeypatch.setattr("ailf.workers.feed.CONFIRMATION_TIMEOUT", 0.3)
    with PrivateServer() as server:
        feed = ResultFeed({"host": HOST, "port": server.port})
        server.pause()
        with pytest.raises(BrokerError, match=r"it did not answer within 0\.3 s"):
            await feed.listen(b"key")
        server.resume()


async def test_a_connection_that_is_cut_at_a_beginning_fails_nobody(
    celery_redis: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was about to subscribe on it does so on the next one, be it the first of all or not."""
    feed = ResultFeed({"host": HOST, "port": celery_redis.port})
    connect = feed._connect
    attempts = 0

    async def cut_once() -> None:
        nonlocal attempts
        attempts += 1
        await connect()
        if attempts == 1:
            raise redis.exceptions.ConnectionError("cut off") from ConnectionResetError()

    monkeypatch.setattr(feed, "_connect", cut_once)
    await feed.listen(b"first")
    connection = feed._connection
    assert connection is not None

    async def cut(*_command: object) -> None:
        await connection.disconnect()
        raise redis.exceptions.ConnectionError("cut off")

    monkeypatch.setattr(connection, "send_command", cut)
    await asyncio.gather(*(feed.listen(str(number).encode()) for number in range(10)))
    assert attempts == 3
    for number in range(10):
        await feed.leave(str(number).encode())
    await feed.leave(b"first")


async def test_a_burst_of_calls_is_answered(redis_worker: Worker) -> None:
    """Each with its result."""
    calls = [run_celery(redis_worker.app.signature("test.add", args=[number, 0])) for number in range(100)]
    assert await asyncio.gather(*calls) == list(range(100))
