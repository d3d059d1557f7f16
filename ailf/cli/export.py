"""``ailf tasks export``: any number of tasks to a program or a file, in constant memory."""

import csv
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import click

from ailf.async_tasks.journal.form import beside, task_info
from ailf.async_tasks.journal.reading import Row, reports
from ailf.cli import shapes
from ailf.cli.choosing import chosen_tasks, filter_options
from ailf.cli.codes import NOTHING
from ailf.cli.groups import examples
from ailf.cli.options import journal_option, reading
from ailf.cli.words import harmless
from ailf.errors import InvalidArgumentError, JournalError


@click.command(epilog=examples("tasks export > tasks.jsonl", "tasks export --format csv --failed -o failed.csv"))
@click.option("--format", "form", type=click.Choice(["jsonl", "json", "csv"]), default="jsonl", show_default=True)
@click.option(
    *("--output", "-o"),
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="To this file; by default to the standard output.",
)
@filter_options
@journal_option
def export(*, form: str, output: Path | None, journal: Path, **filters: Any) -> int:
    """Write tasks out in order of submission, however many there are.

    jsonl is an object a line, json one array of them, both in the shape of `tasks list --json`; csv has
    the columns of the table `tasks` as they are in the journal.
    """
    chosen = chosen_tasks(**filters)
    with reading(journal) as reader:
        pages = reports.pages(reader, chosen)
        if output is None:
            return 0 if _write(form, pages, sys.stdout) else NOTHING
        _refuse_the_journal(output, journal)
        try:
            with _written_aside(output) as file:
                number = _write(form, pages, file)
        except OSError as error:
            raise JournalError(f"{output} cannot be written: {error.strerror}; name another file.") from error
        return 0 if number else NOTHING


def _refuse_the_journal(output: Path, journal: Path) -> None:
    """Refuse to write over the journal, its log or the log's index, by whatever path they are named."""
    for own in (journal, beside(journal, "-wal"), beside(journal, "-shm")):
        if own.exists() and output.exists() and output.samefile(own):
            raise InvalidArgumentError(f"{output} is the journal itself, which this would empty; name another file.")


@contextmanager
def _written_aside(output: Path) -> Iterator[TextIO]:
    """A file to write, which takes the place of the output once it is whole; a pipe or a device is written as it is."""
    target = output.resolve()
    if output.exists() and (not target.is_file() or target.is_relative_to("/proc") or output.is_relative_to("/dev")):
        with output.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    mode = target.stat().st_mode if target.exists() else None
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with aside.open("x", encoding="utf-8", newline="") as file:
            if mode is not None:
                aside.chmod(mode & 0o7777)
            yield file
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _write(form: str, pages: Iterator[list[Row]], file: TextIO) -> int:
    """Write all pages; how many tasks that were."""
    if form == "csv":
        return _write_csv(pages, file)
    number = 0
    for page in pages:
        texts = [shapes.text_of(shapes.task_shape(task_info(row))) for row in page]
        if form == "json":
            file.write((",\n" if number else "[\n") + ",\n".join(texts))
        else:
            file.write("\n".join(texts) + "\n")
        number += len(page)
    if form == "json":
        file.write("\n]\n" if number else "[]\n")
    return number


def _write_csv(pages: Iterator[list[Row]], file: TextIO) -> int:
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(reports.COLUMNS)
    # To a program each value goes as it is; what a person looks at must not work their terminal.
    shown = file.isatty()
    number = 0
    for page in pages:
        writer.writerows([[_harmless(cell) for cell in row] for row in page] if shown else page)
        number += len(page)
    return number


def _harmless(cell: object) -> object:
    return harmless(cell, lines=True) if isinstance(cell, str) else cell
