"""Texts of any length, content and type, made short and plain enough to keep, and harmless to look at."""

import re

# Control characters (ECMA-48), what turns the direction of text (UAX #9, section 2), has no width, or says something
# that is not to be seen (tags and variation selectors, Unicode 16, section 23.9), lone surrogates.
_HIDDEN = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e0fff]"
)


def bounded(text: str, most: int) -> str:
    """The text, with its middle cut out where it is too long: the ends of a traceback say most.

    Args:
        text: the text.
        most: how many characters may stay; what says how many are left out comes on top.
    """
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"


def block(text: str) -> str:
    r"""A text of several lines with every character to be seen that would do something: ``\x1b``, ``\u202e``."""
    return _HIDDEN.sub(_spelled, text.replace("\r\n", "\n"))


def line(text: str | None, most: int = 300) -> str:
    """The beginning of a text on one line."""
    if not text:
        return ""
    begin = block(" ".join(text[: 2 * most].split()))
    return begin if len(begin) <= most and len(text) <= 2 * most else f"{begin[: most - 1]}…"


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:  # noqa: PLR2004 - two hexadecimal digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"  # noqa: PLR2004 - four of them


def plain_text(text: str) -> str:
    """The text itself, where its type is one of its own, which may answer anything."""
    return text if text.__class__ is str else str.__str__(text)
