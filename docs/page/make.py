"""Makes the pictures of the page: a program of its own at work, looked at in a real browser, light and dark.

::

    python docs/page/make.py

Needs Chromium: ``apt-get install chromium``.
"""

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from ailf.async_tasks import TaskManager, current_task

HERE = Path(__file__).resolve().parent
WIDE = {"width": 1200, "height": 760}
PHONE = {"width": 360, "height": 740}
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
REPORTS = {12: 50.0, 25: 80.0, 40: 130.0}
"""After which order a report begins, and how long it takes."""

TALK = logging.getLogger("shop.orders")
SECONDS_TO_SETTLE = 0.8
"""Until a page has its times in the reader's zone, and is live."""


class OutOfStockError(Exception):
    """Nothing is left of an article."""


async def fetch(page: int) -> dict[str, int]:
    """A page of a supplier's catalogue."""
    await asyncio.sleep(0.15 + page % 5 * 0.1)
    if page % 7 == 3:  # noqa: PLR2004 - one in seven
        raise ConnectionError(f"supplier-{page} did not answer within 30.0 s")
    return {"page": page, "articles": 40 + page}


async def order(number: int) -> dict[str, object]:
    """An order."""
    TALK.info("order %d is checked", number)
    await asyncio.sleep(0.1 + number % 3 * 0.2)
    if number % 9 == 4:  # noqa: PLR2004 - one in nine
        raise OutOfStockError(f"article {7000 + number} is out of stock, {number % 4} left")
    return {"order": number, "items": [{"article": 7000 + number, "count": 2}], "paid": True}


async def report(manager: TaskManager, seconds: float) -> int:
    """A long task with children of its own."""
    task = current_task()
    TALK.info("reading the ledger")
    pages = [await manager.submit(fetch(page), name="fetch") for page in range(20, 26)]
    for step in range(1, 100):
        task.update_progress(step, f"month {1 + step // 9} of 12: {step * 311:,} rows")
        await asyncio.sleep(seconds / 100)
        if step == 40:  # noqa: PLR2004 - somewhere in the middle
            TALK.warning("the ledger of May has a gap of 2 days", extra={"rows": 3})
    for page in pages:
        await manager.wait_for_task(page)
    return step


async def work(manager: TaskManager) -> str:
    """Have something to look at; gives the id of the report that runs."""
    ended = [await manager.submit(asyncio.sleep(60), name="nightly export", timeout=1)]
    unwanted = await manager.submit(asyncio.sleep(60), name="nightly export")
    ids = []
    for number in range(45):
        ended.append(await manager.submit(order(number), name="order", metadata={"shop": "north"}))
        await asyncio.sleep(0.3)
        if number % 2:
            ended.append(await manager.submit(fetch(number), name="fetch"))
        if number in REPORTS:
            ids.append(await manager.submit(report(manager, REPORTS[number]), name="yearly report"))
    await manager.cancel_task(unwanted)
    await asyncio.gather(*(manager.wait_for_task(task_id) for task_id in ended))
    await manager.submit(asyncio.sleep(90), name="send newsletter", metadata={"shop": "south"})
    for number in range(100, 112):
        await manager.submit(asyncio.sleep(90), name=f"back up shelf {number}")
    await asyncio.sleep(10)
    return ids[0]


async def picture(page: Page, address: str, name: str) -> None:
    """Take a picture of a view."""
    await page.goto(address)
    await asyncio.sleep(SECONDS_TO_SETTLE)
    await page.screenshot(path=HERE / f"{name}.png")


async def pictures(browser: Browser, address: str, task_id: str) -> None:
    """Take all of them."""
    views = {
        "now": "",
        "tasks": "tasks",
        "task": f"task?id={task_id}",
        "failures": "failures",
        "timeline": "timeline?span=1m",
        "names": "names",
    }
    for scheme in ("light", "dark"):
        context = await browser.new_context(viewport=WIDE, color_scheme=scheme)  # type: ignore[arg-type]
        page = await context.new_page()
        for name, view in views.items():
            await picture(page, f"{address}{view}", f"{name}-{scheme}")
    context = await browser.new_context(viewport=PHONE, device_scale_factor=2)  # type: ignore[arg-type]
    await picture(await context.new_page(), address, "now-phone")


async def main() -> None:
    """Run the program, serve its journal, and take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("There is no Chromium here: apt-get install chromium.")
    logging.basicConfig(level=logging.INFO, handlers=[logging.NullHandler()])
    # What a picture says of where it was made is nobody's business.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="shop-") as folder:
        journal = Path(folder) / "orders.db"
        settings = {"max_concurrency": 12, "retention": timedelta(days=1), "capture_logs": "INFO"}
        async with TaskManager(journal, **settings) as manager, async_playwright() as playwright:  # type: ignore[arg-type]
            task_id = await work(manager)
            command = [sys.executable, "-m", "ailf", "serve", "--journal", str(journal), "--port", "0", "--actions"]
            environment = os.environ | {"PYTHONUNBUFFERED": "1"}
            serving = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, env=environment)
            assert serving.stdout is not None  # noqa: S101 - it was asked for
            said = (await serving.stdout.readline()).decode()
            address = next(word for word in said.split() if word.startswith("http://"))
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            await pictures(browser, address, task_id)
            await browser.close()
            serving.terminate()
            await serving.wait()


if __name__ == "__main__":
    asyncio.run(main())
