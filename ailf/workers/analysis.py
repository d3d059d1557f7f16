"""What a document says about itself in numbers: pure functions."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from ailf.errors import InvalidArgumentError
from ailf.workers.documents import Document, DocumentKind

WORDS_PER_MINUTE = 238
"""How fast adults read English silently, on average (Brysbaert, 2019)."""
LONGEST_TITLE = 200
"""Characters."""
DEFAULT_TOP = 10
SHORTEST_TERM = 2
"""Characters: single letters are noise."""

STOP_WORDS = frozenset(
    """a about after all also an and any are as at be because been before being but by can could did do does
    each for from had has have he her him his how i if in into is it its just may me more most my no not now of
    on one only or other our out over she should so some such than that the their them then there these they
    this those to too up us very was we were what when which while who will with would you your""".split()  # noqa: SIM905  a list of a hundred strings is no easier to read
)

_WORD = re.compile(r"\w+(?:['\u2019-]\w+)*")
_HIDDEN = frozenset({"script", "style", "template", "noscript"})
_BLOCKS = frozenset(
    """address article aside blockquote br dd div dl dt figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr
    li main nav ol p pre section table td th title tr ul""".split()  # noqa: SIM905  the same
)


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """What to count, and how."""

    top: int = DEFAULT_TOP
    """How many of the most frequent terms to give."""
    stop_words: frozenset[str] = STOP_WORDS
    """Words that are no terms; compared without regard to case."""
    case_sensitive: bool = False
    """Whether ``Cat`` and ``cat`` are two terms."""


def read_options(options: Mapping[str, Any] | None) -> AnalysisOptions:
    """Check the options of a call.

    Args:
        options: ``top`` (0 to 1000), ``stop_words`` (a list; None is the built-in English one),
            ``case_sensitive`` (a bool); None is the defaults.

    Returns:
        The options.

    Raises:
        InvalidArgumentError: an option is unknown, or its value is not one that it takes.
    """
    given = dict(options or {})
    top = given.pop("top", DEFAULT_TOP)
    words = given.pop("stop_words", None)
    case_sensitive = given.pop("case_sensitive", False)
    if given:
        raise InvalidArgumentError(
            f"Unknown options: {', '.join(sorted(given))}. There are top, stop_words and case_sensitive."
        )
    if not isinstance(top, int) or isinstance(top, bool) or not 0 <= top <= 1000:  # noqa: PLR2004  said in the message
        raise InvalidArgumentError(f"top is {top!r}: it takes a whole number from 0 to 1000.")
    if not isinstance(case_sensitive, bool):
        raise InvalidArgumentError(f"case_sensitive is {case_sensitive!r}: it takes true or false.")
    if words is not None and not (isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)):
        raise InvalidArgumentError(f"stop_words is {words!r}: it takes a list of words, or None for English ones.")
    stop_words = STOP_WORDS if words is None else frozenset(word.casefold() for word in words)
    return AnalysisOptions(top, stop_words, case_sensitive)


def analyse(document: Document, options: AnalysisOptions) -> dict[str, Any]:
    """Count what is in a document.

    Args:
        document: the document.
        options: what to count.

    Returns:
        JSON: ``document_id``, ``status`` ("completed"), ``kind``, ``title``, ``sha256``, ``bytes``, ``lines`` of the
        file, ``words`` and ``characters`` of what a reader sees, ``reading_time`` in seconds, ``terms`` as a
        list of ``{"term", "count"}`` with the most frequent first.
    """
    text, title = _VISIBLE[document.kind](document.text)
    words = _WORD.findall(text)
    return {
        "document_id": document.id,
        "status": "completed",
        "kind": document.kind.value,
        "title": _shortened(title) or document.id,
        "sha256": document.sha256,
        "bytes": document.size,
        "lines": len(document.text.splitlines()),
        "words": len(words),
        "characters": len(text.strip()),
        "reading_time": round(len(words) / WORDS_PER_MINUTE * 60),
        "terms": frequent_terms(words, options),
    }


def frequent_terms(words: list[str], options: AnalysisOptions) -> list[dict[str, Any]]:
    """Count the terms: the most frequent first, those of equal count in order of the alphabet."""
    folded = words if options.case_sensitive else [word.casefold() for word in words]
    counts = Counter(
        word
        for word in folded
        if len(word) >= SHORTEST_TERM and not word.isnumeric() and word.casefold() not in options.stop_words
    )
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [{"term": term, "count": count} for term, count in ranked[: options.top]]


def visible_text(text: str) -> tuple[str, str]:
    """Give a plain text, and its first line that is not empty."""
    return text, next((line.strip() for line in text.splitlines() if line.strip()), "")


_FRONT_MATTER = re.compile(r"\A---\n(.*?\n)(?:---|\.\.\.)\n", re.DOTALL)
_FRONT_TITLE = re.compile(r"^title:\s*(.+)$", re.MULTILINE)


def _picture(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """What a reader sees of a picture that is not there: the text that stands for it."""
    return escapeHtml(renderer.renderInlineAsText(tokens[index].children, options, env))


_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_MARKDOWN.add_render_rule("image", _picture)


def visible_markdown(text: str) -> tuple[str, str]:
    """Give what a reader of a Markdown document sees, and its title: the front matter's, else the first heading."""
    title = ""
    front = _FRONT_MATTER.match(text)
    if front is not None:
        named = _FRONT_TITLE.search(front[1])
        title = named[1].strip("\"' ") if named else ""
        text = text[front.end() :]
    env: EnvType = {}
    tokens = _MARKDOWN.parse(text, env)
    shown, first_line = visible_html(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, env))
    return shown, title or _first_heading(tokens, env) or first_line


def _first_heading(tokens: Sequence[Token], env: EnvType) -> str:
    for token, within in pairwise(tokens):
        if token.type == "heading_open":
            heading, _ = visible_html(_MARKDOWN.renderer.render([within], _MARKDOWN.options, env))
            if heading:
                return heading
    return ""


class _VisibleHTML(HTMLParser):
    """Collects what is shown: no scripts, no styles, and a line break where a block ends."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.titles: dict[str, list[str]] = {"title": [], "h1": []}
        self._hidden = 0
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  the parser's
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in self.titles and not self.titles[tag]:
            self._within.append(tag)
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in self._within:
            self._within.remove(tag)
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        for tag in self._within:
            self.titles[tag].append(data)
        # The title is shown on the tab, not in the text.
        if "title" not in self._within:
            self.parts.append(data)


def visible_html(text: str) -> tuple[str, str]:
    """Give what a reader of an HTML document sees, and its title: the title element's, else the first h1."""
    parser = _VisibleHTML()
    parser.feed(text)
    parser.close()
    shown = re.sub(r"[ \t\r\f\v]*\n\s*", "\n", re.sub(r"[ \t\r\f\v]+", " ", "".join(parser.parts))).strip()
    titles = ["".join(found).strip() for found in parser.titles.values()]
    return shown, next((title for title in titles if title), "") or visible_text(shown)[1]


def _shortened(title: str) -> str:
    title = " ".join(title.split())
    return title if len(title) <= LONGEST_TITLE else title[: LONGEST_TITLE - 1] + "…"


_VISIBLE = {
    DocumentKind.TEXT: visible_text,
    DocumentKind.MARKDOWN: visible_markdown,
    DocumentKind.HTML: visible_html,
}
