"""The page in a real browser: it moves by itself, it acts, it can be used by everybody, it works without JavaScript."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from ailf.async_tasks import TaskManager, TaskStatus, current_task
from ailf.async_tasks.journal import open_reader
from ailf.async_tasks.journal.reading import reports
from ailf.errors import AilfError
from tests.conftest import PATIENCE_SECONDS, until
from tests.web.conftest import CHROMIUM, needs_browser, opened_again, served

pytestmark = needs_browser

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
VIEWS = ["", "tasks", "tasks?state=failed&since=24h", "failures", "timeline", "names", "task?id=runs", "task?id=failed"]

PROGRAM = """
import asyncio, sys
from ailf.async_tasks import TaskManager, current_task

async def climb():
    for step in range(1, 100000):
        current_task().update_progress(min(99, step // 10), f"step {step}")
        await asyncio.sleep(0.05)

async def main():
    async with TaskManager(sys.argv[1]) as manager:
        await manager.submit(climb, name="climbing")
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """The Chromium of this machine."""
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, timeout=90_000)
        yield started
        await started.close()


@pytest.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A tab in which nothing may go wrong: no error, no file that is missing or refused, nothing from elsewhere."""
    tab = await (await browser.new_context()).new_page()
    tab.set_default_timeout(PATIENCE_SECONDS * 1000)
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    trouble: list[str] = []
    hosts: set[str] = set()

    def keep(message: ConsoleMessage) -> None:
        # A server that ends with its test leaves the page without one.
        if message.type in ("error", "warning") and not re.search("net::ERR_|htmx:sse:error", message.text):
            trouble.append(message.text)

    tab.on("console", keep)
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    yield tab
    assert not trouble
    assert len(hosts) == 1


@pytest.fixture
def climbing(journal: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process of its own, with a task that says how far it is."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(journal)]) as program:
        yield program
        program.kill()


async def running(journal: Path) -> None:
    """Wait until the program's task is in the journal."""

    def runs() -> bool:
        try:
            with open_reader(journal) as reader:
                return reports.counted(reader)[TaskStatus.RUNNING] > 0
        except AilfError:
            return False

    await until(runs)


async def test_bars_move_with_no_reload(journal: Path, climbing: subprocess.Popen[bytes], page: Page) -> None:
    """Of a program in one process, on a page of another; the length of time goes on as well."""
    await running(journal)
    with served(journal) as address:
        await page.goto(address)
        await page.evaluate("window.isTheSame = true")
        bar = page.locator(".running progress")
        before = float(await bar.get_attribute("value") or 0)
        await expect(page.locator("#live-state")).to_have_text("live")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while float(await bar.get_attribute("value") or 0) <= before:
                await asyncio.sleep(0.05)
        await expect(page.locator(".running .message")).to_contain_text("step")
        assert await page.evaluate("window.isTheSame")
        climbing.send_signal(signal.SIGKILL)


async def test_cancel_stops_a_task_of_another_process(
    journal: Path, climbing: subprocess.Popen[bytes], page: Page
) -> None:
    """From the list of what runs to its page, one button, and it has ended there and here."""
    await running(journal)
    with served(journal, "--actions") as address:
        await page.goto(address)
        await page.get_by_role("link", name="climbing").first.click()
        await page.get_by_role("button", name="Cancel this task").click()
        await expect(page.locator("h1")).to_contain_text("cancelled")
        await expect(page.get_by_text("A coroutine cannot be run again")).to_be_visible()
        await expect(page.get_by_role("button", name="Cancel this task")).to_have_count(0)


async def test_the_demo_again_on_an_open_page(tmp_path: Path, page: Page) -> None:
    """A page on the demo's journal, while the demo runs: its tasks come, and its failures lead to themselves."""
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(40):
        (folder / f"file{number}.txt").write_text("some words in a line\n" * 2_000)
    journal = tmp_path / "demo.db"
    demo = [sys.executable, "-m", "ailf", "demo", "--journal", str(journal), str(folder)]
    environment = os.environ | {"TERM": "dumb"}

    async def run() -> None:
        process = await asyncio.create_subprocess_exec(*demo, stdout=subprocess.DEVNULL, env=environment)
        assert await process.wait() == 0

    await run()
    with served(journal) as address:
        await page.goto(address)
        await expect(page.locator("#live-state")).to_have_text("live")
        completed = page.locator("#counts a").filter(has_text="completed").locator("b")
        once = int(await completed.inner_text())
        again = asyncio.create_task(run())
        await expect(page.locator(".running progress").first).to_be_visible()
        await again
        await expect(completed).to_have_text(str(2 * once))
        await page.get_by_role("link", name="Failures", exact=True).click()
        group = page.locator(".groups > li").filter(has_text="too slow")
        assert "2 tasks" in await group.inner_text()
        await group.locator("a.count").click()
        await expect(page.locator("td.name .task")).to_have_text(["too slow"] * 2)
        await page.go_back()
        await expect(page.locator("h1")).to_have_text("Failures")


async def test_a_log_comes_line_by_line(journal: Path, page: Page) -> None:
    """As the task says it; none twice, and by its level."""
    may_go = asyncio.Event()

    async def talk() -> None:
        current_task().log("one")
        await may_go.wait()
        current_task().log("two <b>bold</b>")
        await asyncio.Event().wait()

    async with TaskManager(journal, capture_logs="INFO") as manager:
        task_id = await manager.submit(talk, name="talks")
        with served(journal) as address:
            await page.goto(f"{address}task?id={task_id}")
            lines = page.locator("#logs li .text")
            await expect(lines).to_have_text(["one"])
            await expect(page.locator("#live-state")).to_have_text("live")
            may_go.set()
            await expect(lines).to_have_text(["one", "two <b>bold</b>"])
            await page.get_by_role("link", name="Error", exact=True).click()
            await expect(lines).to_have_count(0)


async def test_filters_survive_reload_and_the_back_button(full: Path, page: Page) -> None:
    """They are in the address, as what the form says."""
    with served(full) as address:
        await page.goto(f"{address}tasks")
        await page.get_by_label("failed").check()
        await page.get_by_label("Metadata key").fill("user")
        await page.get_by_label("Its value").fill("u1")
        await page.get_by_role("button", name="Show").click()
        await expect(page.locator("td.name .task")).to_have_text(["report"])
        assert "state=failed" in page.url
        await page.reload()
        await expect(page.get_by_label("failed")).to_be_checked()
        await expect(page.locator("td.name .task")).to_have_text(["report"])
        await page.locator("td.name .task").click()
        await page.go_back()
        await expect(page.get_by_label("Its value").first).to_have_value("u1")


async def test_it_works_without_javascript(full: Path, browser: Browser) -> None:
    """Every view, the filters, the way to a task; times are in UTC then, and say so."""
    context = await browser.new_context(java_script_enabled=False)
    tab = await context.new_page()
    with served(full) as address:
        for view in VIEWS:
            await tab.goto(f"{address}{view}")
            await expect(tab.locator("h1")).to_have_count(1)
        await tab.goto(f"{address}tasks")
        await tab.get_by_label("Name").fill("other")
        await tab.get_by_role("button", name="Show").click()
        await expect(tab.locator("td.name .task")).to_have_text(["other"])
        assert "UTC" in await tab.locator("td.created").first.inner_text()
        await tab.locator("td.name .task").click()
        await expect(tab.locator("h1")).to_contain_text("other")


async def test_times_are_in_the_readers_zone(full: Path, browser: Browser) -> None:
    """With the exact one, in UTC, on hover."""
    context = await browser.new_context(timezone_id="Asia/Kolkata", locale="en-GB")
    tab = await context.new_page()
    with served(full) as address:
        await tab.goto(f"{address}task?id=failed")
        time = tab.locator("dd time").first
        await expect(time).to_have_text(re.compile("24/11/2026 08:30:00|^08:30:00$"))
        assert await time.get_attribute("title") == "2026-11-24T03:00:00.000000Z (UTC)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_nothing_stands_in_anybodys_way(full: Path, browser: Browser, scheme: str) -> None:
    """No violation that axe-core finds, light and dark, on a phone and on a wide screen; none scrolls sideways."""
    context = await browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    tab = await context.new_page()
    with served(full, "--actions") as address:
        for width in (360, 2560):
            await tab.set_viewport_size({"width": width, "height": 800})
            for view in VIEWS:
                await tab.goto(f"{address}{view}")
                found = await Axe().run(tab)
                assert found.violations_count == 0, (view, width, found.generate_report())
                assert await tab.evaluate("document.documentElement.scrollWidth") <= width, (view, width)


async def test_the_keyboard_reaches_everything(full: Path, page: Page) -> None:
    """The way past the navigation first; what has the focus keeps it while the page is brought up to date."""
    with served(full) as address:
        await page.goto(address)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "To the content"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "content"
        await page.locator(".running .task").focus()
        await expect(page.locator("#live-state")).to_have_text("live")
        connection = opened_again(full)
        connection.execute("UPDATE tasks SET progress = 55 WHERE id = 'runs'")
        connection.close()
        await expect(page.locator(".running .percent")).to_have_text("55 %")
        assert "runs long" in await page.evaluate("document.activeElement.textContent")


async def test_a_hostile_journal_does_nothing_in_a_browser(hostile: Path, page: Page) -> None:
    """No script runs, nothing is fetched from elsewhere, no window opens, what is said is there as text."""
    opened: list[object] = []
    page.on("dialog", lambda dialog: opened.append(dialog))  # noqa: PLW0108 - a builtin will not do
    page.on("popup", lambda popup: opened.append(popup))  # noqa: PLW0108
    with served(hostile) as address:
        for view in [*VIEWS, "task?id=big", "tasks?text=script"]:
            await page.goto(f"{address}{view}")
            await expect(page.locator("h1")).to_have_count(1)
        await page.goto(f"{address}tasks?state=failed")
        await page.locator("td.name .task").filter(has_text="script").click()
        await expect(page.locator("h1")).to_contain_text('<script>alert("x")</script>')
        await expect(page.locator("h1")).to_contain_text("\\u202e")
    assert not opened


async def test_many_pages_of_one_browser_leave_it_connections(full: Path, browser: Browser) -> None:
    """It has six to a server: some pages are live, each of the others says that it is not, and all can be used."""
    context = await browser.new_context()
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with served(full) as address:
        tabs = [await context.new_page() for _ in range(7)]
        for tab in tabs:
            await tab.goto(address)
            await expect(tab.locator("#live-state")).to_have_text(re.compile("^live|^not live"))
        said = [await tab.locator("#live-state").inner_text() for tab in tabs]
        assert said[:4] == ["live"] * 4
        assert all("other tabs" in one for one in said[4:])
        await tabs[6].click("text=Failures")
        await expect(tabs[6].locator("h1")).to_have_text("Failures")
        await tabs[0].close()
        await until_one_is_live(tabs[4:])
        await context.close()


async def until_one_is_live(tabs: list[Page]) -> None:
    """Wait until a page that waited for its turn has it."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "live" not in [await tab.locator("#live-state").inner_text() for tab in tabs]:
            await asyncio.sleep(0.05)


async def test_a_page_that_nobody_looks_at_takes_no_connection(full: Path, browser: Browser) -> None:
    """Opened in the background it is live when somebody comes to it."""
    tab = await (await browser.new_context()).new_page()
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    hidden = "Object.defineProperty(Document.prototype, 'hidden', {get: () => window.isAway ?? true})"
    await tab.add_init_script(hidden)
    streams: list[str] = []
    tab.on("request", lambda request: streams.append(request.url) if "/live?" in request.url else None)
    with served(full) as address:
        await tab.goto(address, wait_until="load")
        await tab.wait_for_timeout(500)
        assert not streams
        await tab.evaluate("window.isAway = false; document.dispatchEvent(new Event('visibilitychange'))")
        await expect(tab.locator("#live-state")).to_have_text("live")
        assert len(streams) == 1


async def test_a_page_that_lost_its_server_says_so_and_comes_back(full: Path, browser: Browser) -> None:
    """By itself, when there is one again."""
    tab = await (await browser.new_context()).new_page()
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    with served(full) as address:
        port = address.rstrip("/").rpartition(":")[2]
        await tab.goto(address)
        await expect(tab.locator("#live-state")).to_have_text("live")
    await expect(tab.locator("#live-state")).to_contain_text("not live")
    with served(full, "--port", port):
        await expect(tab.locator("#live-state")).to_have_text("live")
