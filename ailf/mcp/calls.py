"""One call of a tool as the coroutine of a task: its progress, its result, what it raised."""

import json
import logging
import math
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, cast

from mcp import MCPError
from mcp.server.context import CallNext, ServerRequestContext
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.session import ServerSession
from pydantic import BaseModel

from ailf.async_tasks import CurrentTask, current_task
from ailf.errors import ToolCallError
from ailf.mcp.wire import ANSWER

_raised: ContextVar[list[BaseException]] = ContextVar("ailf_mcp_raised")


class TaskSession:
    """The session of a call that has been answered with a handle: progress goes to the journal."""

    def __init__(self, session: ServerSession, task: CurrentTask) -> None:
        self._session = session
        self._task = task
        self._share = 0.0

    async def report_progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Journal it: as a share of the total, and where there is none as a message alone."""
        if total and math.isfinite(share := 100 * progress / total):
            self._share = min(100.0, max(0.0, share))
        elif message is None:
            message = f"{progress:g}"
        self._task.update_progress(self._share, message)

    def __getattr__(self, name: str) -> Any:
        """Whatever else a session can do."""
        return getattr(self._session, name)


class _Listener(logging.Handler):
    """Hears what a tool raised: the SDK tells the client that it did, and only the log what that was."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the exception for the call that it was raised in."""
        heard = _raised.get(None)
        if heard is not None and record.exc_info and isinstance(record.exc_info[1], ToolError):
            heard.append(record.exc_info[1])


_listener = _Listener()


def listen() -> None:
    """Hear what tools raise from now on."""
    logging.getLogger("mcp.server").addHandler(_listener)


async def run(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> dict[str, Any]:
    """Call the tool, in a task.

    Returns:
        The result as it goes over the wire.

    Raises:
        ToolCallError: it answered with an error.
        Exception: what it raised, where that is known.
    """
    task = current_task()
    heard: list[BaseException] = []
    _raised.set(heard)
    session = cast("ServerSession", TaskSession(ctx.session, task))
    try:
        result = _plain(await call_next(replace(ctx, session=session)))
    except MCPError as error:
        _answer(task, error=error.error.model_dump(mode="json", by_alias=True, exclude_none=True))
        raise
    if result.get("resultType") == "input_required":
        raise ToolCallError("The tool asks for input, which a task cannot pass on: take it out of tools=.")
    if not result.get("isError"):
        return result
    _answer(task, result=result)
    cause = heard[-1].__cause__ if heard else None
    raise cause or ToolCallError(text_of(result))


def _answer(task: CurrentTask, **answer: Mapping[str, Any]) -> None:
    task.log("The call is answered with an error.", level="ERROR", **{ANSWER: answer})


def _plain(result: BaseModel | dict[str, Any] | None) -> dict[str, Any]:
    if isinstance(result, BaseModel):
        # By its text, in which what JSON does not hold, NaN for one, is what it is on the wire.
        return dict(json.loads(result.model_dump_json(by_alias=True, exclude_none=True)))
    return dict(result or {})


def text_of(result: Mapping[str, Any]) -> str:
    """The texts of a result."""
    texts = [part.get("text") for part in result.get("content") or () if isinstance(part, dict)]
    return "\n".join(filter(None, texts)) or "The tool answered with an error."
