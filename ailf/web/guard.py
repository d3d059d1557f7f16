"""What stands before every page: who may ask, by which name, and what a browser may do with the answer."""

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    # Nothing but what is served here, and of that no inline script or style: what gets into a page is only shown.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}

DEFAULT_PORTS = {"http": 80, "https": 443}


class Guard:
    """Refuses what no page of its own would ask, and says to browsers what pages may do."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        """Stand before an application.

        Args:
            app: the application.
            hosts: the names, beside those of the loopback interface, by which it may be asked for over that.
        """
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        if refusal is not None:
            await PlainTextResponse(f"{refusal}\n", status_code=403)(scope, receive, secured)
            return
        await self._app(scope, receive, secured)

    def _refusal(self, scope: Scope, headers: Headers) -> str | None:
        host = host_of(headers.get("host", ""))
        if is_loopback(scope) and not _is_loopback_name(host) and host not in self._hosts:
            return (
                f"This page was asked for as {host!a} over this machine's loopback interface, where a name from "
                "elsewhere may be a trap (DNS rebinding). If it is yours, a proxy's say, name it: "
                "ailf serve --allow-host NAME, or dashboard(..., hosts=[NAME])."
            )
        if scope["method"] not in ("GET", "HEAD") and not is_same_origin(headers):
            return "This may be asked by the page itself alone: open the page, and press its button."
        return None


def is_loopback(scope: Scope) -> bool:
    """Whether a request has come over the loopback interface."""
    server = scope.get("server")
    return server is not None and _is_loopback_address(server[0])


def host_of(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_loopback_name(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_loopback_address(name)


def _is_loopback_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # Where one socket listens for both protocols, 127.0.0.1 is ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def is_same_origin(headers: Headers) -> bool:
    """Whether a request that changes something comes from a page of this very origin.

    By ``Sec-Fetch-Site``, which no page can set (https://www.w3.org/TR/fetch-metadata/); by ``Origin`` where the
    browser sends none. What sends neither is no browser with a page of ours in it.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return (
        origin is not None
        and _place(origin) is not None
        and _place(origin) == _place(f"{urlsplit(origin).scheme}://{headers.get('host', '')}")
    )


def _place(origin: str) -> tuple[str, int] | None:
    """The host and port of an origin; the scheme is a proxy's to know, which may have ended TLS."""
    try:
        parts = urlsplit(origin)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None
