"""The commands that go on: ``watch``, ``tail``, ``wait``, and ``cancel``, which waits for the end as well.

They ask the journal's pulse, which costs next to nothing, and read only when somebody has written.
"""

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from ailf.async_tasks.journal.care import upkeep
from ailf.async_tasks.journal.form import task_event
from ailf.async_tasks.journal.reading import Pulse, Reader, events_after_query, reports
from ailf.async_tasks.model import TaskInfo
from ailf.async_tasks.states import TaskStatus
from ailf.cli import plain, shapes
from ailf.cli.codes import NOTHING
from ailf.cli.groups import examples
from ailf.cli.options import (
    MOST,
    Length,
    complete_id,
    dead_owners,
    id_argument,
    is_terminal,
    journal_option,
    json_option,
    reading,
    task_by_id,
    task_of,
)
from ailf.cli.words import harmless

LOOK_SECONDS = 0.1
"""How often to ask whether anybody has written."""

REDRAW_SECONDS = 0.5
"""How often the live view is drawn again though nobody has: times go on."""

STALE_SECONDS = 5.0
"""How often to read again though nobody has written: what was counted over the last minute gets older."""

REST_FACTOR = 4.0
"""How much longer than a read took to wait for the next: of a long history, the live view takes a fifth of a core."""

LIFE_SECONDS = 1.0
"""How often to ask whether the process that is waited for is alive."""

RATE_SECONDS = 60.0
"""The stretch of time over which rates are counted."""

EVENTS_A_READ = 500
MOST_RUNNING = 200
LATEST = 8
LEAST_ROWS = 24


@contextmanager
def pulse_of(journal: Path) -> Iterator[Pulse]:
    """Whether anybody has written, for a while."""
    pulse = Pulse(journal)
    try:
        yield pulse
    finally:
        pulse.close()


@click.command(epilog=examples("tasks watch", "tasks watch --json --once"))
@click.option("--once", is_flag=True, help="Show what is now, and end.")
@journal_option
@json_option
def watch(*, journal: Path, once: bool, as_json: bool) -> int:
    """Follow the tasks of running programs, live, until Ctrl-C.

    Bars for what runs, with the time that is left if it goes on like this; what ended last; how many a
    minute. In a pipe each change is a few lines of text, or with --json an object a line.
    """
    with reading(journal) as reader, pulse_of(journal) as pulse:
        if is_terminal() and not as_json:
            _watch_live(reader, pulse, journal, once=once)
            return 0
        while True:
            began = time.monotonic()
            at, now = _now(reader, MOST_RUNNING)
            cost = time.monotonic() - began
            if as_json:
                click.echo(shapes.text_of(shapes.now_shape(now, at, RATE_SECONDS)))
            else:
                click.echo(plain.now_lines(now, at, dead_owners(journal, now.running)))
            sys.stdout.flush()
            if once:
                return 0
            wait_for_news(pulse)
            # Whatever comes together is shown together, and a long history is read less often.
            time.sleep(max(LOOK_SECONDS, REST_FACTOR * cost))


def _now(reader: Reader, most: int) -> tuple[datetime, reports.Now]:
    at = datetime.now(UTC)
    since = at - timedelta(seconds=RATE_SECONDS)
    return at, reports.now(reader, running=most, latest=LATEST, since=since)


def _watch_live(reader: Reader, pulse: Pulse, journal: Path, *, once: bool) -> None:
    from rich.console import Console  # noqa: PLC0415 - slow to import, and only a terminal needs it
    from rich.live import Live  # noqa: PLC0415

    from ailf.cli.screens import live_screen  # noqa: PLC0415

    console = Console(highlight=False)

    gone: frozenset[str] = frozenset()

    def read() -> reports.Now:
        nonlocal gone
        now = _now(reader, max(console.height, LEAST_ROWS) - LATEST - 9)[1]
        gone = dead_owners(journal, now.running)
        return now

    def screen(now: reports.Now) -> Any:
        return live_screen(now, datetime.now(UTC), RATE_SECONDS, str(journal), gone)

    now = read()
    if once:
        console.print(screen(now))
        return

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    # A terminal whose program is told to end gets its cursor and its lines back, as after Ctrl-C.
    signal.signal(signal.SIGTERM, end)
    with Live(screen(now), console=console, screen=True, auto_refresh=False) as live:
        drawn = read_at = due = time.monotonic()
        has_news = False
        while True:
            # The screen's clock goes on as well, with no news at all.
            time.sleep(LOOK_SECONDS)
            moment = time.monotonic()
            has_news |= pulse.has_changed() or moment - read_at > STALE_SECONDS
            if has_news and moment >= due:
                now = read()
                has_news, read_at = False, time.monotonic()
                due = read_at + REST_FACTOR * (read_at - moment)
            elif moment - drawn < REDRAW_SECONDS:
                continue
            live.update(screen(now), refresh=True)
            drawn = moment


