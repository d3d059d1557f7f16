"""JSON as a tree that a page can fold, however deep and long it is: what is beyond a bound is said to be there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_NODES = 600
MOST_CHILDREN = 100
MOST_DEPTH = 20
TEXT_CHARACTERS = 2_000


@dataclass(slots=True)
class Node:
    """A value, and what it is in its parent."""

    key: str | None
    text: str
    """What is shown of it: itself, or how much is in it."""
    kind: str
    children: "list[Node]" = field(default_factory=list)
    left_out: int = 0
    """How many of its children are not shown."""


def tree(text: str) -> Node | None:
    """JSON text as a tree; None where it cannot be read: it is cut, say."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return _node(None, value, MOST_DEPTH, iter(range(MOST_NODES)))


def _node(key: str | None, value: Any, depth: int, budget: Iterator[int]) -> Node:
    if isinstance(value, dict):
        return _filled(Node(key, f"{{{len(value)}}}", "object"), list(value.items()), depth, budget)
    if isinstance(value, list):
        items = [(str(index), item) for index, item in enumerate(value[:MOST_CHILDREN])]
        node = _filled(Node(key, f"[{len(value)}]", "array"), items, depth, budget)
        node.left_out = len(value) - len(node.children)
        return node
    if isinstance(value, str):
        more = f"… ({len(value):,} characters)" if len(value) > TEXT_CHARACTERS else ""
        return Node(key, json.dumps(value[:TEXT_CHARACTERS], ensure_ascii=False) + more, "string")
    return Node(key, json.dumps(value), "constant" if value is None or isinstance(value, bool) else "number")


def _filled(node: Node, items: list[tuple[str, Any]], depth: int, budget: Iterator[int]) -> Node:
    for key, value in items[: MOST_CHILDREN if depth else 0]:
        if next(budget, None) is None:
            break
        node.children.append(_node(key, value, depth - 1, budget))
    node.left_out = len(items) - len(node.children)
    return node
