"""The page served by itself, as the command does it."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Collection
from pathlib import Path

from ailf.errors import InvalidArgumentError, MissingExtraError
from ailf.web.app import dashboard

try:
    import uvicorn
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        'ailf serve needs the package uvicorn: install it with pip install "ailf[web]".', name=missing.name
    ) from missing

STOP_PATIENCE_SECONDS = 3
"""How long open pages may take to be told that this ends."""


def serve(
    journal: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8484,
    actions: bool = False,
    hosts: Collection[str] = (),
    ready: Callable[[str], None] = print,
) -> None:
    """Serve the page until the process is asked to end; blocks.

    Args:
        journal: the journal.
        host: the name or address that is listened on.
        port: the port; 0 is any that is free.
        actions: whether tasks may be cancelled.
        hosts: the names, beside those of the loopback interface, by which the page may be asked for over that.
        ready: called with the page's address once it is listened on.

    Raises:
        InvalidArgumentError: nothing can listen there.
    """
    try:
        listening = socket.create_server((host, port), family=_family(host, port), reuse_port=False)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidArgumentError(
            f"Nothing can be served at {host} port {port}: {reason}; choose another --host or --port."
        ) from error
    with listening:
        config = uvicorn.Config(
            dashboard(journal, actions=actions, hosts=hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_PATIENCE_SECONDS,
        )
        asyncio.run(_serve(uvicorn.Server(config), listening, _address(host, listening), ready))


async def _serve(server: uvicorn.Server, listening: socket.socket, address: str, ready: Callable[[str], None]) -> None:
    # It listens already: who opens the address from now on is answered as soon as the server has begun.
    ready(address)
    await server.serve(sockets=[listening])


def _family(host: str, port: int) -> socket.AddressFamily:
    return socket.AddressFamily(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0])


def _address(host: str, listening: socket.socket) -> str:
    """Where a browser on this machine finds the page."""
    name = host
    try:
        address = ipaddress.ip_address(host)
        if address.is_unspecified:
            name = "127.0.0.1" if address.version == 4 else "::1"  # noqa: PLR2004 - of the internet protocol
    except ValueError:
        pass
    port = listening.getsockname()[1]
    return f"http://{f'[{name}]' if ':' in name else name}:{port}/"
