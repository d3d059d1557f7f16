"""What is live: what a reader has not is sent, once; many look at one page that is made once; nobody is waited for."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Scope

from ailf.async_tasks import TaskManager, current_task
from ailf.web import dashboard, live
from ailf.web.live import Frame, Hub, Part, Position
from tests.conftest import until
from tests.web.conftest import client_of, opened_again


def frame(*texts: str, logs: tuple[int, ...] = ()) -> Frame:
    """A page of these parts and lines."""
    parts = tuple(Part.of(f"p{number}", text) for number, text in enumerate(texts))
    return Frame(parts, tuple((number, f"<li>{number}</li>") for number in logs))


def test_news_are_what_a_reader_has_not() -> None:
    """Parts that have changed, lines that were added; nothing where there is nothing new."""
    position = Position.of(None)
    first = position.news(frame("a", "b", logs=(3, 5)))
    assert first is not None
    assert first.html.count("<hx-partial") == 3
    assert position.news(frame("a", "b", logs=(3, 5))) is None
    second = position.news(frame("a", "c", logs=(5, 8)))
    assert second is not None
    assert "#p1" in second.html
    assert "#p0" not in second.html
    assert "<li>8</li>" in second.html
    assert "<li>5</li>" not in second.html


def test_a_reader_that_comes_back_is_sent_what_is_new_since_then() -> None:
    """The number of the last message says what it has; a number that makes no sense is nobody's."""
    position = Position.of(None)
    message = position.news(frame("a", "b", logs=(3,)))
    assert message is not None
    again = Position.of(message.number)
    assert again.news(frame("a", "b", logs=(3,))) is None
    later = again.news(frame("a", "x", logs=(3, 4)))
    assert later is not None
    assert (later.html.count("<hx-partial"), "<li>3</li>" in later.html) == (2, False)
    for nonsense in ("x", "-1", "1.2.3", "9" * 30, "", "1.p0"):
        assert Position.of(nonsense).news(frame("a")) is not None


class Made:
    """A page that somebody makes, and how often it was made."""

    def __init__(self) -> None:
        self.times = 0
        self.text = "a"
        self.has_changed = False

    async def render(self) -> Frame:
        """Make it."""
        self.times += 1
        return frame(self.text)

    async def changed(self) -> bool:
        """Whether there is something new, since this was last asked."""
        was, self.has_changed = self.has_changed, False
        return was

    def change(self, text: str) -> None:
        """Something new."""
        self.text = text
        self.has_changed = True


async def test_many_readers_share_what_is_made_once() -> None:
    """And what is made is no more when the last of them has left."""
    made = Made()
    hub = Hub(made.changed)
    seen: list[list[str]] = [[] for _ in range(50)]

    async def read(place: int) -> None:
        async with aclosing(hub.follow("page", made.render, 0.01, Position.of(None))) as messages:
            async for message in messages:
                seen[place].append(message.html)

    readers = [asyncio.create_task(read(place)) for place in range(50)]
    await until(lambda: all(len(one) == 1 for one in seen))
    assert made.times == 1
    assert hub.streams == 50
    made.change("b")
    await until(lambda: all(len(one) == 2 for one in seen))
    assert made.times == 2
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    assert hub.streams == 0
    assert not hub._channels
    assert len(asyncio.all_tasks()) == 1


async def test_a_slow_reader_misses_what_was_in_between() -> None:
    """And holds up nobody: it is sent the page as it is when it reads again."""
    made = Made()
    hub = Hub(made.changed)
    slow = hub.follow("page", made.render, 0.0, Position.of(None))
    await anext(slow)
    quick = hub.follow("page", made.render, 0.0, Position.of(None))
    await anext(quick)
    for number in range(5):
        made.change(f"n{number}")
        assert f"n{number}" in (await anext(quick)).html
    assert "n4" in (await anext(slow)).html
    await slow.aclose()
    await quick.aclose()


async def test_changes_are_brought_together() -> None:
    """However often something is written, a page is made so often at most."""
    made = Made()
    hub = Hub(made.changed)
    async with aclosing(hub.follow("page", made.render, 0.25, Position.of(None))) as messages:
        await anext(messages)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        numbers = count()
        while made.times < 4:
            made.change(f"n{next(numbers)}")
            await asyncio.sleep(0.01)
        assert loop.time() - begin > 0.6


