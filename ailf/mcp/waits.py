"""The tools that wait for a task: for its end, and for its cancellation."""

import time
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import anyio
from anyio.to_thread import run_sync
from mcp.server.mcpserver import Context
from pydantic import Field

from ailf.async_tasks.journal.care.upkeep import Life
from ailf.async_tasks.journal.reading import reports
from ailf.async_tasks.journal.reading.reports import Sheet
from ailf.async_tasks.source import Source
from ailf.async_tasks.texts import line
from ailf.mcp import shapes
from ailf.mcp.asking import LOST, TaskId, TextCharacters, atold, head, not_found, whole_id

LOOK_SECONDS = 0.2
"""How often a task that is waited for is looked at ..."""

LIFE_SECONDS = 2.0
"""... and the process that runs it."""

CANCEL_PATIENCE_SECONDS = 5.0
"""How long a task that was asked to end is waited for."""

RESULT_CHARACTERS = 2_000


class Waits:
    """The tools on one journal that take their time; they read in threads."""

    def __init__(self, source: Source) -> None:
        """Open nothing yet.

        Args:
            source: the journal.
        """
        self._source = source

    @atold
    async def wait_for_task(
        self,
        *,
        task_id: TaskId,
        timeout_seconds: Annotated[float, Field(gt=0, le=300, description="For so long at most.")] = 25,
        text_characters: TextCharacters = RESULT_CHARACTERS,
        context: Context[Any, Any],
    ) -> shapes.Waited:
        """Wait until a task has ended, and tell its result or error; the task runs on if the wait runs out.

        has_ended says whether it has: call again to wait on.
        """
        known_id = await run_sync(self._whole_id, task_id)
        return await self._wait(known_id, timeout_seconds, text_characters, context)

    @atold
    async def cancel_task(
        self,
        *,
        task_id: TaskId,
        children: Annotated[bool, Field(description="Cancel what it has submitted as well.")] = False,
        context: Context[Any, Any],
    ) -> shapes.Waited:
        """Cancel a task of a running program, whose process hears of it within a second; wait a while for its end."""
        known_id = await run_sync(self._whole_id, task_id)
        await run_sync(partial(self._source.ask_to_cancel, known_id, children=children))
        return await self._wait(known_id, CANCEL_PATIENCE_SECONDS, RESULT_CHARACTERS, context)

    def _whole_id(self, part: str) -> str:
        return whole_id(self._source.reader(), part)

    async def _wait(self, task_id: str, seconds: float, most: int, context: Context[Any, Any]) -> shapes.Waited:
        until, asked, told = time.monotonic() + seconds, 0.0, -1.0
        while True:
            sheet = await run_sync(self._sheet, task_id)
            moment, is_lost = time.monotonic(), False
            if not sheet.line.status.is_ended and moment - asked >= LIFE_SECONDS:
                asked, is_lost = moment, await run_sync(self._is_lost, sheet)
            if sheet.line.status.is_ended or is_lost or moment >= until:
                now = datetime.now(UTC)
                return shapes.Waited(
                    **head(self._source, now),
                    task=shapes.task_shape(sheet.line, now),
                    has_ended=sheet.line.status.is_ended,
                    result=shapes.quoted(sheet.result, most),
                    hint=LOST if is_lost else None,
                )
            if sheet.line.progress > told:
                told = sheet.line.progress
                await context.report_progress(told, 100, line(sheet.line.message) or None)
            await anyio.sleep(max(0.0, min(LOOK_SECONDS, until - moment)))

    def _sheet(self, task_id: str) -> Sheet:
        sheet = reports.sheet(self._source.reader(), task_id)
        if sheet is None:
            raise not_found(task_id)
        return sheet

    def _is_lost(self, sheet: Sheet) -> bool:
        owner = self._source.owner(sheet.owner_id)
        return owner is not None and owner["life"] == Life.DEAD
