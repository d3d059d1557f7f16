"""What the commands have in common: options, values as people type them, the journal, a task by part of its id."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from ailf.async_tasks.arguments import task_filter
from ailf.async_tasks.journal import open_reader
from ailf.async_tasks.journal.form import ENVIRONMENT_VARIABLE, journal_path, leaving_nothing, task_info
from ailf.async_tasks.journal.reading import Reader, reports, task_query
from ailf.async_tasks.model import TaskFilter, TaskInfo
from ailf.async_tasks.states import TaskStatus
from ailf.cli.words import harmless
from ailf.errors import AilfError, InvalidArgumentError, TaskNotFoundError

Command = TypeVar("Command", bound=Callable[..., Any])

COMPLETIONS = 50
"""How many ids a shell offers at most: the newest."""

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_LENGTH = re.compile(rf"(?:{_PART.pattern})+")


def seconds_of(text: str) -> float:
    """A length of time as people write it: ``90``, ``90s``, ``1h30m``, ``7d``.

    Raises:
        ValueError: it is none.
    """
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not _LENGTH.fullmatch(text):
        raise ValueError(f"{harmless(text)!r} is no length of time; write 90s, 15m, 2h, 1h30m or 7d.")
    return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))


# Older releases of click know no type arguments.
class Length(click.ParamType):  # type: ignore[type-arg]
    """A length of time, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        if isinstance(value, float):
            return value
        try:
            seconds = seconds_of(value)
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
        midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        if value in ("today", "yesterday"):
            return (midnight - timedelta(days=value == "yesterday")).astimezone(UTC)
        try:
            return datetime.now(UTC) - timedelta(seconds=seconds_of(value))
        except (ValueError, OverflowError):
            pass
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(
                f"{harmless(value)!r} is no time; write 2h (ago), 7d, today, yesterday or 2026-11-24T03:00.", param, ctx
            )


class MetadataItem(click.ParamType):  # type: ignore[type-arg]
    """A key of the metadata and its value, which is JSON, or else text."""

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """The key and the value."""
        import json  # noqa: PLC0415

        if isinstance(value, tuple):
            return value
        key, equals, text = value.partition("=")
        if not equals:
            self.fail(f"{harmless(value)!r} has no '='; write user=u1, or attempts=3.", param, ctx)
        try:
            return key, json.loads(text)
        except ValueError:
            return key, text


def chosen_journal(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path:
    """The journal that was named, or the default."""
    return journal_path(value)


journal_option = click.option(
    "--journal",
    metavar="PATH",
    type=click.Path(path_type=Path),
    callback=chosen_journal,
    help=f"The journal; by default ${ENVIRONMENT_VARIABLE}, else ailf_tasks.db here.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def filter_options(command: Command) -> Command:
    """The options that choose tasks, as ``list_tasks`` does."""
    for option in (
        click.option("--until", metavar="TIME", type=Moment(), help="Submitted before then."),
        click.option(
            "--since", metavar="TIME", type=Moment(), help="Submitted then or later: 2h (ago), today, 2026-11-24T03:00."
        ),
        click.option(
            *("--metadata", "-m"),
            metavar="KEY=VALUE",
            type=MetadataItem(),
            multiple=True,
            help="With this value, JSON or text, under this key; may be repeated.",
        ),
        click.option("--name", help="Of exactly this name."),
        click.option("--failed", is_flag=True, help="The same as --status failed."),
        click.option(
            *("--status", "-s"),
            type=click.Choice([str(status) for status in TaskStatus], case_sensitive=False),
            multiple=True,
            help="In this state; may be repeated.",
        ),
    ):
        command = option(command)
    return command


def chosen_tasks(
    *,
    status: tuple[str, ...],
    failed: bool,
    name: str | None,
    metadata: tuple[tuple[str, Any], ...],
    since: datetime | None,
    until: datetime | None,
) -> TaskFilter:
    """The tasks that the options choose."""
    states = {TaskStatus(one) for one in status} | ({TaskStatus.FAILED} if failed else set())
    return task_filter(states or None, name=name, metadata=dict(metadata), created_after=since, created_before=until)


def complete_id(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ids that begin so, the newest first; none where there is no journal to ask."""
    try:
        with reading(journal_path(ctx.params.get("journal"))) as reader:
            found = reports.completions(reader, incomplete, COMPLETIONS)
    except AilfError:
        return []
    return [CompletionItem(task_id, help=harmless(f"{name} {status}")) for task_id, name, status in found]


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


def is_terminal() -> bool:
    """Whether a person reads what is printed, rather than a program or a file."""
    return sys.stdout.isatty()
