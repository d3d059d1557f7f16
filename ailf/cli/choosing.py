"""The options by which a command's tasks are chosen, as ``list_tasks`` chooses them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import click

from ailf.async_tasks.conditions import task_filter
from ailf.async_tasks.model import TaskFilter
from ailf.async_tasks.states import Reason, TaskStatus
from ailf.async_tasks.typed import typed_metadata
from ailf.cli.options import Length, MetadataItem, Moment

Command = TypeVar("Command", bound=Callable[..., Any])


def filter_options(command: Command) -> Command:
    """The options that choose tasks, as ``list_tasks`` does."""
    for option in (
        click.option("--ended-until", metavar="TIME", type=Moment(), help="Ended before then."),
        click.option("--ended-since", metavar="TIME", type=Moment(), help="Ended then or later."),
        click.option("--until", metavar="TIME", type=Moment(), help="Submitted before then."),
        click.option(
            "--since", metavar="TIME", type=Moment(), help="Submitted then or later: 2h (ago), today, 2026-11-24T03:00."
        ),
        click.option(
            *("--metadata", "-m"),
            metavar="KEY=VALUE",
            type=MetadataItem(),
            multiple=True,
            help="With this value, as JSON or as text, under this key, or under user.plan in another; repeated for one "
            "key, any of the values.",
        ),
        click.option(
            "--reason",
            type=click.Choice([str(reason) for reason in Reason], case_sensitive=False),
            multiple=True,
            help="Failed or cancelled for this reason; may be repeated.",
        ),
        click.option(
            "--name", multiple=True, help="Of this name, in which * stands for anything; repeated, any of them."
        ),
        click.option(
            "--stalled", metavar="DURATION", type=Length(), help="Running, and without a word for so long: 5m, 2h."
        ),
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
    name: tuple[str, ...],
    reason: tuple[str, ...],
    metadata: tuple[tuple[str, str], ...],
    since: datetime | None,
    until: datetime | None,
    ended_since: datetime | None,
    ended_until: datetime | None,
    stalled: float | None,
) -> TaskFilter:
    """The tasks that the options choose."""
    states = {TaskStatus(one) for one in status} | ({TaskStatus.FAILED} if failed else set())
    return task_filter(
        states or None,
        name=name or None,
        reason=reason or None,
        metadata=typed_metadata(metadata),
        created_after=since,
        created_before=until,
        ended_after=ended_since,
        ended_before=ended_until,
        quiet_for=stalled,
    )
