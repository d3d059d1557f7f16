"""Where the server is, and what to tell the user when it does not answer: pure functions."""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisPyConnectionError
from redis.exceptions import TimeoutError as RedisPyTimeoutError

from ailf.errors import InvalidArgumentError, RedisCommandError, RedisConnectionError

URL_VARIABLE = "AILF_REDIS_URL"
DEFAULT_URL = "redis://localhost:6379/0"
SCHEMES = ("redis", "rediss", "unix")
_MASK = "***"
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
        InvalidArgumentError: it is no URL of a Redis server.
    """
    chosen = url or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    scheme = chosen.partition("://")[0]
    if scheme not in SCHEMES:
        raise InvalidArgumentError(
            f"{mask(chosen)!r} is no URL of a Redis server: it starts with one of "
            f"{', '.join(f'{known}://' for known in SCHEMES)}, as in {DEFAULT_URL}."
        )
    return chosen


def mask(url: str) -> str:
    """Give the URL as it may be shown: every password in it becomes ``***``."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # What cannot be parsed may hold a password anywhere.
        return _MASK
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
    """
    try:
        yield
    except CONNECTION_FAILURES as error:
        raise RedisConnectionError(explain(address, error)) from error
    except NoPermissionError as error:
        raise RedisCommandError(
            f"Redis at {address} does not let this user do that: {error}. Its ACL (ACL GETUSER) has to allow it."
        ) from error
    except ResponseError as error:
        raise RedisCommandError(f"Redis at {address} refused the command: {error}.") from error
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
    tls = _tls_cause(error)
    if tls is not None:
        return (
            f"TLS with Redis at {address} failed: {tls}. Check that the server speaks TLS on that port "
            "(redis:// is without, rediss:// with), and its certificate (ssl_ca_certs=)."
        )
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


def _tls_cause(error: BaseException) -> ssl.SSLError | None:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None
