"""The application, asked over ASGI: pages, filters, trouble, downloads, cancelling; every text is only shown."""

import asyncio
import re
import shutil
import sqlite3
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote_plus, urljoin

import httpx
import pytest

from ailf.async_tasks import TaskManager, TaskStatus
from ailf.errors import InvalidTypeError
from ailf.web import dashboard
from ailf.web.views import VIEWS
from tests.async_tasks.journal.support import BROKEN, fill_broken
from tests.conftest import until
from tests.web.conftest import HOSTILE, client_of, opened_again

PAGES = ["", "tasks", "failures", "timeline", "names", "task?id=runs"]


class Parsed(HTMLParser):
    """The tags of a page, its texts, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keep a text."""
        self.texts.append(data)

    @property
    def text(self) -> str:
        """All text, with single blanks."""
        return " ".join(" ".join(self.texts).split())

    def links(self) -> list[str]:
        """Where its links lead."""
        return [attributes["href"] or "" for tag, attributes in self.tags if tag == "a"]


async def read(client: httpx.AsyncClient, path: str, status: int = 200) -> Parsed:
    """A page."""
    answer = await client.get(f"/{path}")
    assert answer.status_code == status, answer.text
    return Parsed(answer.text)


@pytest.mark.parametrize("path", PAGES)
async def test_each_view_has_a_page(client: httpx.AsyncClient, path: str) -> None:
    """With a heading, the navigation, and nothing that comes from elsewhere."""
    page = await read(client, path)
    assert [tag for tag, _ in page.tags].count("h1") == 1
    for tag, attributes in page.tags:
        for name in ("src", "href", "action"):
            assert not re.match(r"(?i)[a-z]+:|//|/", attributes.get(name) or ""), (tag, attributes)
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert tag != "style"
        assert tag != "script" or attributes["src"]


async def test_every_link_of_every_page_leads_somewhere(client: httpx.AsyncClient) -> None:
    """Each address that a page gives out is one that it understands."""
    seen: set[str] = set()
    waiting = [f"http://testserver/{path}" for path in PAGES]
    while waiting and len(seen) < 150:
        address = waiting.pop(0)
        if address in seen or "#" in address:
            continue
        seen.add(address)
        answer = await client.get(address)
        assert answer.status_code == 200, address
        if answer.headers["content-type"].startswith("text/html"):
            waiting += [urljoin(address, link) for link in Parsed(answer.text).links()]
    assert len(seen) > 40


async def test_the_board_shows_what_there_is(client: httpx.AsyncClient) -> None:
    """What runs with its progress and message, what waits, what ended, how the journal is."""
    text = (await read(client, "")).text
    for part in ("runs long", "40 %", "half", "waits", "1 ○ pending", "no way 42", "Managers", "Last failure"):
        assert part in text


@pytest.mark.parametrize(
    ("query", "there"),
    {
        "": {"report", "other", "runs long", "waits"},
        "state=failed": {"report"},
        "state=failed&state=running": {"report", "runs long"},
        "name=other": {"other"},
        "name=oth*": {"other"},
        "name=oth*&name=report": {"other", "report"},
        "reason=error": {"report"},
        "reason=error&reason=cancelled": {"report", "other"},
        "key=user&value=u1&key=n&value=3": {"report", "other"},
        "key=user&value=nobody&key=user&value=u1": {"report", "other"},
        "text=NO+WAY": {"report"},
        "key=user&value=u1": {"report", "other"},
        "key=n&value=3": {"report", "other"},
        "key=n&value=%223%22": set(),
        "parent=runs": {"waits"},
        "since=2026-11-24T03:00:01": set(),
        "ended_since=2026-11-24T03:00:02Z&state=cancelled": {"other"},
        "kind=no+way+%3Cn%3E&error_type=ValueError": {"report"},
        "sort=name&order=asc": {"other", "report", "runs long", "waits"},
        "sort=duration": {"report", "other", "runs long", "waits"},
    }.items(),
)
async def test_filters_are_in_the_address(client: httpx.AsyncClient, query: str, there: set[str]) -> None:
    """And what fits them is on the page."""
    answer = await client.get(f"/tasks?{query}")
    assert answer.status_code == 200
    names = set(re.findall(r'<a class="task"[^>]*><bdi>([^<]*)</bdi>', answer.text))
    assert names == there


