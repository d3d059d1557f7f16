"""What is live: one stream of server-sent events a page, of which the journal is read once for all who look at it.

What has changed is sent as it is then, and at most four times a second: who reads slowly misses what was in
between, and nobody waits for anybody. The number of each message says what the reader has, so that one who was
away for a while is sent what is new since then.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

HEARTBEAT_SECONDS = 15.0
"""How often a stream says that it is there, while nothing happens."""

SEND_PATIENCE_SECONDS = 60.0
"""How long a client may take to read a message before the stream is given up."""

LOOK_SECONDS = 0.1
"""How often to look whether anybody has written: some microseconds."""

SHARE_OF_A_CORE = 0.04
"""How much of a core all pages together may take, to be made and to be sent: they are made as rarely as that needs."""

SEND_SECONDS = 0.0007
"""How much of a core it takes to send what is new to one reader, as measured."""

LOOK_ANYWAY_SECONDS = 10.0
"""How often a page is brought up to date though nobody has written: time goes on, and owners die."""

MOST_STREAMS = 200
"""How many pages may be live at a time; further ones are told that they are not."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page as it is now."""

    id: str
    """Of the element whose content it is."""
    html: str
    digest: str
    """What tells it from what it was before."""

    @classmethod
    def of(cls, name: str, html: str) -> "Part":
        """A part with this content."""
        return cls(name, html, hashlib.blake2s(html.encode("utf-8", "replace"), digest_size=4).hexdigest())


@dataclass(frozen=True, slots=True)
class Frame:
    """A page as it is now, as far as it is live."""

    parts: tuple[Part, ...]
    logs: tuple[tuple[int, str], ...] = ()
    """Lines that are added to the element ``logs``, each with its number."""
    cost: float = field(default=0.0, compare=False)
    """How many seconds of a core it took to make."""

    @property
    def last_log(self) -> int:
        """The number of the last line."""
        return self.logs[-1][0] if self.logs else 0


@dataclass(frozen=True, slots=True)
class Message:
    """What a reader is sent."""

    number: str
    html: str


class Position:
    """What a reader has of a page, which is also the number of the last message that it was sent."""

    def __init__(self, log: int, digests: dict[str, str]) -> None:
        self.log = log
        self.digests = digests

    @classmethod
    def of(cls, number: str | None) -> "Position":
        """The position that a number stands for; one that is none is that of somebody who has nothing."""
        try:
            log, *digests = (number or "0").split(".")
            position = int(log)
            pairs = dict(one.split("-", 1) for one in digests)
        except ValueError:
            return cls(0, {})
        return cls(position if 0 <= position < 2**63 else 0, pairs)

    def __str__(self) -> str:
        """The number."""
        return ".".join([str(self.log), *(f"{part}-{one}" for part, one in sorted(self.digests.items()))])

    def news(self, frame: Frame) -> Message | None:
        """What this reader has not; None is nothing. From then on the reader has it."""
        partials = []
        for part in frame.parts:
            if self.digests.get(part.id) != part.digest:
                self.digests[part.id] = part.digest
                partials.append(f'<hx-partial hx-target="#{part.id}" hx-swap="innerMorph">{part.html}</hx-partial>')
        if lines := [html for number, html in frame.logs if number > self.log]:
            self.log = frame.last_log
            partials.append(f'<hx-partial hx-target="#logs" hx-swap="beforeend">{"".join(lines)}</hx-partial>')
        return Message(str(self), "".join(partials)) if partials else None


Render = Callable[[], Awaitable[Frame]]


@dataclass(slots=True)
class Channel:
    """A page that somebody looks at."""

    render: Render
    every_seconds: float
    frame: Frame | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    readers: int = 0
    keeping: asyncio.Task[None] | None = None
    is_over: bool = False


class Hub:
    """All pages that are live."""

    def __init__(self, has_changed: Callable[[], Awaitable[bool]]) -> None:
        """Begin with none.

        Args:
            has_changed: says cheaply whether anybody has written since it was last asked.
        """
        self._has_changed = has_changed
        self._channels: dict[Hashable, Channel] = {}
        self._commits = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self.streams = 0

    @property
    def is_full(self) -> bool:
        """Whether no further page may be live."""
        return self.streams >= MOST_STREAMS

    async def follow(
        self, key: Hashable, render: Render, every_seconds: float, position: Position
    ) -> AsyncGenerator[Message]:
        """What a reader of a page is sent.

        Args:
            key: the page; who looks at the same one is shown the same.
            render: makes the page as it is now; it raises nothing.
            every_seconds: how often, at most.
            position: what the reader has.

        Yields:
            The messages, each of what has changed since the one before.
        """
        if self.is_full:
            # Many came at once, and each was told that there is room.
            return
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = Channel(render, every_seconds)
        channel.readers += 1
        self.streams += 1
        if channel.keeping is None:
            channel.keeping = asyncio.create_task(self._keep(channel), name="ailf page")
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="ailf pages")
        try:
            while True:
                news = channel.news
                # Nobody else runs between the look and the wait: what comes then sets this very event.
                if channel.frame is not None and (message := position.news(channel.frame)) is not None:
                    yield message
                    continue
                if channel.is_over:
                    return
                await news.wait()
        finally:
            self._leave(key, channel)

    def _leave(self, key: Hashable, channel: Channel) -> None:
        """One reader fewer."""
        self.streams -= 1
        channel.readers -= 1
        if not channel.readers:
            if channel.keeping is not None:
                channel.keeping.cancel()
            self._channels.pop(key, None)
        if not self._channels and self._watching is not None:
            self._watching.cancel()
            self._watching = None

    def end(self) -> None:
        """End all streams: the server does."""
        for channel in self._channels.values():
            channel.is_over = True
            channel.news.set()

    async def _watch(self) -> None:
        """Look whether anybody has written, for all pages together."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if await self._has_changed():
                commits, self._commits = self._commits, asyncio.Event()
                commits.set()

    async def _keep(self, channel: Channel) -> None:
        """Keep a page up to date, as long as somebody looks at it."""
        while True:
            commits = self._commits
            began = asyncio.get_running_loop().time()
            frame = await channel.render()
            if frame != channel.frame:
                channel.frame = frame
                news, channel.news = channel.news, asyncio.Event()
                news.set()
            took = asyncio.get_running_loop().time() - began
            rest = (frame.cost * len(self._channels) + SEND_SECONDS * self.streams) / SHARE_OF_A_CORE
            await asyncio.sleep(max(channel.every_seconds - took, rest))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_ANYWAY_SECONDS):
                    await commits.wait()


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)
