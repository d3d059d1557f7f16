"""Conditions on metadata as people type them."""

from typing import Any

import pytest

from ailf.async_tasks.model import AnyOf
from ailf.async_tasks.typed import typed_metadata


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("u1", ["u1"]),
        ("123", [123, "123"]),
        ('"123"', ["123"]),
        ("1.5", [1.5, "1.5"]),
        ("true", [True, "true"]),
        ("null", [None, "null"]),
        ("[1]", [[1], "[1]"]),
        ("", [""]),
        ("NaN", ["NaN"]),
        ("9" * 5000, ["9" * 5000]),
        ("[" * 100_000, ["[" * 100_000]),
    ],
)
def test_a_value_is_json_as_well_as_text(text: str, values: list[Any]) -> None:
    """Nobody sees which of them a program has put there; quotes say that it is text."""
    assert typed_metadata([("user", text)]) == {"user": AnyOf(values)}


def test_several_values_and_keys_with_dots() -> None:
    """Of one key any, of several keys each; a key with dots may lie in another one."""
    found = typed_metadata([("a", "x"), ("b.c", "z"), ("a", "1")])
    assert found == {"a": AnyOf(("x", 1, "1")), AnyOf((("b.c",), ("b", "c"))): AnyOf(("z",))}
