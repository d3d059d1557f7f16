"""Fetches from npm what the page has of others, checks it, and says what it is in ``vendored.json``.

::

    python docs/page/vendor.py [VERSION]
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

STATIC = Path(__file__).resolve().parents[2] / "ailf" / "web" / "static"
PACKAGE = "htmx.org"
FILES = {
    "package/dist/htmx.min.js": "htmx.min.js",
    "package/dist/ext/hx-sse.min.js": "hx-sse.min.js",
    "package/LICENSE": "htmx-LICENSE.txt",
}


def main(version: str) -> None:
    """Fetch a version."""
    with tempfile.TemporaryDirectory() as folder:
        # npm checks the archive against the registry's integrity hash.
        command = ["npm", "pack", "--json", f"{PACKAGE}@{version}"]
        said = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603
        [pack] = json.loads(said.stdout)
        with tarfile.open(Path(folder) / pack["filename"]) as archive:
            for name, file in FILES.items():
                content = archive.extractfile(name)
                if content is None:
                    raise FileNotFoundError(name)
                (STATIC / file).write_bytes(content.read())
    facts = {
        "package": PACKAGE,
        "version": version,
        "licence": "0BSD",
        "integrity": pack["integrity"],
        "sha256": {file: hashlib.sha256((STATIC / file).read_bytes()).hexdigest() for file in FILES.values()},
    }
    (STATIC / "vendored.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else json.loads((STATIC / "vendored.json").read_text())["version"])
