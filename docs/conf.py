"""How the documentation is built, without a network: ``sphinx-build -n -W docs build/docs``."""

import logging
import sys
from pathlib import Path

from sphinx.ext.napoleon.docstring import GoogleDocstring

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "extensions"), str(HERE.parent)]

from ailf import __version__  # noqa: E402 - found by the path above

logging.getLogger("alembic").setLevel(logging.WARNING)

project = "ailf"
author = "The ailf maintainers"
project_copyright = "2026, the ailf maintainers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click", "journal_schema", "rooms"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["screens/*.py", "extensions"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
highlight_language = "none"

html_theme = "furo"
html_title = f"ailf {release}"
# Nothing is fetched when a page is looked at, either.
html_theme_options: dict[str, list[str]] = {"footer_icons": []}
html_show_sphinx = False
html_extra_path = ["llms.txt"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
python_use_unqualified_type_names = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# What is not documented here: the standard library and other packages, whose pages are not at hand without a network,
# and names by which modules know one another's types.
nitpick_ignore_regex = [
    (r"py:.*", r"(asyncio|collections|contextlib|contextvars|datetime|enum|logging|os|pathlib|types|typing)(\..*)?"),
    (r"py:.*", r"ailf\..*\.(_\w+|T|Desk|Parent|Watchable)"),
    # A recursive alias, of which Sphinx sees the name alone.
    (r"py:class", r"Above"),
    (r"py:.*", r"(celery|click|mcp|opentelemetry|redis|sqlalchemy|pytest|starlette)(\..*)?"),
]


# Napoleon takes for a type what stands before the first colon of an attribute's sentence, which has no type here.
GoogleDocstring._parse_attribute_docstring = GoogleDocstring._consume_to_end  # type: ignore[method-assign] # noqa: SLF001
