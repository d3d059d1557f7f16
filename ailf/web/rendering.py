"""Values into HTML: templates that escape all there is, and what they need."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ailf import __version__
from ailf.async_tasks.texts import block, line
from ailf.web import texts
from ailf.web.addresses import address

MARKS = {"pending": "○", "running": "◐", "completed": "✓", "failed": "✕", "cancelled": "⊘"}
"""A shape for each state: colours alone tell nothing to many."""


class Rendering:
    """The templates of the page."""

    def __init__(self) -> None:
        # Escaping is for whatever file, whatever its name.
        self._templates = Environment(
            loader=PackageLoader("ailf.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "line": line,
            "block": block,
            "length": texts.length,
            "size": texts.size,
            "number": texts.number,
            "percent": texts.percent,
            "exact": texts.exact,
            "short_id": texts.short_id,
        }
        self._templates.globals |= {"address": address, "clock": texts.clock, "marks": MARKS, "version": __version__}

    def html(self, template: str, values: Mapping[str, Any], now: datetime) -> str:
        """A template filled in."""
        return self._templates.get_template(template).render(values, now=now)
