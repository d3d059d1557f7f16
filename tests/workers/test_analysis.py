"""What is counted in a document."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ailf.errors import InvalidArgumentError
from ailf.workers.analysis import AnalysisOptions, analyse, frequent_terms, read_options, visible_markdown
from ailf.workers.documents import Document, DocumentKind

MARKDOWN = """---
title: "From the front"
---
# A *heading*

Some **bold** words, a [link](http://example.org/path) and `code`.

- one item
- another item

> a quotation

| a | b |
|---|---|
| c | d |

```python
print("kept")
```

<!-- a comment -->
"""

HTML = """<!doctype html><html><head><title>The &amp; title</title><style>p { color: red }</style></head>
<body><h1>A heading</h1><p>One<br>two</p><p>three&nbsp;four</p><script>var hidden = 1;</script>
<noscript>hidden too</noscript></body></html>"""


def document(text: str, kind: DocumentKind = DocumentKind.TEXT) -> Document:
    """A document with this text."""
    return Document("id", kind, text, "0" * 64, len(text.encode()))


def result(text: str, kind: DocumentKind = DocumentKind.TEXT, **options: Any) -> dict[str, Any]:
    """What is said of it."""
    return analyse(document(text, kind), read_options(options))


def test_a_text_is_counted() -> None:
    """Lines, words, characters, and how long it takes to read."""
    found = result("\n  The title line  \n\nDon't count twice-told tales, 2 of them.\n")
    assert found == {
        "document_id": "id",
        "status": "completed",
        "kind": "text",
        "title": "The title line",
        "sha256": "0" * 64,
        "bytes": 62,
        "lines": 4,
        "words": 10,
        "characters": 58,
        "reading_time": 3,
        "terms": [{"term": term, "count": 1} for term in ["count", "don't", "line", "tales", "title", "twice-told"]],
    }


def test_markdown_is_counted_as_a_reader_sees_it() -> None:
    """Without its marks, its addresses and its comments; the front matter has the title."""
    found = result(MARKDOWN, DocumentKind.MARKDOWN, top=100, stop_words=[])
    terms = {term["term"] for term in found["terms"]}
    assert found["title"] == "From the front"
    assert {"heading", "bold", "link", "code", "item", "quotation", "print", "kept"} <= terms
    assert not {"http", "example", "path", "comment", "python", "front"} & terms
    assert result("Text.\n\n## A [linked](x) *heading* ##\n", DocumentKind.MARKDOWN)["title"] == "A linked heading"
    assert result("A heading\n=========\n\nText\n", DocumentKind.MARKDOWN)["title"] == "A heading"
    assert result("No heading\n", DocumentKind.MARKDOWN)["title"] == "No heading"


@pytest.mark.parametrize(
    ("text", "seen", "title"),
    [
        ("```sh\n# no heading\n```\n\n# The heading\n", ["# no heading", "The heading"], "The heading"),
        ("    # no heading\n\nText\n", ["# no heading"], "# no heading"),
        ("See <https://example.org/a> or <me@example.org>.\n", ["https://example.org/a", "me@example.org"], None),
        ("\\*not emphasised\\* and 2 \\< 3\n", ["*not emphasised* and 2 < 3"], None),
        ("R&amp;D &copy; 2026\n", ["R&D © 2026"], None),
        ("a_b_c and 2 * 3 * 4\n", ["a_b_c and 2 * 3 * 4"], None),
        ("[one][two] ![a *picture*](x.png)\n\n[two]: http://example.org\n", ["one a picture"], None),
        ("a ~~deleted~~ word\n", ["a deleted word"], None),
        ("<script>hidden()</script>\n\n<b>bold</b> <!-- no -->\n", ["bold"], "bold"),
        ("# \n\n## Second *one* `x`\n", ["Second one x"], "Second one x"),
    ],
)
def test_markdown_is_read_by_its_rules(text: str, seen: list[str], title: str | None) -> None:
    """Code is no heading, escapes and entities are what they stand for, addresses that are shown are seen."""
    shown, named = visible_markdown(text)
    assert [part for part in seen if part not in shown] == []
    assert not [mark for mark in ("~~", "```", "\\", "&amp;", "<b>", "hidden", "no -->") if mark in shown]
    assert title is None or named == title


def test_html_is_counted_as_a_reader_sees_it() -> None:
    """Without scripts and styles, with entities, and a break where a block ends."""
    found = result(HTML, DocumentKind.HTML, stop_words=[])
    assert found["title"] == "The & title"
    assert {term["term"] for term in found["terms"]} == {"heading", "one", "two", "three", "four"}
    assert found["words"] == 6
    assert result("<h1>Only <b>this</b></h1>", DocumentKind.HTML)["title"] == "Only this"
    assert result("<p>no heading", DocumentKind.HTML)["title"] == "no heading"


def test_an_empty_document_has_nothing() -> None:
    """And its id for a title."""
    for kind in DocumentKind:
        found = result("", kind)
        assert (found["title"], found["words"], found["lines"], found["terms"]) == ("id", 0, 0, [])


def test_the_options_choose_the_terms() -> None:
    """How many, which words are none, and whether case matters."""
    text = "Cat cat CAT dog dog the the the the"
    assert result(text, top=1)["terms"] == [{"term": "cat", "count": 3}]
    assert result(text, top=0)["terms"] == []
    assert result(text, stop_words=["CAT"])["terms"] == [{"term": "the", "count": 4}, {"term": "dog", "count": 2}]
    sensitive = result(text, case_sensitive=True)["terms"]
    assert sensitive == [
        {"term": "dog", "count": 2},
        {"term": "CAT", "count": 1},
        {"term": "Cat", "count": 1},
        {"term": "cat", "count": 1},
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"tpo": 3},
        {"top": -1},
        {"top": 1001},
        {"top": "3"},
        {"top": True},
        {"stop_words": "the"},
        {"stop_words": [1]},
        {"case_sensitive": "no"},
    ],
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    """By its name."""
    with pytest.raises(InvalidArgumentError, match=next(iter(options))):
        read_options(options)


def test_no_options_are_the_defaults() -> None:
    """None and an empty dict alike."""
    assert read_options(None) == read_options({}) == AnalysisOptions()


def test_a_long_title_is_shortened() -> None:
    """To what fits on a line."""
    title = result("word " * 100)["title"]
    assert len(title) == 200
    assert title.endswith("…")


@given(st.lists(st.text(alphabet="abC", min_size=1, max_size=3)), st.integers(min_value=0, max_value=10))
def test_terms_are_ranked(words: list[str], top: int) -> None:
    """By count, then by the alphabet; never more than there are words."""
    terms = frequent_terms(words, AnalysisOptions(top=top, stop_words=frozenset()))
    assert len(terms) <= top
    assert sum(term["count"] for term in terms) <= len(words)
    assert [(-term["count"], term["term"]) for term in terms] == sorted((-t["count"], t["term"]) for t in terms)


@given(st.text(), st.sampled_from(DocumentKind))
def test_any_text_can_be_analysed(text: str, kind: DocumentKind) -> None:
    """Broken markup too."""
    found = result(text, kind)
    assert found["words"] >= 0
    assert found["title"]
