"""What a view is: a name, a question to the journal, and the parts of the page that are kept up to date."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ailf.async_tasks.journal.reading import Reader
from ailf.async_tasks.journal.reading.reports import LogLine, Minute
from ailf.async_tasks.source import Source
from ailf.web.addresses import Pairs

QUICKEST_SECONDS = 0.25
"""How often a page is brought up to date at most."""


@dataclass(slots=True)
class Memory:
    """What need not be asked for again, kept as long as the page is served."""

    minutes: dict[str, Minute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asking:
    """Somebody asks for a view."""

    reader: Reader
    source: Source
    pairs: Pairs
    """What the address asks for."""
    now: datetime
    memory: Memory
    actions: bool
    """Whether tasks may be cancelled."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view shows."""

    values: Mapping[str, Any]
    is_live: bool = True
    """Whether it changes: the second page of a list does not."""
    logs: tuple[LogLine, ...] = ()
    """Lines that are added to what is shown, rather than shown anew."""


@dataclass(frozen=True, slots=True)
class View:
    """A view."""

    path: str
    """Its address, which is the name of its templates as well; empty is the first of all."""
    title: str
    answer: Callable[[Asking], Answer]
    parts: tuple[str, ...]
    """The parts of its page that are brought up to date, each a template and the id of an element."""
    every_seconds: float = QUICKEST_SECONDS
    """How often, at most."""

    @property
    def name(self) -> str:
        """What its templates are called."""
        return self.path or "now"
