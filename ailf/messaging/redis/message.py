"""What a message may be, and what it is on the wire."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ailf.errors import InvalidTypeError

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
    """
    if isinstance(message, str | bytes):
        return message
    if not isinstance(message, dict | list | tuple):
        raise InvalidTypeError(
            f"A message is str, bytes, or a dict or list to send as JSON, not {type(message).__qualname__}."
        )
    try:
        return json.dumps(message, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidTypeError(f"The message cannot be sent as JSON: {error}.") from error


def decode(message: bytes) -> str:
    """Give what came over the wire as text; ``text.encode("utf-8", "surrogateescape")`` gives the bytes back."""
    return message.decode("utf-8", "surrogateescape")
