"""A directive that lists the files of a package with the first sentence of each: a list that cannot grow old."""

import ast
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

TOP = Path(__file__).resolve().parents[2]


def sentence_of(path: Path) -> str:
    """What a module says of itself."""
    said = ast.get_docstring(ast.parse(path.read_text())) or ""
    return said.partition("\n")[0].replace("``", "")


class Rooms(Directive):
    """The files of a folder, each with its sentence."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """A list of definitions, in the order of the alphabet."""
        folder = TOP / self.arguments[0]
        found = nodes.definition_list()
        for path in sorted(folder.glob("*.py")):
            if path.name != "__init__.py":
                name = nodes.term("", "", nodes.literal("", path.name))
                found += nodes.definition_list_item(
                    "", name, nodes.definition("", nodes.paragraph("", sentence_of(path)))
                )
        return [nodes.paragraph("", sentence_of(folder / "__init__.py")), found]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("rooms", Rooms)
    return {"parallel_read_safe": True}
