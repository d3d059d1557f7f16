"""``JournaledTasks``: the protocol's tasks extension on a task manager, so that handles outlive the server."""

import asyncio
import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from mcp import MCPError
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import principal_components
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CallToolRequestParams,
    RequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from ailf.async_tasks import TaskManager, arguments
from ailf.async_tasks.guard import log
from ailf.async_tasks.journal.reading import Reader, reports
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.errors import AilfError, InvalidArgumentError, InvalidTypeError
from ailf.mcp import calls, wire
from ailf.mcp.wire import Known, Terms

EXTENSION = "io.modelcontextprotocol/tasks"

VERSIONS = frozenset(MODERN_PROTOCOL_VERSIONS)
"""The protocol's versions in which a client says with each call what it knows."""

ABOUT = "mcp"
"""Under this key the metadata of a task say that it is a call of a tool, and whose."""


class TaskParams(RequestParams):
    """Which task."""

    task_id: str


class UpdateParams(TaskParams):
    """Answers to what a task asked."""

    input_responses: dict[str, Any] = Field(default_factory=dict)


class JournaledTasks(Extension):
    """Runs tools of an MCP server as journaled tasks, for clients that know the tasks extension.

    ::

        manager = TaskManager("tasks.db")

        @asynccontextmanager
        async def lifespan(server):
            async with manager:
                yield

        server = MCPServer("reports", lifespan=lifespan, extensions=[JournaledTasks(manager, tools={"slow_tool"})])

    A client that declared the extension with a call of one of the tools is answered with a handle as soon as the task
    is in the journal, and polls; every other client gets the ordinary answer. Whoever starts the server again after
    a crash has the results of what had ended, and the reason why what had not is failed.
    """

    identifier = EXTENSION

    def __init__(self, manager: TaskManager, tools: Collection[str], *, poll_interval: float | timedelta = 1.0) -> None:
        """Say which tools; the manager is started by the server's lifespan.

        Args:
            manager: runs the tasks. Its ``retention`` says how long a client can fetch a result, its
                ``task_timeout`` how long a tool may take.
            tools: the names of the tools whose calls become tasks.
            poll_interval: how often clients are to ask, in seconds or as a timedelta.

        Raises:
            InvalidTypeError: an argument is of a wrong type.
            InvalidArgumentError: an argument has a wrong value.
        """
        if not isinstance(manager, TaskManager):
            raise InvalidTypeError(f"manager is {arguments.shown(manager)}; give a TaskManager.")
        names: object = tools
        if (
            isinstance(names, str)
            or not isinstance(names, Collection)
            or not all(isinstance(one, str) for one in names)
        ):
            raise InvalidTypeError(f"tools is {arguments.shown(tools)}; give a set of names: tools={{'slow_tool'}}.")
        if not tools:
            raise InvalidArgumentError("tools is empty; give the names of the tools whose calls become tasks.")
        self._manager = manager
        self._tools = frozenset(tools)
        self._poll_interval_ms = max(1, round(arguments.seconds(poll_interval, "poll_interval") * 1000))
        self._cancelling: set[asyncio.Task[bool]] = set()
        calls.listen()

    def methods(self) -> Sequence[MethodBinding]:
        """The methods that clients poll with."""
        return [
            MethodBinding("tasks/get", TaskParams, self._get, VERSIONS),
            MethodBinding("tasks/update", UpdateParams, self._update, VERSIONS),
            MethodBinding("tasks/cancel", TaskParams, self._cancel, VERSIONS),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Have the call run as a task, if it is one of the tools, and the client declared the extension with it."""
        if params.name not in self._tools or not declares(ctx):
            return await call_next(ctx)
        with _translating():
            task_id = await self._manager.submit(
                partial(calls.run, ctx, call_next),
                # Where nobody is asked who they are, whoever knows the id may fetch the result: the ids of the manager
                # differ, but are not secret.
                task_id=str(uuid.uuid4()),
                name=params.name,
                metadata={ABOUT: {"caller": caller()}},
            )
            return wire.created(*await self._facts(await self._info(task_id)))

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        _require(ctx)
        with _translating():
            return wire.detailed(*await self._facts(await self._info(params.task_id)))

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: UpdateParams) -> dict[str, Any]:
        """Acknowledge answers: no task has asked for any, and what was not asked for is to be ignored."""
        _require(ctx)
        with _translating():
            await self._info(params.task_id)
        return {}

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        """Acknowledge at once; the task takes its time to end, or ends otherwise before."""
        _require(ctx)
        with _translating():
            info = await self._info(params.task_id)
        if not info.is_ended:
            cancelling = asyncio.create_task(self._manager.cancel_task(info.id))
            self._cancelling.add(cancelling)
            cancelling.add_done_callback(self._cancelled)
        return {}

    def _cancelled(self, cancelling: asyncio.Task[bool]) -> None:
        self._cancelling.discard(cancelling)
        if not cancelling.cancelled() and (error := cancelling.exception()) is not None:
            log.error("A task that a client wants cancelled runs on: %s", error)

    async def _info(self, task_id: str) -> TaskInfo:
        """A task of the caller's.

        Raises:
            MCPError: there is none; somebody else's is none.
        """
        info = await self._manager.aget_task_info(task_id)
        about = None if info is None else info.metadata.get(ABOUT)
        if info is None or not isinstance(about, dict) or about.get("caller") != caller():
            raise MCPError(INVALID_PARAMS, "Task not found: it never was, or it has expired.")
        return info

    async def _facts(self, info: TaskInfo) -> tuple[TaskInfo, Known, Terms, datetime]:
        terms = Terms(self._manager.health().retention, self._poll_interval_ms)
        raised = info.status is TaskStatus.FAILED and info.reason is Reason.ERROR
        if info.completed_at is not None and not raised:
            return info, Known(info.completed_at, None), terms, datetime.now(UTC)
        return info, await run_sync(self._known, info), terms, datetime.now(UTC)

    def _known(self, info: TaskInfo) -> Known:
        path = self._manager.journal
        assert path is not None  # noqa: S101 - the manager has just read it
        # Not kept open: with the manager stopped, nothing of this process is to stay beside the journal.
        with Reader(path) as reader:
            events = reports.last_events(reader, info.id, 1)
            answer = reports.last_field(reader, info.id, wire.ANSWER) if info.is_ended else None
        return Known(events[-1].at if events else info.created_at, answer)


def declares(ctx: ServerRequestContext[Any, Any]) -> bool:
    """Whether the client declared the extension with this very request."""
    capabilities = ctx.session.client_capabilities
    return ctx.protocol_version in VERSIONS and EXTENSION in ((capabilities and capabilities.extensions) or {})


def caller() -> list[str | None] | None:
    """Who asks, by the server's authentication: client, issuer, subject; None where there is none."""
    token = get_access_token()
    return None if token is None else list(principal_components(token))


def _require(ctx: ServerRequestContext[Any, Any]) -> None:
    if not declares(ctx):
        needed: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY, f"Declare the extension {EXTENSION} with the request.", needed
        )


@contextmanager
def _translating() -> Iterator[None]:
    """Errors of ours as the protocol's."""
    try:
        yield
    except AilfError as error:
        raise MCPError(INTERNAL_ERROR, str(error)) from error
