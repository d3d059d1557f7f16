"""Conditions on metadata as people type them: on the command line, in the fields of the page, in an address."""

import json
from collections.abc import Iterable
from typing import Any

from ailf.async_tasks.model import AnyOf, MetadataKey


def typed_metadata(items: Iterable[tuple[str, str]]) -> dict[MetadataKey, AnyOf]:
    """Which values under which keys are wanted: of one key that is there several times, any of its values.

    Args:
        items: keys, each with a value. ``user.plan`` is the key that is so called, as well as ``plan`` in ``user``.
            ``123`` is the number as well as the text, since nobody sees which of them it was; ``"123"`` is the text.
    """
    wanted: dict[str, list[Any]] = {}
    for key, text in items:
        wanted.setdefault(key, []).extend(_values(text))
    return {_places(key): AnyOf(values) for key, values in wanted.items()}


def _places(key: str) -> MetadataKey:
    return AnyOf(((key,), tuple(key.split(".")))) if "." in key else key


def _values(text: str) -> list[Any]:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return [text]
    return [value] if isinstance(value, str) else [value, text]


def _refuse(word: str) -> None:
    raise ValueError(word)
