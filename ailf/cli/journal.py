"""``ailf journal``: the commands about the file as a whole."""

from dataclasses import asdict
from pathlib import Path

import click

from ailf.async_tasks.journal.care import restore as restoring
from ailf.async_tasks.journal.care import upkeep
from ailf.async_tasks.journal.care.repair import is_harmless, repair
from ailf.cli import shapes
from ailf.cli.advice import Finding, Level, findings_about, remedy
from ailf.cli.codes import JOURNAL_TROUBLE, NOTHING
from ailf.cli.groups import Group, examples
from ailf.cli.options import journal_option, json_option
from ailf.cli.words import columns, counted, harmless, kept, number, size


@click.group(name="journal", cls=Group, epilog=examples("journal info", "journal doctor"))
def group() -> None:
    """Look after the journal as a file: what is in it, whether it is whole, backups, upgrades."""


@group.command(epilog=examples("journal info", "journal info --json"))
@journal_option
@json_option
def info(*, journal: Path, as_json: bool) -> None:
    """Say how large it is, what is in it, who uses it."""
    facts = upkeep.facts(journal)
    if as_json:
        click.echo(shapes.text_of(asdict(facts), indent=2))
        return
    log = f" and {size(facts.log_bytes)} of log" if facts.log_bytes else ""
    free = f", {size(facts.free_bytes)} of it free" if facts.free_bytes else ""
    is_current = facts.revision == facts.newest_revision
    told = [
        ("journal", harmless(str(facts.path))),
        ("size", size(facts.bytes) + log + free),
        ("revision", f"{facts.revision} ({'the newest' if is_current else f'the newest is {facts.newest_revision}'})"),
        ("tasks", f"{sum(facts.tasks.values())}: " + ", ".join(f"{n} {status}" for status, n in facts.tasks.items())),
        ("events", str(facts.events)),
        ("submitted", f"{facts.first_submitted} to {facts.last_submitted}" if facts.first_submitted else ""),
        ("deleted", f"{counted(facts.deleted)}, at {facts.deleted_at}" if facts.deleted_at else ""),
        ("sqlite", facts.sqlite_version + "".join(f"; lacks {what}" for what in facts.sqlite_lacks)),
    ]
    click.echo("\n".join(f"{label + ':':11}{text}" for label, text in told if text))
    if facts.owners:
        head = ("owner", "pid", "host", "since", "unfinished", "life", "keeps its tasks")
        rows = [
            (
                *(one.id, str(one.pid), harmless(one.host), one.started_at, str(one.unfinished), str(one.life)),
                kept(one.retention),
            )
            for one in facts.owners
        ]
        click.echo("\n" + columns(head, rows))


@group.command(epilog=examples("journal upgrade", "--journal night.db journal upgrade"))
@journal_option
def upgrade(*, journal: Path) -> None:
    """Bring it to the newest revision, after a backup beside it."""
    before, copy = upkeep.upgrade(journal)
    if copy is None:
        click.echo(f"The journal is at the newest revision, {before}.")
    else:
        click.echo(f"Upgraded from revision {before}; the backup is {harmless(str(copy))}.")


@group.command(epilog=examples("journal downgrade 0002", "--journal night.db journal downgrade 0002"))
@click.argument("revision")
@journal_option
def downgrade(*, revision: str, journal: Path) -> None:
    """Take it back to an earlier REVISION, for an older release, after a backup beside it."""
    copy = upkeep.downgrade(journal, revision)
    click.echo(f"Downgraded to revision {revision}; the backup is {harmless(str(copy))}.")


@group.command(epilog=examples("journal check", "journal check --full"))
@click.option("--full", is_flag=True, help="Compare each index with its table, which takes several times as long.")
@journal_option
@json_option
def check(*, journal: Path, full: bool, as_json: bool) -> int:
    """Look for damage; the exit code is 3 where there is some."""
    findings = upkeep.check(journal, full=full)
    if as_json:
        click.echo(shapes.text_of({"whole": not findings, "findings": findings}, indent=2))
    elif findings:
        click.echo("\n".join(map(harmless, findings)))
        what = "What was found is harmless" if is_harmless(findings) else "The journal is damaged"
        click.echo(f"ailf: {what}: {remedy(findings)}.", err=True)
    else:
        click.echo("The journal is whole.")
    return JOURNAL_TROUBLE if findings else 0


@group.command(
    epilog=examples("journal backup tasks-backup.db", "--journal night.db journal backup /srv/backup/night.db")
)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@journal_option
def backup(*, path: Path, journal: Path) -> None:
    """Copy it to PATH, consistent even while programs write to it."""
    click.echo(f"{size(upkeep.backup(journal, path))} written to {harmless(str(path))}.")


@group.command(
    epilog=examples("journal restore tasks-backup.db", "--journal night.db journal restore /srv/backup/night.db")
)
@click.argument("backup", type=click.Path(dir_okay=False, path_type=Path))
@journal_option
def restore(*, backup: Path, journal: Path) -> None:
    """Put a copy of BACKUP in its place; the replaced journal is kept aside, with its log and its locks.

    Refused while a manager is at work on it. What is unfinished in the backup becomes failed.
    """
    done = restoring.restore(journal, backup)
    kept = f"; the replaced journal is {harmless(str(done.aside))}" if done.aside is not None else ""
    click.echo(
        f"Restored from {harmless(str(backup))}; {number(done.failed, 'unfinished task')} marked as failed{kept}."
    )


@group.command(epilog=examples("journal vacuum", "--journal night.db journal vacuum"))
@journal_option
def vacuum(*, journal: Path) -> None:
    """Write the file anew, as small as it can be; programs that write to it wait meanwhile."""
    before, after = upkeep.vacuum(journal)
    click.echo(f"{size(before)} before, {size(after)} now.")


@group.command(epilog=examples("journal recover", "--journal night.db journal recover --owner 3f1c0a9b"))
@click.option("--owner", "owner_id", metavar="ID", help="The owner that you know to be dead, though nobody can tell.")
@journal_option
def recover(*, journal: Path, owner_id: str | None) -> None:
    """Mark the unfinished tasks of dead processes as failed now; the living ones' are left alone."""
    click.echo(f"{number(upkeep.recover(journal, owner_id), 'task')} marked as failed.")


@group.command(epilog=examples("journal doctor", "journal doctor --full --fix"))
@click.option("--full", is_flag=True, help="With a full check for damage.")
@click.option("--fix", is_flag=True, help="Mend what is harmless: nothing is lost that anybody could still read.")
@journal_option
@json_option
def doctor(*, journal: Path, full: bool, fix: bool, as_json: bool) -> int:
    """Look all of it over, and say what to do; the exit code is 1 where there is something, 3 where it is damaged."""
    damage, repaired = upkeep.check(journal, full=full), None
    if fix:
        repaired = repair(journal, damage)
        damage = upkeep.check(journal, full=full)
    findings = findings_about(upkeep.facts(journal), damage, repaired)
    if as_json:
        click.echo(shapes.text_of([asdict(finding) for finding in findings], indent=2))
    else:
        click.echo("\n".join(map(_line, findings)))
    levels = {finding.level for finding in findings}
    if Level.ERROR in levels:
        return JOURNAL_TROUBLE
    return NOTHING if Level.WARNING in levels else 0


def _line(finding: Finding) -> str:
    return harmless(f"{finding.level:8}{finding.text}" + (f": {finding.advice}" if finding.advice else ""))
