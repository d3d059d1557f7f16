"""The page in an application of one's own, as the documentation has it: behind its password, behind proxies."""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.async_api import async_playwright, expect

from tests.conftest import PATIENCE_SECONDS
from tests.pages import TOP, blocks
from tests.web.conftest import CHROMIUM, needs_browser, served
from tests.web.test_browser import FLAGS

PASSWORD = "open sesame"
STAFF = ("ops", PASSWORD)

SERVE = """
import asyncio, socket, sys
import uvicorn
from shop import app, manager

async def main():
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    await manager.submit(asyncio.sleep(600), name="long")
    print(listening.getsockname()[1], flush=True)
    await serving

asyncio.run(main())
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[int]:
    """The application of the documentation, with a task that runs; gives its port."""
    [program] = [block for block in blocks(TOP / "docs/howto/page.md") if block.said.get("file") == "shop.py"]
    (tmp_path / "shop.py").write_text(program.text)
    environment = os.environ | {"OPS_PASSWORD": PASSWORD, "AILF_JOURNAL": str(tmp_path / "shop.db")}
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVE], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as application:
        assert application.stdout is not None
        yield int(application.stdout.readline())
        application.terminate()
        assert application.wait(timeout=30) in (0, -15)


PROXY = """
import asyncio, re, sys

async def copied(reader, writer):
    try:
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass

async def pass_on(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    method, path, rest = head.split(b" ", 2)
    prefix = sys.argv[2].encode()
    if path.startswith(prefix + b"/"):
        upstream, downstream = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
        # One request a connection: the next one has a path of its own.
        rest = re.sub(rb"(?i)\\r\\nconnection:[^\\r]*", b"", rest)
        rest = rest.replace(b"\\r\\n", b"\\r\\nConnection: close\\r\\n", 1)
        downstream.write(b" ".join([method, path.removeprefix(prefix), rest]))
        asking = asyncio.create_task(copied(reader, downstream))
        await copied(upstream, writer)
        asking.cancel()
        downstream.close()
    else:
        writer.write(b"HTTP/1.1 404 Not Found\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    writer.close()

async def main():
    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@contextmanager
def proxy(port: int, strips: str) -> Iterator[int]:
    """A proxy in front of a port, which strips a prefix of each path, or none; gives its own port."""
    command = [sys.executable, "-c", PROXY, str(port), strips]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


async def crawled(client: httpx.AsyncClient, first: str) -> int:
    """Follow each address of each page, and what it loads; gives how many there are."""
    seen: set[str] = set()
    waiting = [first]
    while waiting and len(seen) < 60:
        address = waiting.pop(0)
        if address in seen:
            continue
        seen.add(address)
        answer = await client.get(address)
        assert answer.status_code == 200, address
        if answer.headers["content-type"].startswith("text/html"):
            found = re.findall(r'(?:href|src)="([^"#]*)"', answer.text)
            waiting += [str(answer.url.join(link.replace("&amp;", "&"))) for link in found if link]
    return len(seen)


async def test_nobody_comes_in_without_the_password(shop: int) -> None:
    """To no page, no file, no stream, and no action."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{shop}/ops/tasks/") as client:
        for path in ("", "tasks", "static/page.js", "live?view=now", "download?id=x&part=log"):
            assert (await client.get(path)).status_code == 401
            assert (await client.get(path, auth=("ops", "wrong"))).status_code == 401
            assert (await client.get(path, headers={"authorization": "Basic nonsense"})).status_code == 401
        assert (await client.post("cancel", data={"id": "x"})).status_code == 401
        assert (await client.get("", auth=STAFF)).status_code == 200


async def test_the_address_without_the_slash_leads_to_the_one_with_it(shop: int) -> None:
    """Since all others are relative to that."""
    async with httpx.AsyncClient(auth=STAFF, follow_redirects=True) as client:
        answer = await client.get(f"http://127.0.0.1:{shop}/ops/tasks")
        assert str(answer.url) == f"http://127.0.0.1:{shop}/ops/tasks/"


@pytest.mark.parametrize("strips", ["", "/behind"])
async def test_every_address_is_right_behind_a_proxy(shop: int, strips: str) -> None:
    """One that passes the path on as it is, and one that strips a part of it."""
    with proxy(shop, strips) as port:
        async with httpx.AsyncClient(auth=STAFF) as client:
            first = f"http://127.0.0.1:{port}{strips}/ops/tasks/"
            assert await crawled(client, first) > 30
            page = (await client.get(first)).text
            [task] = set(re.findall(r'href="(task\?id=[^"]*)"', page))
            identity = task.partition("=")[2]
            same = {"sec-fetch-site": "same-origin"}
            answer = await client.post(f"{first}cancel", data={"id": identity}, headers=same, follow_redirects=True)
            assert str(answer.url) == f"{first}{task}"
            assert "cancelled" in answer.text


async def test_the_command_behind_a_proxy_that_strips_everything(full: Path) -> None:
    """By the name that it is told of, and no other."""
    with served(full, "--allow-host", "ops.example.com") as address:
        port = int(address.rstrip("/").rpartition(":")[2])
        with proxy(port, "/ops/tasks") as front:
            async with httpx.AsyncClient() as client:
                assert await crawled(client, f"http://127.0.0.1:{front}/ops/tasks/") > 30
                for host, status in (("ops.example.com", 200), ("evil.example", 403)):
                    answer = await client.get(f"http://127.0.0.1:{front}/ops/tasks/", headers={"host": host})
                    assert answer.status_code == status


@needs_browser
async def test_it_is_live_behind_a_password_and_a_proxy(shop: int) -> None:
    """In a browser: the stream comes through, and the button works."""
    credentials = base64.b64encode(":".join(STAFF).encode()).decode()
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with proxy(shop, "/behind") as port:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            context = await browser.new_context(extra_http_headers={"authorization": f"Basic {credentials}"})
            tab = await context.new_page()
            await tab.goto(f"http://127.0.0.1:{port}/behind/ops/tasks/")
            await expect(tab.locator("#live-state")).to_have_text("live")
            await tab.get_by_role("link", name="long").first.click()
            await tab.get_by_role("button", name="Cancel this task").click()
            await expect(tab.locator("h1")).to_contain_text("cancelled")
            await browser.close()
