"""Where broker and result back-end are: addresses as Celery takes them, and as they may be shown."""

from urllib.parse import parse_qsl, urlencode, urlsplit

from ailf.errors import InvalidArgumentError

MASK = "***"
_CERT_REQS = {
    "none": "CERT_NONE",
    "optional": "CERT_OPTIONAL",
    "required": "CERT_REQUIRED",
}
"""How redis-py spells what Celery calls otherwise."""


def shown_url(urls: object) -> str:
    """Give an address, or several, as it may be shown: without passwords, and not at all where it does not parse.

    Args:
        urls: the setting: an address, several with ``;`` between them, a list of them, or None.

    Returns:
        What to show.
    """
    if not urls:
        return "nowhere"
    if isinstance(urls, list | tuple):
        return ";".join(map(shown_url, urls))
    return ";".join(_shown(url) for url in str(urls).split(";"))


def _shown(url: str) -> str:
    if not is_whole(url):
        return MASK
    parts = urlsplit(url)
    # An @ so late may be a password's, cut off at a /, ? or # in it.
    if parts.netloc and "@" in parts.path + parts.query + parts.fragment:
        return MASK
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _password = credentials.partition(":")
    netloc = f"{user}:{MASK}@{host}" if colon else f"{credentials}{at}{host}"
    # Options may hold a password too, and say little about where a server is.
    return f"{parts.scheme}://{netloc}{parts.path}"


def is_whole(url: str) -> bool:
    """Whether an address parses, with no credentials cut off at a ``/``, ``?`` or ``#`` in a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    rest = parts.path + parts.query + parts.fragment
    return not ("@" in rest and parts.netloc and "@" not in parts.netloc)


def checked_url(name: str, url: str | None) -> str | None:
    """Check an address, and spell its TLS options as Celery does.

    Args:
        name: the variable that it comes from.
        url: the address; several have ``;`` between them; None and "" are none.

    Returns:
        The address for Celery.

    Raises:
        InvalidArgumentError: it does not parse, or has a TLS option that is none.
    """
    if not url:
        return None
    for one in url.split(";"):
        if not is_whole(one):
            raise InvalidArgumentError(
                f"${name} does not parse as an address, and is not shown, since it may hold a password. Write #, /, ?, "
                "@ and : in a user's name or password as %23, %2F, %3F, %40 and %3A."
            )
    return ";".join(_with_tls(name, one) for one in url.split(";"))


def _with_tls(name: str, url: str) -> str:
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = dict(query).get("ssl_cert_reqs")
    if given is None:
        # Celery takes no address without the option; a certificate is verified unless somebody says otherwise.
        is_tls = parts.scheme in {"rediss", "valkeys"}
        return _replaced(url, [*query, ("ssl_cert_reqs", "CERT_REQUIRED")]) if is_tls else url
    spelled = _CERT_REQS.get(given.lower(), given.upper())
    if spelled not in _CERT_REQS.values():
        raise InvalidArgumentError(
            f"${name} has ssl_cert_reqs={given}: it takes CERT_REQUIRED, CERT_OPTIONAL or CERT_NONE (or required, "
            "optional or none)."
        )
    if spelled == given:
        return url
    return _replaced(url, [(key, spelled if key == "ssl_cert_reqs" else value) for key, value in query])


def _replaced(url: str, query: list[tuple[str, str]]) -> str:
    base = url.partition("?")[0]
    return f"{base}?{urlencode(query)}"
