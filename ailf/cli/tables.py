"""A table on a terminal that is as wide as there is room for: what is shown of it is decided in ``layout``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ailf.cli.layout import GAP, Column, widths
from ailf.cli.words import cells, fitted

Cell = Text | ProgressBar


@dataclass(frozen=True, slots=True)
class Fitted:
    """Rows of texts and bars; rich asks for it again at every width."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    has_head: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """The table, at the width that there is."""
        natural = [
            max([cells(column.head) if self.has_head else 0, *(_natural(row[index], column) for row in self.rows)])
            for index, column in enumerate(self.columns)
        ]
        given = widths(self.columns, natural, options.max_width)
        table = Table(
            box=None, padding=(0, GAP, 0, 0), pad_edge=False, show_header=self.has_head, header_style="underline"
        )
        for column, width in zip(self.columns, given, strict=True):
            if width is not None:
                head = fitted(column.head, width) if width else ""
                table.add_column(head, width=width, justify="right" if column.is_right else "left", no_wrap=True)
        for row in self.rows:
            shown = zip(row, self.columns, given, strict=True)
            table.add_row(*(_shown(cell, column, width) for cell, column, width in shown if width is not None))
        yield table


def _natural(cell: Cell, column: Column) -> int:
    return cells(cell.plain) if isinstance(cell, Text) else column.most or 0


def _shown(cell: Cell, column: Column, width: int) -> RenderableType:
    if isinstance(cell, ProgressBar):
        return ProgressBar(total=cell.total, completed=cell.completed, width=width)
    if cells(cell.plain) <= width:
        return cell
    return Text(fitted(cell.plain, width, in_the_middle=column.in_the_middle), style=cell.style)
