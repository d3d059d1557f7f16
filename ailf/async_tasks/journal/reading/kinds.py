"""What kind of error a message tells of: the message with its numbers and ids taken out."""

import re

MOST_CHARACTERS = 300
"""How much of a message counts: two that differ later on are of one kind."""

READ_CHARACTERS = 4 * MOST_CHARACTERS
"""How much of a message is looked at for that."""

# Possessive repeats (https://docs.python.org/3/library/re.html): no message is gone through more than once.
_WORD = re.compile(
    r"\b(?:(?P<id>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b)|[a-z_]*+[0-9][0-9a-z_]*+)",
    re.IGNORECASE,
)
_ID = re.compile(r"0x[0-9a-f]+|(?=.*[a-f])[0-9a-f]{8,}|(?=.*[a-z])[0-9a-z_]{20,}", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+")
_NUMBERS = re.compile(r"<n>(?:[.,:]<n>)+")


def kind_of(message: str | None) -> str:
    """The message with ``<id>`` for each id in it and ``<n>`` for each number, on one line, bounded.

    Args:
        message: the text of an error; None is empty.
    """
    if not message:
        return ""
    begin = " ".join(message[:READ_CHARACTERS].split())
    return _NUMBERS.sub("<n>", _WORD.sub(_taken_out, begin))[:MOST_CHARACTERS]


def _taken_out(found: re.Match[str]) -> str:
    word = found[0]
    return "<id>" if found["id"] or _ID.fullmatch(word) else _NUMBER.sub("<n>", word)
