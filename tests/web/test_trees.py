"""JSON as a tree: what is shown, and that nothing is too deep, too long or too odd for it."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ailf.web.trees import MOST_CHILDREN, MOST_DEPTH, MOST_NODES, Node, tree


def size(node: Node) -> int:
    """How many nodes there are."""
    return 1 + sum(size(child) for child in node.children)


def depth(node: Node) -> int:
    """How many levels."""
    return 1 + max((depth(child) for child in node.children), default=0)


def test_a_value_and_what_is_in_it() -> None:
    """Keys, kinds, how much there is."""
    root = tree('{"a": [1, true, null], "b": "x", "c": {}}')
    assert root is not None
    assert (root.text, [(one.key, one.kind, one.text) for one in root.children]) == (
        "{3}",
        [("a", "array", "[3]"), ("b", "string", '"x"'), ("c", "object", "{0}")],
    )
    assert [one.text for one in root.children[0].children] == ["1", "true", "null"]


def test_what_is_beyond_a_bound_is_counted() -> None:
    """Children, nodes, levels, characters."""
    wide = tree(json.dumps(list(range(1000))))
    assert wide is not None
    assert (len(wide.children), wide.left_out) == (MOST_CHILDREN, 900)
    many = tree(json.dumps([[[0] * 90] * 90] * 90))
    assert many is not None
    assert size(many) <= MOST_NODES + 1
    deep = tree("[" * 400 + "]" * 400)
    assert deep is not None
    assert depth(deep) <= MOST_DEPTH + 1
    assert tree("[" * 100_000) is None
    long = tree(json.dumps("x" * 1_000_000))
    assert long is not None
    assert len(long.text) < 3_000


def test_what_is_no_json_is_no_tree() -> None:
    """It was cut, or is a repr."""
    assert tree('{"a": ') is None
    assert tree("<object at 0x7f>") is None
    assert tree("9" * 10_000) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_any_value_has_a_tree(value: object) -> None:
    """Whatever JSON can say."""
    assert tree(json.dumps(value)) is not None
