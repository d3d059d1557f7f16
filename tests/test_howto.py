"""The recipes that a page alone cannot run: applications, and what becomes of them at a shutdown."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from ailf.async_tasks import History, TaskManager
from tests.conftest import PATIENCE_SECONDS
from tests.pages import TOP, blocks

FASTAPI = TOP / "docs" / "howto" / "fastapi.md"


async def test_the_starlette_application_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lifespan starts and stops the manager; a request submits a task, and another one sees its result."""
    monkeypatch.setenv("AILF_JOURNAL", str(tmp_path / "app.db"))
    [text] = [block.text for block in blocks(FASTAPI) if "app = Starlette(" in block.text]
    namespace: dict[str, Any] = {"__name__": "example"}
    exec(compile(text, str(FASTAPI), "exec"), namespace)
    app = namespace["app"]
    assert isinstance(app, Starlette)
    async with app.router.lifespan_context(app) as state:
        assert state is not None
        manager = state["tasks"]
        assert isinstance(manager, TaskManager)

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            # As a server does with what the lifespan yields.
            await app(scope | {"state": dict(state)}, receive, send)

        transport = httpx.ASGITransport(app=with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            accepted = await client.post("/reports")
            assert accepted.status_code == 202
            task_id = accepted.json()["id"]
            assert await manager.result(task_id) == {"year": 2026}
            seen = (await client.get(f"/reports/{task_id}")).json()
            assert (seen["status"], seen["result"]) == ("completed", {"year": 2026})
            assert (await client.get("/reports/unknown")).status_code == 404


Server = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def serve(tmp_path: Path, journal: Path) -> Iterator[Server]:
    """Run the page's FastAPI application under uvicorn: its process, and where it listens."""
    [text] = [block.text for block in blocks(FASTAPI) if block.said.get("file") == "app.py"]
    (tmp_path / "app.py").write_text(text)
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> tuple["subprocess.Popen[str]", str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "app:app", "--port", "0", *options],
            cwd=tmp_path,
            env=os.environ | {"AILF_JOURNAL": str(journal)},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                _connected(found[1])
                return process, found[1]
        raise AssertionError("uvicorn did not start")

    yield start
    for process in started:
        # With its workers, which would hold the pipe open.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _connected(url: str) -> None:
    """Wait until somebody answers: with several workers the port is known before one of them listens."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            httpx.get(url, timeout=PATIENCE_SECONDS)
        except httpx.ConnectError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


def events_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The server-sent events of a stream."""
    event: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in {"event", "id", "data"}:
            event[name] = json.loads(value) if name == "data" else value
        elif not line and event:
            yield event
            event = {}


def test_progress_is_followed_over_server_sent_events(serve: Server) -> None:
    """From the first event to the last; from the middle on for whoever comes again; 404 for an unknown task."""
    _, url = serve()
    with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as client:
        assert client.get("/reports/unknown/events").status_code == 404
        task_id = client.post("/reports", params={"pages": 4}).json()["id"]
        with client.stream("GET", f"/reports/{task_id}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            found = list(events_of(stream.iter_lines()))
        assert [event["event"] for event in found] == ["submitted", "started", *["progress"] * 4, "completed"]
        assert found[3]["data"] == {"progress": 50, "message": "page 2 of 4"}
        again = {"Last-Event-ID": found[3]["id"]}
        with client.stream("GET", f"/reports/{task_id}/events", headers=again) as stream:
            assert list(events_of(stream.iter_lines())) == found[4:]
        assert client.get(f"/reports/{task_id}").json()["result"] == {"pages": 4}


def test_an_open_stream_does_not_hold_up_the_shutdown(serve: Server, journal: Path) -> None:
    """On SIGTERM the stream ends, the running task finishes, and the server is gone."""
    process, url = serve()
    with httpx.Client(base_url=url, timeout=PATIENCE_SECONDS) as client:
        task_id = client.post("/reports", params={"pages": 25}).json()["id"]
        with client.stream("GET", f"/reports/{task_id}/events") as stream:
            events = events_of(stream.iter_lines())
            while next(events)["event"] != "progress":
                pass
            process.send_signal(signal.SIGTERM)
            # Nobody closes the stream on this side; it is broken off before the task ends.
            seen: list[str] = []
            with suppress(httpx.RemoteProtocolError):
                seen.extend(event["event"] for event in events)
            assert "completed" not in seen
    process.communicate(timeout=PATIENCE_SECONDS)
    shown = subprocess.run(
        [sys.executable, "-m", "ailf", "--journal", str(journal), "tasks", "show", task_id, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    task = json.loads(shown.stdout)
    assert (task["status"], task["result"], task["owner"]["life"]) == ("completed", {"pages": 25}, "stopped")


def test_two_workers_are_one_application(serve: Server, journal: Path) -> None:
    """Whichever worker a request comes to, it finds and follows the tasks of both; SIGTERM ends both, streams open."""
    process, url = serve("--workers", "2")
    timeout = httpx.Timeout(PATIENCE_SECONDS)
    # Of a connection each, so that both workers get some.
    ids = [httpx.post(f"{url}/reports", params={"pages": 25}, timeout=timeout).json()["id"] for _ in range(6)]
    for task_id in ids * 3:
        assert httpx.get(f"{url}/reports/{task_id}", timeout=timeout).status_code == 200
    with ExitStack() as open_streams:
        for task_id in ids:
            stream = open_streams.enter_context(httpx.stream("GET", f"{url}/reports/{task_id}/events", timeout=timeout))
            assert next(events_of(stream.iter_lines()))["event"] == "submitted"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)
    with History(journal) as history:
        ended = history.list_tasks()
        assert sorted(info.id for info in ended) == sorted(ids)
        # On a busy machine ten seconds may be too short for what takes two and a half.
        assert {(info.status, info.reason) for info in ended} <= {("completed", None), ("cancelled", "shutdown")}
        assert len({info.owner_id for info in ended}) <= 2
