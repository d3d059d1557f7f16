"""The place where a page begins as a word, for addresses and for agents: nobody but this module reads it."""

import base64
import binascii
import json
from datetime import datetime

from ailf.async_tasks.journal.reading.reports.keyset import Order, Place
from ailf.errors import InvalidArgumentError

_NUMERIC = frozenset({Order.CREATED, Order.DURATION, Order.PROGRESS})


def place_text(place: Place) -> str:
    """A place as a word."""
    text = json.dumps([place.key, place.rowid, place.newest, place.at], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(text: str, order: Order) -> Place:
    """The place that a word names.

    Raises:
        InvalidArgumentError: it is none, or one in another order.
    """
    is_number = order in _NUMERIC
    try:
        value = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        key, rowid, newest, at = value
        is_sound = (
            (abs(key) < 2**63 if isinstance(key, int | float) and is_number else isinstance(key, str) and not is_number)
            and type(rowid) is int
            and type(newest) is int
            and max(abs(rowid), abs(newest)) < 2**63
            and datetime.fromisoformat(at) is not None
        )
    except (ValueError, TypeError, binascii.Error, RecursionError):
        is_sound = False
    if not is_sound:
        raise InvalidArgumentError("The place in this list makes no sense: begin with its first page.")
    return Place(key, rowid, newest, at)
