"""What a message may be, and what it is on the wire."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from ailf.errors import InvalidArgumentError, InvalidTypeError

LONGEST_EXPIRY = 2**53
"""Milliseconds that a key may be kept: some 285,000 years, and a number that every Redis takes."""

Message = str | bytes | Mapping[str, Any] | Sequence[Any]
"""What can be published: text and bytes as they are, a dict or a list as JSON."""


def encode(message: Message) -> str | bytes:
    """Turn a message into what goes over the wire.

    Args:
        message: text or bytes, given as they are; a dict or a list, given as JSON.

    Returns:
        Text or bytes.

    Raises:
        InvalidTypeError: it is something else, or holds something that JSON cannot.
        InvalidArgumentError: it is a text with half of a surrogate pair, other than those that :func:`decode` makes.
    """
    if isinstance(message, bytes):
        return message
    if isinstance(message, str):
        try:
            return message.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise InvalidArgumentError(f"The message is no text that UTF-8 can hold: {error}.") from error
    if not isinstance(message, dict | list | tuple):
        raise InvalidTypeError(
            f"A message is str, bytes, or a dict or list to send as JSON, not {type(message).__qualname__}."
        )
    try:
        return to_text(message)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidTypeError(f"The message cannot be sent as JSON: {error}.") from error


def to_text(value: object) -> str:
    """Give JSON as UTF-8 can hold it: characters as they are, or escaped where one of them is half a surrogate pair.

    Raises:
        TypeError: JSON cannot hold it.
        ValueError: it holds NaN, or itself.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text


def decode(message: bytes) -> str:
    """Give what came over the wire as text; ``text.encode("utf-8", "surrogateescape")`` gives the bytes back."""
    return message.decode("utf-8", "surrogateescape")


def milliseconds_of(expire: float | timedelta) -> int:
    """Give the time that a key is kept.

    Args:
        expire: seconds, or a timedelta.

    Returns:
        Milliseconds, at least one.

    Raises:
        InvalidTypeError: it is neither.
        InvalidArgumentError: it is shorter than a millisecond, or longer than any Redis can count.
    """
    if not isinstance(expire, int | float | timedelta):
        raise InvalidTypeError(f"expire is {expire!r}: it takes seconds, or a timedelta.")
    seconds = expire.total_seconds() if isinstance(expire, timedelta) else expire
    # An int may be larger than any float.
    if not (isinstance(seconds, int) or math.isfinite(seconds)) or seconds * 1000 > LONGEST_EXPIRY:
        raise InvalidArgumentError(f"expire is {expire!r}: that is no time that a key can be kept; None keeps it.")
    milliseconds = round(seconds * 1000)
    if milliseconds < 1:
        raise InvalidArgumentError(f"expire is {expire!r}: it takes at least a millisecond, in seconds.")
    return milliseconds