@click.command(epilog=examples("tasks tail", "tasks tail 8c1f4a9be207 --no-follow --lines 100"))
@click.argument("part", metavar="[ID]", required=False, shell_complete=complete_id)
@click.option(
    "--lines", "-n", type=click.IntRange(min=0, max=MOST), default=10, show_default=True, help="Begin so many back."
)
@click.option("--no-follow", is_flag=True, help="End with the last event that is there.")
@journal_option
@json_option
def tail(*, part: str | None, lines: int, no_follow: bool, journal: Path, as_json: bool) -> int:
    """Print events as they come, of one task until its end, or of all until Ctrl-C."""
    with reading(journal) as reader, pulse_of(journal) as pulse:
        info = None if part is None else task_of(reader, part)
        task_id = None if info is None else info.id
        names: dict[str, str] = {} if info is None else {info.id: info.name}
        after = reports.event_before_the_last(reader, task_id, lines)
        while True:
            if task_id is not None:
                info = task_by_id(reader, task_id)
            rows = reader.rows(events_after_query(after, task_id, EVENTS_A_READ))
            for row in rows:
                event = task_event(row)
                after = event.seq
                if as_json:
                    click.echo(shapes.text_of(shapes.event_shape(event)))
                    continue
                name = names.get(event.task_id) or _name_of(reader, names, event.task_id)
                at, kind, progress, message = plain.event_cells(event)
                click.echo(
                    f"{at}  {kind:9}  {harmless(name)}  {progress + '%  ' if progress else ''}{message}".rstrip()
                )
            if len(rows) == EVENTS_A_READ:
                continue
            sys.stdout.flush()
            # The state was read before the events: of a task that had ended then, these were the last.
            if no_follow or (task_id is not None and (info is None or info.status.is_ended)):
                return 0
            wait_for_news(pulse)


def wait_for_news(pulse: Pulse) -> None:
    """Wait until somebody has written: SQLite calls nobody, so that it has to be asked."""
    while not pulse.has_changed():
        time.sleep(LOOK_SECONDS)


def _name_of(reader: Reader, names: dict[str, str], task_id: str) -> str:
    info = task_by_id(reader, task_id)
    if len(names) > EVENTS_A_READ:
        names.clear()
    return names.setdefault(task_id, "" if info is None else info.name)


@click.command(epilog=examples("tasks wait 8c1f4a9be207", "tasks wait nightly-import --timeout 10m --json"))
@id_argument
@click.option("--timeout", metavar="DURATION", type=Length(), help="For so long at most.")
@journal_option
@json_option
def wait(*, part: str, timeout: float | None, journal: Path, as_json: bool) -> int:
    """Wait until a task ends, and print its result; the exit code says whether it completed."""
    with reading(journal) as reader:
        info = _ended(reader, task_of(reader, part), journal, timeout)
    if info is None:
        return NOTHING
    if as_json:
        click.echo(shapes.text_of(shapes.task_shape(info), indent=2))
    elif info.status is TaskStatus.COMPLETED:
        is_text = info.result_format == "repr"
        text = str(info.result) if is_text else json.dumps(info.result, ensure_ascii=not is_terminal(), indent=2)
        click.echo(harmless(text, lines=True) if is_terminal() else text)
    else:
        click.echo(f"ailf: The task {info.status}: {harmless(plain.outcome(info))}", err=True)
    return 0 if info.status is TaskStatus.COMPLETED else NOTHING


@click.command(epilog=examples("tasks cancel 8c1f4a9be207", "tasks cancel nightly-import --timeout 30s"))
@id_argument
@click.option("--timeout", metavar="DURATION", type=Length(), help="Wait for its end for so long at most.")
@journal_option
def cancel(*, part: str, timeout: float | None, journal: Path) -> int:
    """Cancel a task of a running program: ask for it, and wait until it has ended."""
    with reading(journal) as reader:
        info = task_of(reader, part)
        if info.status.is_ended or not upkeep.ask_to_cancel(journal, info.id):
            ended = task_by_id(reader, info.id) or info
            click.echo(f"ailf: The task has ended already: it is {ended.status}.", err=True)
            return NOTHING
        found = _ended(reader, info, journal, timeout)
    if found is None:
        return NOTHING
    if found.status is TaskStatus.CANCELLED:
        click.echo("cancelled")
        return 0
    click.echo(f"ailf: The task was not cancelled, it is {found.status}: {harmless(plain.outcome(found))}", err=True)
    return NOTHING


def _ended(reader: Reader, info: TaskInfo, journal: Path, timeout: float | None) -> TaskInfo | None:
    """The task once it has ended; None, said why, where that is not to be waited for."""
    until = None if timeout is None else time.monotonic() + timeout
    asked = 0.0
    with pulse_of(journal) as pulse:
        while True:
            found = task_by_id(reader, info.id)
            if found is None:
                click.echo("ailf: The task was deleted.", err=True)
                return None
            if found.status.is_ended:
                return found
            while not pulse.has_changed():
                moment = time.monotonic()
                if until is not None and moment >= until:
                    click.echo(f"ailf: The task is {found.status} after {timeout:g} seconds.", err=True)
                    return None
                if moment - asked >= LIFE_SECONDS:
                    asked = moment
                    lives = {state.id: state.life for state in upkeep.owner_states(journal)}
                    if lives.get(found.owner_id) is upkeep.Life.DEAD:
                        click.echo("ailf: The task's process has died; run `ailf journal recover`.", err=True)
                        return None
                # No longer than the caller's patience, and no longer than a look at the journal.
                time.sleep(LOOK_SECONDS if until is None else max(0.0, min(LOOK_SECONDS, until - moment)))