@pytest.mark.parametrize(
    "query",
    [
        "tasks?state=lost",
        "tasks?reason=because",
        "tasks?key=" + "x" * 3000,
        "tasks?since=whenever",
        "tasks?since=99999999999w",
        "tasks?sort=colour",
        "tasks?order=sideways",
        "tasks?after=nonsense",
        "tasks?after=WzEsMl0",
        "tasks?after=" + "A" * 1999,
        "tasks?sort=name&after=WzEsMiwzLCIyMDI2LTExLTI0VDAzOjAwOjAwWiJd",
        "tasks?name=" + "x" * 3000,
        "tasks?" + "x" * 20_000,
        "tasks?" + "&".join("a=b" for _ in range(100)),
        "failures?period=never",
        "names?period=-1h",
        "timeline?span=0s",
        "timeline?span=999999999w",
        "timeline?until=0001-01-01T00:00&span=1h",
        "timeline?until=x",
        "task",
        "task?id=runs&level=loud",
    ],
)
async def test_what_makes_no_sense_is_said_to(client: httpx.AsyncClient, query: str) -> None:
    """As a page that says what to give instead, and leads back."""
    page = await read(client, query, 400)
    assert "tasks" in page.links()


async def test_an_unknown_task_and_an_unknown_page(client: httpx.AsyncClient) -> None:
    """Not found, and said so."""
    assert "No task" in (await read(client, "task?id=nobody", 404)).text
    assert "no such page" in (await read(client, "nothing/here", 404)).text
    assert (await client.post("/tasks", headers={"sec-fetch-site": "same-origin"})).status_code == 405


async def test_pages_by_key(full: Path) -> None:
    """Each task is on one page, and the last page leads nowhere."""
    connection = opened_again(full)
    for number in range(120):
        connection.execute(
            "INSERT INTO tasks (id, name, status, created_at, owner_id) VALUES (?, ?, 'pending', ?, 'o1')",
            (f"p{number}", f"p{number:03}", "2026-11-24T03:00:00.000000Z"),
        )
    connection.close()
    async with client_of(dashboard(full)) as client:
        address: str | None = "tasks?text=p&sort=name"
        names: list[str] = []
        pages = 0
        while address:
            answer = await client.get(f"/{address}")
            names += re.findall(r"<bdi>(p\d\d\d)</bdi></a>", answer.text)
            following = [a for tag, a in Parsed(answer.text).tags if tag == "a" and a.get("rel") == "next"]
            address = following[0]["href"] if following else None
            pages += 1
    assert names == [f"p{number:03}" for number in range(120)]
    assert pages == 3


async def test_one_task_has_its_parts(client: httpx.AsyncClient) -> None:
    """Times, progress, log by level, family, events, owner; a failed one its error and traceback."""
    runs = (await read(client, "task?id=runs")).text
    for part in ("runs long", "40 %", "line 0", "line 3", "waits", "half", "pid 1"):
        assert part in runs
    loud = (await read(client, "task?id=runs&level=30")).text
    assert "line 2" in loud
    assert "line 1" not in loud
    failed = (await read(client, "task?id=failed")).text
    for part in ("ValueError", "no way 42", "Traceback", "at 7", "cannot be run again", "user"):
        assert part in failed
    assert "runs long" in (await read(client, "task?id=child")).text


async def test_failures_lead_to_their_tasks(client: httpx.AsyncClient) -> None:
    """A group's number is a link to the list of just these."""
    page = await read(client, "failures")
    assert "no way <n>" in page.text
    [lists] = [link for link in page.links() if link.startswith("tasks?")]
    answer = await client.get(f"/{lists}")
    assert re.findall(r'<a class="task" href="([^"]*)"', answer.text) == ["task?id=failed"]


