"""A broker in a folder that somebody has put things into: with a real worker."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ailf.workers import run_celery
from tests.workers.worker_process import Worker

ROUTE = {"exchange": "", "routing_key": "ailf"}


def message(**changed: Any) -> dict[str, Any]:
    """A message as kombu writes it, with something changed."""
    properties = {"delivery_tag": "tag", "delivery_info": ROUTE, "body_encoding": "base64"}
    body = base64.b64encode(json.dumps([[1, 1], {}, {}]).encode()).decode()
    whole = {
        "body": body,
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "test.add", "id": "an id"},
        "properties": properties,
    }
    return {**whole, **changed}


def properties(**changed: Any) -> dict[str, Any]:
    """The properties of a message, with something changed."""
    return {"delivery_tag": "tag", "delivery_info": ROUTE, "body_encoding": "base64", **changed}


JUNK: list[Any] = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"no json",
    b"[]",
    b"null",
    b"{}",
    json.dumps(message())[:-30].encode(),
    message(properties=[]),
    message(properties={}),
    message(properties=properties(delivery_tag=[1])),
    message(properties=properties(delivery_info=None)),
    message(properties=properties(delivery_info={})),
    message(headers=[]),
    message(headers={"task": "test.add"}),
    message(headers={"task": "test.add", "id": 7}),
    message(body="no base64 !"),
    message(body=base64.b64encode(b"no json").decode()),
    message(body=base64.b64encode(b"{}").decode()),
    message(body=base64.b64encode(b"[1, 2, 3]").decode()),
    message(headers={"task": "unknown", "id": "x"}),
    message(headers={}),
]


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker whose folder can be put things into."""
    folder = tmp_path_factory.mktemp("disturbed")
    worker = Worker(folder, {"AILF_CELERY_FOLDER": str(folder / "celery")}, concurrency=1)
    yield worker.wait_ready()
    worker.stop()


async def test_no_file_ends_a_worker(disturbed: Worker) -> None:
    """Empty, cut off, no JSON, no message: it is set aside, and the tasks before and after it are done."""
    add = disturbed.app.signature("test.add", args=[1, 1])
    assert await run_celery(add) == 2
    folder = Path(disturbed.app.conf.broker_transport_options["folder"])
    for number, junk in enumerate(JUNK):
        content = junk if isinstance(junk, bytes) else json.dumps(junk).encode()
        (folder / "queues" / "ailf.queue" / f"{number}.msg").write_bytes(content)
    assert await run_celery(add, timeout=60) == 2
    assert disturbed.process.poll() is None
    assert len(list((folder / "unreadable").iterdir())) >= len(JUNK) - 3
    assert "was set aside" in disturbed.log.read_text()


async def test_a_list_of_bindings_that_is_none_ends_nobody(disturbed: Worker) -> None:
    """It is set aside as well; the folder takes tasks as before."""
    add = disturbed.app.signature("test.add", args=[1, 1])
    control = Path(disturbed.app.conf.broker_transport_options["control_folder"])
    tables = list(control.glob("*.exchange"))
    assert tables
    for table in tables:
        table.write_bytes(b"[[")
    assert await run_celery(add, timeout=60) == 2
    assert disturbed.process.poll() is None
