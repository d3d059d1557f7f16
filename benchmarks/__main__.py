"""``python -m benchmarks [peers]``: measure, print a table, write JSON and charts."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import goals, report
from benchmarks.peers import campaign
from benchmarks.peers.catalogue import PEERS
from benchmarks.values import FULL, QUICK, Goal, Point


def parser() -> argparse.ArgumentParser:
    """What can be said on the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("suite", nargs="?", choices=("goals", "peers"), default="goals")
    made.add_argument("--only", action="append", metavar="NAME", help="a goal or a peer by name; may be repeated")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    made.add_argument("--charts", type=Path, metavar="FOLDER", help="write charts there, as SVG (needs matplotlib)")
    made.add_argument("--quick", action="store_true", help="little work: a first look, no evidence")
    made.add_argument("--folder", type=Path, help="where to make temporary journals; default: the system's place")
    made.add_argument("--cache", type=Path, default=campaign.default_cache(), help="where the peers' environments are")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for.

    Returns:
        0 where every goal holds, else 1.
    """
    asked = parser().parse_args(arguments)
    known = list(goals.GOALS) if asked.suite == "goals" else [peer.name for peer in PEERS]
    names = known if asked.only is None else asked.only
    if unknown := sorted(set(names) - set(known)):
        say(f"There is no {', '.join(unknown)}; choose from {', '.join(known)}.")
        return 2
    for key, value in report.machine().items():
        say(f"{key}: {value}")
    say()
    return run_goals(asked, names) if asked.suite == "goals" else campaign.run(asked, names, say)


def run_goals(asked: argparse.Namespace, names: Sequence[str]) -> int:
    """Measure the goals, each printed as soon as it is known."""
    measured: list[Goal] = []
    points: list[Point] = []
    failed: list[str] = []
    with goals.setting(QUICK if asked.quick else FULL, asked.folder) as setting:
        for name, taken in goals.measure(names, setting):
            if isinstance(taken, Exception):
                failed.append(name)
                say(f"{name}: not measured: {taken!r}")
                continue
            say(f"{name}: {'; '.join(f'{report.figure(goal)} {report.verdict(goal)}'.strip() for goal in taken.goals)}")
            measured += taken.goals
            points += taken.points
            # At once, so that an interrupted run has what it measured.
            write_json(asked.json, report.as_json(measured, points))
    say("\n" + report.table(report.HEAD, map(report.row, measured)))
    if asked.charts is not None:
        # Only who asks for charts needs matplotlib.
        from benchmarks import charts  # noqa: PLC0415

        for path in charts.draw(points, asked.charts):
            say(f"wrote {path}")
    missed = [goal for goal in measured if goal.holds is False]
    say(f"\n{len(missed)} of {sum(goal.goal is not None for goal in measured)} goals missed.")
    for name in failed:
        say(f"{name} was not measured.")
    return 1 if missed or failed else 0


def write_json(path: Path | None, whole: dict[str, Any]) -> None:
    """Write the figures, where that was asked for."""
    if path is not None:
        path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")


def say(line: str = "") -> None:
    """Print a line at once, for whoever waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