@pytest.mark.parametrize("path", [*PAGES, f"task?id={quote(HOSTILE)}", "task?id=big", f"tasks?text={quote(HOSTILE)}"])
async def test_a_hostile_journal_changes_nothing_but_its_own_text(hostile: Path, path: str) -> None:
    """No tag, no attribute, no hidden character comes from it, and a page stays small."""
    async with client_of(dashboard(hostile)) as client:
        answer = await client.get(f"/{path}")
    assert answer.status_code == 200
    page = Parsed(answer.text)
    assert "img" not in [tag for tag, attributes in page.tags if attributes.get("src") != "static/icon.svg"]
    assert {(attributes.get("src") or "").partition("?")[0] for tag, attributes in page.tags if tag == "script"} <= {
        *("static/htmx.min.js", "static/hx-sse.min.js", "static/page.js")
    }
    # What somebody has typed into a field stays as it is.
    shown = re.sub(r' value="[^"]*"', "", answer.text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    assert len(answer.text) < 200_000


async def test_the_headers_let_a_browser_do_nothing_else(client: httpx.AsyncClient) -> None:
    """On pages, files and refusals alike."""
    for path in ("", "static/page.js", "nothing", "tasks?sort=x"):
        headers = (await client.get(f"/{path}")).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"


async def test_downloads_are_attachments(hostile: Path) -> None:
    """Whole, as bytes, and never shown by the browser."""
    async with client_of(dashboard(hostile)) as client:
        answer = await client.get("/download?id=big&part=result")
        assert len(answer.content) == 1_000_004
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert b"line 3" in (await client.get("/download?id=runs&part=log")).content
        assert (await client.get("/download?id=runs&part=result")).status_code == 404
        assert (await client.get("/download?id=runs&part=name")).status_code == 404


async def test_a_page_is_small(client: httpx.AsyncClient) -> None:
    """With all that it loads, the first time: under 60 KB over the wire."""
    for path in PAGES:
        answer = await client.get(f"/{path}")
        page = Parsed(answer.text)
        files = {a["src"] for tag, a in page.tags if tag in ("script", "img")}
        files |= {a["href"] for tag, a in page.tags if tag == "link"}
        answers = [answer, *[await client.get(f"/{file}") for file in sorted(filter(None, files))]]
        sizes = [int(one.headers["content-length"]) for one in answers]
        assert sum(sizes) < 60_000, (path, sizes)


async def test_a_journal_that_is_missing_comes_goes_and_is_another(tmp_path: Path, full: Path) -> None:
    """Each is said; the page goes on with what is there."""
    path = tmp_path / "elsewhere.db"
    async with client_of(dashboard(path)) as client:
        assert "no journal" in (await read(client, "", 503)).text
        shutil.copyfile(full, path)
        assert "runs long" in (await read(client, "")).text
        path.unlink()
        assert "no journal" in (await read(client, "tasks", 503)).text
        async with TaskManager(path) as manager:
            await manager.result(await manager.submit(lambda: 7, name="anew"))
            text = (await read(client, "tasks")).text
            assert "anew" in text
            assert "runs long" not in text


async def test_what_is_no_journal_or_of_another_release_is_refused(tmp_path: Path, full: Path) -> None:
    """With the words that the command has for it."""
    (tmp_path / "text.db").write_text("no database at all, but text\n" * 100)
    async with client_of(dashboard(tmp_path / "text.db")) as client:
        assert "no SQLite database" in (await read(client, "", 503)).text
    connection = opened_again(full)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    async with client_of(dashboard(full)) as client:
        assert "9999" in (await read(client, "", 503)).text


async def test_a_newer_release_upgrades_the_journal_of_an_open_page(full: Path) -> None:
    """In its place: from then on the page says so, and goes on where it is what it was."""
    async with client_of(dashboard(full)) as client:
        assert "runs long" in (await read(client, "")).text
        connection = opened_again(full)
        [(revision,)] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        assert "9999" in (await read(client, "tasks", 503)).text
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.close()
        assert "runs long" in (await read(client, "")).text


async def test_a_locked_journal_is_said_to_be(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a moment, not after half a minute."""
    monkeypatch.setattr("ailf.async_tasks.source.PATIENCE_SECONDS", 0.05)
    holder = opened_again(full)
    async with client_of(dashboard(full)) as client:
        holder.execute("PRAGMA locking_mode=EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        assert "locked" in (await read(client, "tasks", 503)).text
        holder.execute("ROLLBACK")
        holder.close()
        await read(client, "tasks")


@pytest.mark.parametrize(
    ("path", "besides"),
    [
        *((path, None) for path in ("", "failures", "names")),
        *((f"tasks?sort={order}", set()) for order in ("created", "name", "duration", "progress")),
        ("timeline", {"no time"}),
        ("tasks?sort=ended", {"status"}),
    ],
)
async def test_rows_that_somebody_else_has_written_hide_no_other(
    journal: Path, path: str, besides: set[str] | None
) -> None:
    """Each is shown as what it is, in every list that it can be in, and so are those around it."""
    fill_broken(journal)
    async with client_of(dashboard(journal)) as client:
        page = await read(client, path)
    if besides is not None:
        shown = {unquote_plus(link.removeprefix("task?id=")) for link in page.links() if "task?id=" in link}
        assert shown == {"t1", "last", *BROKEN} - besides


@pytest.mark.parametrize("task_id", BROKEN)
async def test_a_row_that_somebody_else_has_written(journal: Path, task_id: str) -> None:
    """Has its page, its log and its stream."""
    fill_broken(journal)
    async with client_of(dashboard(journal)) as client:
        page = await read(client, f"task?id={quote(task_id)}")
        assert "said" in page.text
        assert b"said" in (await client.get(f"/download?id={quote(task_id)}&part=log")).content


def test_only_a_manager_or_a_path() -> None:
    """Anything else is an error of ours."""
    with pytest.raises(InvalidTypeError, match="TaskManager"):
        dashboard(7)  # type: ignore[arg-type]


SAME = {"sec-fetch-site": "same-origin"}


async def test_cancelling_must_be_asked_for(client: httpx.AsyncClient) -> None:
    """Without actions there is neither a button nor an address for it."""
    page = await read(client, "task?id=runs")
    assert "cancel" not in [attributes.get("action") for tag, attributes in page.tags if tag == "form"]
    assert (await client.post("/cancel", data={"id": "runs"}, headers=SAME)).status_code == 404


async def test_a_manager_cancels_a_task_with_what_it_has_submitted(manager: TaskManager) -> None:
    """From the form that the page has for it, which leads back to the task."""
    inner: list[str] = []

    async def outer() -> None:
        inner.append(await manager.submit(asyncio.sleep(60), name="inner"))
        await asyncio.sleep(60)

    task_id = await manager.submit(outer, name="outer")
    await until(lambda: inner)
    async with client_of(dashboard(manager, actions=True)) as client:
        page = await read(client, f"task?id={task_id}")
        names = [attributes.get("name") for tag, attributes in page.tags if tag == "input"]
        assert names == ["id", "children"]
        answer = await client.post("/cancel", data={"id": task_id, "children": "yes"}, headers=SAME)
        assert (answer.status_code, answer.headers["location"]) == (303, f"task?id={task_id}")
    infos = [manager.get_task_info(one) for one in (task_id, *inner)]
    assert [info and info.status for info in infos] == [TaskStatus.CANCELLED] * 2


async def test_another_process_is_asked_to_cancel(full: Path) -> None:
    """By the journal: the task, and those that it has submitted."""
    async with client_of(dashboard(full, actions=True)) as client:
        answer = await client.post("/cancel", data={"id": "runs", "children": "yes"}, headers=SAME)
        assert answer.status_code == 303
        assert "Asked to cancel" in (await read(client, "task?id=runs")).text
        assert (await client.post("/cancel", data={}, headers=SAME)).status_code == 400
        assert (await client.post("/cancel", content=b"x" * 10_000, headers=SAME)).status_code == 400
    connection = sqlite3.connect(full)
    asked = connection.execute("SELECT id FROM tasks WHERE cancel_requested_at IS NOT NULL").fetchall()
    connection.close()
    assert set(asked) == {("runs",), ("child",)}


async def test_nothing_is_left_beside_a_journal_that_was_looked_at(full: Path) -> None:
    """Nor is it changed."""
    before = full.read_bytes()
    app = dashboard(full)
    for view in VIEWS:
        async with client_of(app) as client:
            await client.get(f"/{view.path}?id=runs")
    await _ended(app)
    assert full.read_bytes() == before
    assert [path.name for path in full.parent.iterdir()] == [full.name]


async def _ended(app: object) -> None:
    """Have the application begin and end, as a server does."""
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict[str, str]:
        return next(messages)

    async def send(message: object) -> None:
        pass

    await app({"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)  # type: ignore[operator]
