"""What the commands have in common: options, values as people type them, the journal, a task by part of its id."""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ailf.async_tasks.arguments import IN_MEMORY
from ailf.async_tasks.journal import open_reader
from ailf.async_tasks.journal.care import upkeep
from ailf.async_tasks.journal.form import ENVIRONMENT_VARIABLE, journal_path, leaving_nothing, task_info
from ailf.async_tasks.journal.reading import Reader, reports, task_query
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.moments import midnight
from ailf.cli.words import harmless, short_id
from ailf.errors import AilfError, InvalidArgumentError, TaskNotFoundError

Command = TypeVar("Command", bound=Callable[..., Any])

COMPLETIONS = 50
"""How many ids a shell offers at most: the newest."""

MOST = 2**63 - 2
"""How many there may be at most of anything: SQLite counts to one more, and one more is asked for."""

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_LENGTH = re.compile(rf"(?:{_PART.pattern})+")


def seconds_of(text: str, meant: tuple[str, str] = ("s", "m")) -> float:
    """A length of time as people write it: ``90s``, ``1h30m``, ``7d``.

    Args:
        text: what was written.
        meant: the units of which one was meant where there is none: ``5`` days is not ``5`` seconds.

    Raises:
        ValueError: it is none.
    """
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        one, other = (f"{text}{unit}" for unit in meant)
        raise ValueError(f"{text!r} has no unit; write {one} or {other}.")
    if not _LENGTH.fullmatch(text):
        raise ValueError(f"{harmless(text)!r} is no length of time; write 90s, 15m, 2h, 1h30m or 7d.")
    return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))


# Older releases of click know no type arguments.
class Length(click.ParamType):  # type: ignore[type-arg]
    """A length of time, in seconds."""

    name = "duration"

    def __init__(self, meant: tuple[str, str] = ("s", "m")) -> None:
        self.meant = meant
        """The units of which one was meant where none was written."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        if isinstance(value, float):
            return value
        try:
            seconds = seconds_of(value, self.meant)
            timedelta(seconds=seconds)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        except OverflowError:
            self.fail(f"{value!r} is longer than time can be counted.", param, ctx)
        return seconds


class Moment(click.ParamType):  # type: ignore[type-arg]
    """A time: how long ago it was, or when, by the local clock where no other is named."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time in UTC."""
        if isinstance(value, datetime):
            return value
        try:
            if value in ("today", "yesterday"):
                return midnight(int(value == "yesterday"))
            if _LENGTH.fullmatch(value):
                return datetime.now(UTC) - timedelta(seconds=seconds_of(value))
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            if re.fullmatch(r"\d{1,7}(?:\.\d+)?", value):
                self.fail(f"{value!r} has no unit; write {value}m or {value}d (ago).", param, ctx)
            self.fail(
                f"{harmless(value)!r} is no time; write 2h (ago), 7d, today, yesterday or 2026-11-24T03:00.", param, ctx
            )


class ColumnName(click.ParamType):  # type: ignore[type-arg]
    """A further column of a list: a column of ``tasks``, ``duration``, or what is under a key of the metadata."""

    name = "column"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is."""
        first, dot, key = value.partition(".")
        names = [*(field.name for field in fields(TaskInfo)), "duration"]
        if first not in names or (dot and (first not in {"metadata", "result"} or not key)):
            self.fail(
                f"{harmless(value)!r} is no column; there are {', '.join(names)}, and metadata.KEY and result.KEY.",
                param,
                ctx,
            )
        return value


class MetadataItem(click.ParamType):  # type: ignore[type-arg]
    """A key of the metadata and its value, as they were typed."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The key and the value."""
        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals:
            self.fail(f"{harmless(value)!r} has no '='; write user=u1, or attempts=3.", param, ctx)
        return key, text


def chosen_journal(ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path:
    """The journal that was named, here or before the command's name, or the default.

    Raises:
        UsageError: it is one that only its own process can see.
    """
    named = value or ctx.find_root().params.get("journal") or os.environ.get(ENVIRONMENT_VARIABLE)
    if str(named) == IN_MEMORY:
        raise click.UsageError(
            f"The journal {IN_MEMORY} is private to the program that has it; name a file with --journal.", ctx
        )
    return journal_path(named)


JOURNAL_HELP = f"The journal; by default ${ENVIRONMENT_VARIABLE}, else ailf_tasks.db here."

journal_option = click.option(
    "--journal",
    metavar="PATH",
    type=click.Path(path_type=Path),
    callback=chosen_journal,
    help=JOURNAL_HELP,
)


def limit_option(default: int, what: str) -> Callable[[Command], Command]:
    """The options that say how many there may be, and that all of them are wanted."""

    def add(command: Command) -> Command:
        command = click.option("--all", "everything", is_flag=True, help="However many there are.")(command)
        most = click.IntRange(min=1, max=MOST)
        help_ = f"At most so many {what}."
        return click.option("--limit", "-n", type=most, default=default, show_default=True, help=help_)(command)

    return add


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def complete_id(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids that begin so, or else the short ones that lists show; the newest first, none where no journal is."""
    try:
        journal = chosen_journal(ctx, param, ctx.params.get("journal"))
        with reading(journal) as reader:
            found = reports.completions(reader, incomplete, COMPLETIONS)
    except (AilfError, click.UsageError):
        return []
    return [
        CompletionItem(_offered(task_id, incomplete), help=harmless(f"{name} {status}"))
        for task_id, name, status in found
    ]


def _offered(task_id: str, incomplete: str) -> str:
    """What completes a text to an id: the id itself, or the end of it that lists show, which begins so."""
    return task_id if incomplete and task_id.startswith(incomplete) else short_id(task_id)


id_argument = click.argument("part", metavar="ID", shell_complete=complete_id)


@contextmanager
def reading(journal: Path) -> Iterator[Reader]:
    """Read a journal; nothing is changed, and nothing is made where there is none.

    Raises:
        JournalError: it cannot be read.
    """
    with leaving_nothing(journal), open_reader(journal) as reader:
        yield reader


def task_of(reader: Reader, part: str) -> TaskInfo:
    """The task that a part of an id stands for.

    Raises:
        TaskNotFoundError: there is none.
        InvalidArgumentError: there are several.
    """
    found = reports.ids_like(reader, part)
    if len(found) > 1:
        more = " and more" if len(found) == reports.CANDIDATES else ""
        named = ", ".join(found[: reports.CANDIDATES - 1])
        raise InvalidArgumentError(f"{part!r} fits several tasks: {named}{more}; give more of the id.")
    if not found or (info := task_by_id(reader, found[0])) is None:
        raise TaskNotFoundError(
            f"No task {part!r} is in the journal; `ailf tasks list` shows those that are.", task_id=part
        )
    return info


def task_by_id(reader: Reader, task_id: str) -> TaskInfo | None:
    """The task of an id."""
    rows = reader.rows(task_query(task_id))
    return task_info(rows[0]) if rows else None


def dead_owners(journal: Path, infos: Sequence[TaskInfo]) -> frozenset[str]:
    """The ids of the managers whose processes are dead; asked only where a task is unfinished.

    Raises:
        JournalError: the journal cannot be read.
    """
    if all(info.status.is_ended for info in infos):
        return frozenset()
    return frozenset(state.id for state in upkeep.owner_states(journal) if state.life is upkeep.Life.DEAD)


def is_terminal() -> bool:
    """Whether a person reads what is printed, rather than a program or a file."""
    return sys.stdout.isatty()
