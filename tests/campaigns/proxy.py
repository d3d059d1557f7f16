"""What stands between a client and a server, and can cut or stall every connection."""

import asyncio
from contextlib import suppress
from typing import Self

from tests.redis_server import HOST


class Proxy:
    """Passes bytes on, until it is told not to.

    Args:
        port: the server's.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0

    async def __aenter__(self) -> Self:
        """Begin to listen, on a port that the kernel chooses."""
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Cut everything, and listen no more."""
        if self._server is not None:
            self._server.close()
        await self.cut()

    async def cut(self) -> None:
        """Break every connection."""
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def stall(self, seconds: float) -> None:
        """Pass nothing on for a while, with every connection left open."""
        self._flowing.clear()
        await asyncio.sleep(seconds)
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(HOST, self._server_port)
                try:
                    await self._pass_both(reader, writer, far_reader, far_writer)
                finally:
                    far_writer.transport.abort()
        except asyncio.CancelledError:
            # The server that called this takes a cancellation for an error.
            pass
        finally:
            writer.transport.abort()
            self._links.discard(task)

    async def _pass_both(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        ways = {
            asyncio.create_task(self._pass(reader, far_writer)),
            asyncio.create_task(self._pass(far_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._flowing.wait()
            writer.write(data)
            await writer.drain()
