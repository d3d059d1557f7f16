"""Texts of any length, made short enough to keep."""


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
