"""What the page has of others is what its maker published, and says which version under which licence."""

import hashlib
import json

from ailf.web.app import STATIC


def test_each_file_is_as_it_was_fetched() -> None:
    """By its checksum; `docs/page/vendor.py` fetches them again."""
    facts = json.loads((STATIC / "vendored.json").read_text())
    assert facts["version"].startswith("4.")
    assert facts["sha256"].keys() == {"htmx.min.js", "hx-sse.min.js", "htmx-LICENSE.txt"}
    for file, digest in facts["sha256"].items():
        assert hashlib.sha256((STATIC / file).read_bytes()).hexdigest() == digest


def test_nothing_else_is_of_others() -> None:
    """What is served is these, and our own."""
    own = {"page.css", "page.js", "icon.svg", "vendored.json"}
    there = {path.name for path in STATIC.iterdir()}
    assert there == own | json.loads((STATIC / "vendored.json").read_text())["sha256"].keys()
