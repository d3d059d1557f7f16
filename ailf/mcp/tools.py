"""The tools that read: what each asks, what it answers, and what an agent is told about it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from ailf.async_tasks.journal.care.upkeep import Life
from ailf.async_tasks.journal.form import task_event
from ailf.async_tasks.journal.reading import followed_query, reports
from ailf.async_tasks.journal.reading.reports import NO_TYPE, Order, Wanted
from ailf.async_tasks.model import TaskFilter
from ailf.async_tasks.source import Source
from ailf.async_tasks.states import TaskStatus
from ailf.async_tasks.texts import line
from ailf.mcp import shapes
from ailf.mcp.asking import LOST, Since, TaskId, TextCharacters, head, moment, not_found, told, whole_id

MOST_KIN = 20
_MOST = 2**63 - 1

Status = TaskStatus | list[TaskStatus] | None


class Tools:
    """The tools on one journal that answer at once; the SDK runs them in threads."""

    def __init__(self, source: Source) -> None:
        """Open nothing yet.

        Args:
            source: the journal.
        """
        self._source = source

    @told
    def find_tasks(
        self,
        *,
        status: Annotated[Status, Field(description="Only tasks in this state, or in one of these.")] = None,
        name: Annotated[str, Field(description="Only tasks of this name; * stands for anything.")] = "",
        text: Annotated[
            str, Field(description="Only tasks with this text in their id, name, message or error, whatever its case.")
        ] = "",
        metadata: Annotated[
            dict[str, Any] | None, Field(description='Only tasks with these values, such as {"user": "u1"}.')
        ] = None,
        submitted_since: Since = "",
        submitted_before: Since = "",
        ended_since: Since = "",
        ended_before: Since = "",
        parent_id: Annotated[str, Field(description="Only tasks that this one submitted; the whole id.")] = "",
        error_type: Annotated[
            str, Field(description="Only failures with this type of error, as failures tells it; (none) is none.")
        ] = "",
        error_kind: Annotated[str, Field(description="Only failures of this kind, as failures tells it.")] = "",
        order: Annotated[
            Order | None,
            Field(description="By what they are sorted; by default by their end where that is asked about."),
        ] = None,
        descending: Annotated[bool, Field(description="The newest, longest, highest first.")] = True,
        limit: Annotated[int, Field(ge=1, le=100, description="At most so many.")] = 20,
        cursor: Annotated[str, Field(description="next_cursor of the page before, with the same conditions.")] = "",
    ) -> shapes.Tasks:
        """Find tasks in the journal: each with its state, times, the beginning of its error, and what it last said.

        For "which tasks failed since yesterday?" ask with status=failed, ended_since=yesterday; then get_task has
        the traceback and the log of each. For many failures begin with the tool failures instead.
        """
        now = datetime.now(UTC)

        wanted = Wanted(
            statuses=(status,) if isinstance(status, TaskStatus) else tuple(status or ()) or None,
            name=name or None,
            text=text or None,
            metadata=metadata or {},
            created_after=moment(submitted_since, "submitted_since", now),
            created_before=moment(submitted_before, "submitted_before", now),
            ended_after=moment(ended_since, "ended_since", now),
            ended_before=moment(ended_before, "ended_before", now),
            parent_id=parent_id or None,
            error_type=error_type.removeprefix(NO_TYPE) if error_type else None,
            kind=error_kind or None,
        )
        has_end = wanted.ended_after is not None or wanted.ended_before is not None
        chosen = order or (Order.ENDED if has_end else Order.CREATED)
        page = reports.page(
            self._source.reader(),
            wanted,
            chosen,
            descending=descending,
            limit=limit,
            after=reports.place_of(cursor, chosen) if cursor else None,
            at=now,
        )
        return shapes.Tasks(
            **head(self._source, now),
            tasks=[shapes.task_shape(task, now) for task in page.lines],
            next_cursor=None if page.following is None else reports.place_text(page.following),
            hint=_hint_of(page),
        )

    @told
    def get_task(
        self,
        *,
        task_id: TaskId,
        text_characters: TextCharacters = 2_000,
        events: Annotated[int, Field(ge=0, le=500, description="How many of its last events.")] = 10,
        logs: Annotated[int, Field(ge=0, le=500, description="How many of its last lines of log.")] = 20,
        log_level: Annotated[
            int,
            Field(ge=0, le=100, description="Lines of this level or above: 10 debug, 20 info, 30 warning, 40 error."),
        ] = 0,
    ) -> shapes.TaskSheet:
        """Tell everything about one task: state, error, traceback, result, events, last log lines, family, process."""
        now, reader = datetime.now(UTC), self._source.reader()
        known_id = whole_id(reader, task_id)
        sheet = reports.sheet(reader, known_id)
        if sheet is None:
            raise not_found(task_id)
        family = reports.family(reader, known_id, MOST_KIN)
        owner = self._source.owner(sheet.owner_id)
        is_lost = not sheet.line.status.is_ended and owner is not None and owner["life"] == Life.DEAD
        return shapes.TaskSheet(
            **head(self._source, now),
            task=shapes.task_shape(sheet.line, now),
            owner=None
            if owner is None
            else shapes.Owner(pid=owner["pid"], host=line(owner["host"]), life=owner["life"]),
            **shapes.texts_of(sheet, text_characters),
            events=shapes.event_shapes(reports.last_events(reader, known_id, events)),
            logs=[
                shapes.log_shape(entry, text_characters)
                for entry in reports.last_logs(reader, known_id, level=log_level, most=logs)
            ],
            ancestors=shapes.kin_shapes(family.ancestors, now),
            descendants=shapes.kin_shapes(family.descendants, now),
            has_more_descendants=family.has_more,
            hint=LOST if is_lost else None,
        )

    @told
    def failures(
        self,
        *,
        since: Since = "",
        limit: Annotated[int, Field(ge=1, le=100, description="At most so many groups.")] = 20,
        every: Annotated[
            bool, Field(description=f"Look at every failure, not at the newest {reports.FAILURES_LOOKED_AT} alone.")
        ] = False,
    ) -> shapes.FailureGroups:
        """Tell what went wrong: failed tasks in groups by name, type and kind of error, the largest group first.

        last_task_id of a group is the one to look at with get_task.
        """
        now = datetime.now(UTC)
        begin = moment(since, "since", now)
        found = reports.failures(self._source.reader(), begin, reports.EVERY if every else reports.FAILURES_LOOKED_AT)
        return shapes.FailureGroups(
            **head(self._source, now),
            groups=[shapes.failure_shape(group) for group in found.groups[:limit]],
            failures=found.looked_at,
            groups_left_out=max(0, len(found.groups) - limit),
            is_newest_only=found.has_more,
        )

    @told
    def stats(
        self,
        *,
        since: Since = "",
        limit: Annotated[int, Field(ge=1, le=200, description="At most so many names.")] = 20,
        every: Annotated[
            bool, Field(description=f"Count every task, not the newest {reports.TASKS_LOOKED_AT} alone.")
        ] = False,
    ) -> shapes.Stats:
        """Count: tasks in each state; of each name how they ended and how long they took; the processes at work.

        since is about when tasks were submitted.
        """
        now, reader = datetime.now(UTC), self._source.reader()
        begin = moment(since, "since", now)
        names = reports.stats(reader, begin, reports.EVERY if every else reports.TASKS_LOOKED_AT)
        return shapes.Stats(
            **head(self._source, now),
            counts={str(status): number for status, number in reports.counted(reader).items()},
            names=[shapes.name_shape(name) for name in names[:limit]],
            names_left_out=max(0, len(names) - limit),
            is_newest_only=not every and sum(name.tasks for name in names) >= reports.TASKS_LOOKED_AT,
            processes=[shapes.process_shape(owner) for owner in self._source.owners()],
        )

    @told
    def tail(
        self,
        *,
        after: Annotated[
            int | None, Field(ge=0, le=_MOST, description="Only events after this seq; left out, the last ones.")
        ] = None,
        task_id: Annotated[str, Field(description="Only events of this task.")] = "",
        limit: Annotated[int, Field(ge=1, le=500, description="At most so many.")] = 30,
    ) -> shapes.Events:
        """Tell what happened: events in their order (submitted, started, progress, completed, failed, cancelled).

        To follow the journal, ask again with last_seq of the answer as after.
        """
        now, reader = datetime.now(UTC), self._source.reader()
        known_id = whole_id(reader, task_id) if task_id else None
        begin = reports.event_before_the_last(reader, known_id, limit) if after is None else after
        rows = reader.rows(followed_query(begin, known_id, TaskFilter(), limit + 1))
        deleted = int(rows[0][0]) if rows else 0
        events = [task_event(row[1:-1]) for row in rows if row[1] is not None]
        shown = events[:limit]
        return shapes.Events(
            **head(self._source, now),
            events=shapes.event_shapes(shown),
            last_seq=shown[-1].seq if shown else begin,
            has_more=len(events) > limit,
            were_deleted=known_id is None and bool(after) and deleted > begin,
        )


def _hint_of(page: reports.Page) -> str | None:
    if page.is_cut_short:
        return (
            f"Looked at {reports.REACH} tasks so far: go on with next_cursor, though this page may be short or empty."
        )
    if page.is_among_newest:
        return f"Sorted among the newest {reports.REACH} tasks alone; add conditions to look further back."
    return None
