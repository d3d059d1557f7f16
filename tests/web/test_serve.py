"""``ailf serve``, in a process of its own."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from tests.async_tasks.journal.support import attempt, snapshot
from tests.web.conftest import served


def test_it_says_where_it_is_and_serves(full: Path) -> None:
    """On the loopback interface, for its names alone; nothing can be changed."""
    with served(full) as address:
        assert address.startswith("http://127.0.0.1:")
        assert "runs long" in httpx.get(address).text
        assert httpx.get(address, headers={"host": "evil.example"}).status_code == 403
        answer = httpx.post(f"{address}cancel", data={"id": "runs"}, headers={"sec-fetch-site": "same-origin"})
        assert answer.status_code == 404


def test_it_leaves_the_journal_as_it_was(full: Path) -> None:
    """And nothing beside it, also when it ends with a page open."""
    before = snapshot(full.parent)
    with served(full) as address, httpx.stream("GET", f"{address}live?view=now") as answer:
        assert next(answer.iter_text())
    assert snapshot(full.parent) == before


def test_it_ends_at_once_with_a_page_open(full: Path) -> None:
    """Ctrl-C is enough."""
    command = [sys.executable, "-m", "ailf", "serve", "--journal", str(full), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as page:
        assert page.stdout is not None
        address = page.stdout.readline().split()[5]
        with httpx.stream("GET", f"{address}live?view=now") as answer:
            next(answer.iter_text())
            page.send_signal(signal.SIGINT)
            _, complaints = page.communicate(timeout=30)
    assert page.returncode in (0, 130)
    assert not complaints.strip()


def test_a_port_that_is_taken(full: Path) -> None:
    """Is said to be, and what to choose."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = attempt(sys.executable, "-m", "ailf", "serve", "--journal", full, "--port", port)
    assert ended.returncode == 2
    assert "--port" in ended.stderr
    ended = attempt(sys.executable, "-m", "ailf", "serve", "--journal", full, "--host", "no.such.host.invalid")
    assert ended.returncode == 2
    assert "--host" in ended.stderr
