"""What the tools have in common: arguments as agents give them, a task by part of its id, errors as answers."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from ailf.async_tasks.encoding import time_text
from ailf.async_tasks.journal.reading import Reader, reports
from ailf.async_tasks.moments import moment_of
from ailf.async_tasks.source import Source
from ailf.async_tasks.texts import line
from ailf.errors import AilfError, InvalidArgumentError, TaskNotFoundError

P = ParamSpec("P")
R = TypeVar("R")

LOST = (
    "The process that ran this task is gone: nothing will end it before a manager starts on the journal, or somebody "
    "runs `ailf journal recover`."
)

TaskId = Annotated[str, Field(description="The id of a task, or a unique beginning or end of it.")]
TextCharacters = Annotated[int, Field(ge=100, le=50_000, description="How much of each long text is told.")]
Since = Annotated[
    str,
    Field(
        description="A time: 90s, 24h or 7d (ago), today, yesterday (by the clock of this machine), or ISO 8601 as in "
        "2026-11-24T03:00 (UTC unless it names a zone). Empty is no condition."
    ),
]


def told(tool: Callable[P, R]) -> Callable[P, R]:
    """The tool, with errors of ours as answers that the agent reads."""

    @wraps(tool)
    def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return tool(*args, **kwargs)
        except AilfError as error:
            raise ToolError(str(error)) from error

    return telling


def atold(tool: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """The same for a tool that waits."""

    @wraps(tool)
    async def telling(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await tool(*args, **kwargs)
        except AilfError as error:
            raise ToolError(str(error)) from error

    return telling


def moment(text: str, name: str, now: datetime) -> datetime | None:
    """The time that an argument names; None where it is empty.

    Raises:
        InvalidArgumentError: it names none.
    """
    return moment_of(text, name, now) if text.strip() else None


def head(source: Source, now: datetime) -> dict[str, Any]:
    """What every answer begins with."""
    return {"journal": line(str(source.path), 1_000), "now": time_text(now)}


def whole_id(reader: Reader, part: str) -> str:
    """The id that a part of it stands for.

    Raises:
        TaskNotFoundError: there is none.
        InvalidArgumentError: there are several.
        JournalError: the journal cannot be read.
    """
    found = reports.ids_like(reader, part) if part else []
    if not found:
        raise not_found(part)
    if len(found) > 1:
        raise InvalidArgumentError(
            f"{line(part, 80)!r} fits several tasks: {', '.join(line(one, 80) for one in found)}; give more of the id."
        )
    return found[0]


def not_found(task_id: str) -> TaskNotFoundError:
    """No task has this id."""
    return TaskNotFoundError(
        f"No task {line(task_id, 80)!r} is in the journal: it never was, or the clean-up has deleted it; "
        "find_tasks finds those that are.",
        task_id=task_id,
    )
