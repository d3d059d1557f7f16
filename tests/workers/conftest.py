"""Brokers and workers for the tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_server import PrivateServer
from tests.workers.worker_process import Worker

DOCUMENT = "# Cats\n\nCats *like* [boxes](http://boxes.example). Boxes like cats.\n"


@pytest.fixture(scope="session")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of documents."""
    folder = tmp_path_factory.mktemp("documents")
    for name in ("doc1", "doc2", "doc3"):
        (folder / f"{name}.md").write_text(DOCUMENT)
    return folder


@pytest.fixture(scope="session")
def celery_redis() -> Iterator[PrivateServer]:
    """A Redis server that is broker and result back-end."""
    with PrivateServer() as server:
        yield server


@pytest.fixture(scope="session")
def folder_worker(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Iterator[Worker]:
    """A prefork worker on the embedded default."""
    folder = tmp_path_factory.mktemp("folder-worker")
    environment = {"AILF_CELERY_FOLDER": str(folder / "celery"), "AILF_DOCUMENTS": str(documents)}
    worker = Worker(folder, environment)
    yield worker.wait_ready()
    worker.stop()


@pytest.fixture(scope="session")
def redis_worker(
    tmp_path_factory: pytest.TempPathFactory, documents: Path, celery_redis: PrivateServer
) -> Iterator[Worker]:
    """A prefork worker on Redis."""
    environment = {"CELERY_BROKER_URL": celery_redis.url, "AILF_DOCUMENTS": str(documents)}
    worker = Worker(tmp_path_factory.mktemp("redis-worker"), environment)
    yield worker.wait_ready()
    worker.stop()


@pytest.fixture(scope="session")
def solo_worker(tmp_path_factory: pytest.TempPathFactory, documents: Path) -> Iterator[Worker]:
    """A worker of the pool solo on the embedded default."""
    folder = tmp_path_factory.mktemp("solo-worker")
    environment = {"AILF_CELERY_FOLDER": str(folder / "celery"), "AILF_DOCUMENTS": str(documents)}
    worker = Worker(folder, environment, pool="solo", concurrency=1)
    yield worker.wait_ready()
    worker.stop()


@pytest.fixture(params=["folder", "redis", "solo"])
def worker(request: pytest.FixtureRequest) -> Worker:
    """Each kind of worker in turn."""
    found = request.getfixturevalue(f"{request.param}_worker")
    assert isinstance(found, Worker)
    return found


@pytest.fixture(params=["folder", "redis"])
def prefork_worker(request: pytest.FixtureRequest) -> Worker:
    """Each worker that can be told something while it works."""
    found = request.getfixturevalue(f"{request.param}_worker")
    assert isinstance(found, Worker)
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the workers sooner than a user would want."""
    monkeypatch.setattr("ailf.workers.watch.INQUIRY_INTERVAL", 0.3)
    monkeypatch.setattr("ailf.workers.inquiry.ANSWER_TIME", 0.3)
    monkeypatch.setattr("ailf.workers.watch.QUIET", 0.1)
