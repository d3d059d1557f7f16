"""Where the server is, and what to tell the user when it does not answer: pure functions."""

import os
import ssl
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from redis.exceptions import (
    AuthenticationError,
    DataError,
    InvalidResponse,
    MaxConnectionsError,
    NoPermissionError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisPyConnectionError
from redis.exceptions import TimeoutError as RedisPyTimeoutError

from ailf.errors import InvalidArgumentError, InvalidTypeError, RedisCommandError, RedisConnectionError

URL_VARIABLE = "AILF_REDIS_URL"
DEFAULT_URL = "redis://localhost:6379/0"
SCHEMES = ("redis", "rediss", "unix")
_MASK = "***"
LONGEST_QUOTE = 80
"""Characters that are shown of what no Redis server would say."""
_SECRET_PARAMETERS = frozenset({"password", "ssl_password"})

CONNECTION_FAILURES = (RedisPyConnectionError, RedisPyTimeoutError, OSError)
"""What redis-py raises where the server cannot be reached, or the connection broke."""


def resolve_url(url: str | None) -> str:
    """Choose the URL of the server, and check its form.

    Args:
        url: the URL given, or None for ``$AILF_REDIS_URL``, else ``redis://localhost:6379/0``.

    Returns:
        The URL to connect to.

    Raises:
        InvalidTypeError: it is no text.
        InvalidArgumentError: it is no URL of a Redis server.
    """
    if url is not None and not isinstance(url, str):
        raise InvalidTypeError(f"The URL of a Redis server is text, such as {DEFAULT_URL}, not {type(url).__name__}.")
    chosen = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    scheme = chosen.partition("://")[0]
    if scheme not in SCHEMES:
        raise InvalidArgumentError(
            f"{mask(chosen)!r} is no URL of a Redis server: it starts with one of "
            f"{', '.join(f'{known}://' for known in SCHEMES)}, as in {DEFAULT_URL}."
        )
    if not _is_whole(chosen):
        raise InvalidArgumentError(
            "The URL of the Redis server does not parse, and is not shown, since it may hold a password. Write #, /, "
            "?, @ and : in a user's name or password as %23, %2F, %3F, %40 and %3A."
        )
    return _with_tls_spelled(chosen)


def without(url: str, names: Collection[str]) -> str:
    """Give the URL without some of its options, which redis-py would put before those that it is called with."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in names]
    return urlunsplit(parts._replace(query=urlencode(kept)))


def _is_whole(url: str) -> bool:
    """Whether the URL parses, with no credentials cut off at a ``/``, ``?`` or ``#`` in a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    # A socket has no authority that could be cut off, and a password may be an option.
    options = [pair for pair in parts.query.split("&") if "=" not in pair]
    return not (parts.netloc and "@" in parts.path + parts.fragment + "".join(options)) or parts.scheme == "unix"


def _with_tls_spelled(url: str) -> str:
    """Spell ``ssl_cert_reqs`` as redis-py does, where it is spelled as Celery and Python do."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    if not any(name == "ssl_cert_reqs" and value.startswith("CERT_") for name, value in query):
        return url
    spelled = dict(query)
    spelled["ssl_cert_reqs"] = spelled["ssl_cert_reqs"].removeprefix("CERT_").lower()
    return urlunsplit(parts._replace(query=urlencode(spelled)))


def mask(url: str) -> str:
    """Give the URL as it may be shown: every password in it becomes ``***``."""
    if not _is_whole(url):
        # What cannot be parsed may hold a password anywhere.
        return _MASK
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=_masked_netloc(parts), query=_masked_query(parts.query)))


def _masked_netloc(parts: SplitResult) -> str:
    credentials, at, host = parts.netloc.rpartition("@")
    user, colon, _password = credentials.partition(":")
    return f"{user}:{_MASK}@{host}" if colon else f"{credentials}{at}{host}"


def _masked_query(query: str) -> str:
    pairs = parse_qsl(query, keep_blank_values=True)
    if not any(name in _SECRET_PARAMETERS for name, _ in pairs):
        return query
    return urlencode([(name, _MASK if name in _SECRET_PARAMETERS else value) for name, value in pairs], safe="*/")


@contextmanager
def redis_errors(address: str) -> Iterator[None]:
    """Turn what redis-py raises inside the block into errors of ours.

    Args:
        address: the URL of the server, already masked.

    Raises:
        RedisConnectionError: the server is not there, turned the client away, or broke off.
        RedisCommandError: the server answered with an error.
        InvalidTypeError: an argument is of a type that Redis has no form for.
        InvalidArgumentError: a text is none: it has half of a surrogate pair.
    """
    try:
        yield
    except DataError as error:
        raise InvalidTypeError(f"Redis takes text, bytes and numbers: {error}") from error
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"A text cannot be sent as UTF-8: {error}.") from error
    except CONNECTION_FAILURES as error:
        raise RedisConnectionError(explain(address, error)) from error
    except NoPermissionError as error:
        raise RedisCommandError(
            f"Redis at {address} does not let this user do that: {error}. Its ACL (ACL GETUSER) has to allow it."
        ) from error
    except ResponseError as error:
        raise RedisCommandError(f"Redis at {address} refused the command: {error}.") from error
    except InvalidResponse as error:
        raise RedisConnectionError(
            f"What answers at {address} is no Redis server: {str(error)[:LONGEST_QUOTE]}. Set ${URL_VARIABLE} or url= "
            "to where the server is."
        ) from error
    except RedisError as error:
        raise RedisCommandError(f"Redis at {address} could not run the command: {error}.") from error


def explain(address: str, error: BaseException) -> str:
    """Say what went wrong with the connection, and what to do about it.

    Args:
        address: the URL of the server, already masked.
        error: what redis-py raised.

    Returns:
        A sentence on what happened and one on what to do.
    """
    if isinstance(error, AuthenticationError) or "NOAUTH" in str(error):
        return f"Redis at {address} refused the credentials: {error}. Check the user and the password in the URL."
    crowded = _explain_crowd(address, error)
    if crowded is not None:
        return crowded
    tls = _explain_tls(address, error)
    if tls is not None:
        return tls
    if isinstance(error, RedisPyTimeoutError | TimeoutError):
        # A server without TLS waits for the rest of what it takes for a command.
        tls_hint = " that it speaks TLS on that port (redis:// is without)," if address.startswith("rediss://") else ""
        return (
            f"Redis at {address} did not answer in time: {error}. Check that it is the right address,{tls_hint} and "
            "that the server is not overloaded; socket_timeout= and socket_connect_timeout= are the limits in seconds."
        )
    return (
        f"No connection to Redis at {address}: {error} Start the server, or set ${URL_VARIABLE} or url= to where it is."
    )


def _explain_crowd(address: str, error: BaseException) -> str | None:
    if isinstance(error, MaxConnectionsError):
        return (
            f"Every connection of this client to Redis at {address} is in use: {error}. Raise max_connections=, or "
            "have fewer commands wait at the same time."
        )
    if "max number of clients" in str(error):
        return f"Redis at {address} takes no more clients: {error}. Raise its maxclients, or close connections."
    return None


def _explain_tls(address: str, error: BaseException) -> str | None:
    file = _cause(error, (FileNotFoundError, PermissionError, IsADirectoryError))
    if file is not None and address.startswith("rediss://"):
        return (
            f"A file for TLS with Redis at {address} cannot be read: {file}. Check the paths in ssl_ca_certs=, "
            "ssl_certfile= and ssl_keyfile=."
        )
    tls = _cause(error, (ssl.SSLError,))
    if tls is not None:
        return (
            f"TLS with Redis at {address} failed: {tls}. Check that the server speaks TLS on that port "
            "(redis:// is without, rediss:// with), and its certificate (ssl_ca_certs=)."
        )
    return None


def _cause(error: BaseException, kinds: tuple[type[OSError], ...]) -> BaseException | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, kinds):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