async def test_pages_that_take_long_to_make_are_made_more_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them together take a share of a core."""
    slept: list[float] = []
    sleep = asyncio.sleep

    async def counted(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    made = Made()

    async def render() -> Frame:
        made.times += 1
        return Frame((Part.of("p", str(made.times)),), cost=0.1)

    hub = Hub(made.changed)
    monkeypatch.setattr(asyncio, "sleep", counted)
    async with aclosing(hub.follow("page", render, 0.25, Position.of(None))) as messages:
        await anext(messages)
        while not any(seconds > 1 for seconds in slept):
            await sleep(0.001)
    assert max(slept) == pytest.approx((0.1 + live.SEND_SECONDS) / live.SHARE_OF_A_CORE)


@asynccontextmanager
async def stream(app: ASGIApp, query: str, last: str | None = None) -> AsyncIterator[AsyncGenerator[tuple[str, str]]]:
    """A live stream of an application: the number and the content of each message."""
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    gone = asyncio.Event()
    headers = [(b"host", b"testserver")] + ([(b"last-event-id", last.encode())] if last else [])
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/live",
        "raw_path": b"/live",
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "server": ("testserver", 80),
        "client": ("testclient", 1),
    }

    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await chunks.put(message.get("body", b""))

    async def messages() -> AsyncGenerator[tuple[str, str]]:
        text = ""
        while True:
            text += (await chunks.get()).decode()
            while "\n\n" in text:
                message, _, text = text.partition("\n\n")
                number = re.search(r"^id: (.*)$", message, re.MULTILINE)
                content = "\n".join(re.findall(r"^data: (.*)$", message, re.MULTILINE))
                if number is not None:
                    yield number[1], content

    async def serve() -> None:
        await app(scope, receive, send)

    serving = asyncio.create_task(serve())
    try:
        async with asyncio.timeout(30):
            yield messages()
    finally:
        gone.set()
        await asyncio.wait([serving], timeout=10)


async def test_a_stream_brings_what_a_program_writes(manager: TaskManager) -> None:
    """A bar that moves, a line that is logged; and after a while away, what was missed."""
    may_go = asyncio.Event()

    async def work() -> None:
        current_task().update_progress(20, "begun")
        await may_go.wait()
        current_task().update_progress(70, "further on")
        await asyncio.Event().wait()

    task_id = await manager.submit(work, name="work")
    app = dashboard(manager)
    async with stream(app, "view=task&id=" + task_id) as messages:
        html = number = ""
        while "70 %" not in html:
            number, content = await anext(messages)
            html += content
            if "20 %" in html:
                may_go.set()
    async with stream(app, "view=task&id=" + task_id, last=number) as messages:
        manager.update_progress(task_id, 90, "nearly")
        async for _, content in messages:
            assert 'hx-target="#outcome"' not in content
            if "90 %" in content:
                break


async def test_trouble_is_said_on_a_page_that_is_open(full: Path) -> None:
    """And is over when it is over."""
    app = dashboard(full)
    elsewhere = full.with_name("moved.db")
    async with stream(app, "view=now") as messages:
        assert "runs long" in (await anext(messages))[1]
        full.rename(elsewhere)
        assert "no journal" in (await anext(messages))[1]
        elsewhere.rename(full)
        async for _, content in messages:
            if '<hx-partial hx-target="#notice" hx-swap="innerMorph"></hx-partial>' in content:
                break


async def test_logs_are_added_line_by_line(full: Path) -> None:
    """What a page has already is not sent again."""
    app = dashboard(full)
    async with client_of(app) as client:
        page = (await client.get("/task?id=runs")).text
    [query] = re.findall(r'hx-sse:connect="live\?([^"]*)"', page)
    async with stream(app, query.replace("&amp;", "&")) as messages:
        connection = opened_again(full)
        connection.execute(
            "INSERT INTO task_logs (task_id, at, level, level_name, logger, message) "
            "VALUES ('runs', '2026-11-24T03:00:03.000000Z', 20, 'INFO', 'app', 'one more <b>')"
        )
        connection.close()
        html = ""
        async for _, content in messages:
            html += content
            if "one more" in html:
                break
    assert "one more &lt;b&gt;" in html
    assert "line 3" not in html


async def test_streams_are_bounded(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Further pages are told so, and are pages all the same."""
    monkeypatch.setattr(live, "MOST_STREAMS", 1)
    app = dashboard(full)
    async with client_of(app) as client, stream(app, "view=now") as messages:
        await anext(messages)
        answer = await client.get("/live?view=now")
        assert answer.status_code == 503
        assert "not live" in answer.text
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/live?view=nothing")).status_code == 404


async def test_no_more_streams_than_there_may_be_though_many_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each was told that there is room; what is too much ends."""
    monkeypatch.setattr(live, "MOST_STREAMS", 2)
    made = Made()
    hub = Hub(made.changed)

    async def read() -> bool:
        async with aclosing(hub.follow("page", made.render, 0.01, Position.of(None))) as messages:
            async for _ in messages:
                await asyncio.Event().wait()
        return True

    readers = [asyncio.create_task(read()) for _ in range(5)]
    done, open_ones = await asyncio.wait(readers, timeout=None, return_when=asyncio.FIRST_COMPLETED)
    await until(lambda: sum(reader.done() for reader in readers) == 3)
    assert hub.streams == 2
    for reader in done | open_ones:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    assert hub.streams == 0


async def test_whoever_asks_for_nonsense_is_the_only_one_who_hears_of_it(full: Path) -> None:
    """A page that asks for too much is not the same page as the one that asks for nothing."""
    app = dashboard(full)
    async with stream(app, f"view=tasks&name={'x' * 2001}") as nonsense, stream(app, "view=tasks") as messages:
        assert "2001 characters" in (await anext(nonsense))[1]
        assert "2001 characters" not in (await anext(messages))[1]


async def test_a_page_of_which_nobody_knows_is_not_live(full: Path) -> None:
    """A stream of a task that is not there says so."""
    async with stream(dashboard(full), "view=task&id=nobody") as messages:
        assert "No task" in (await anext(messages))[1]
