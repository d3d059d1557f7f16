"""The benchmarks run and say what they are about; how fast anything is, is no matter of the tests."""

import json
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import goals, report
from benchmarks.peers import campaign
from benchmarks.peers.catalogue import OURS, PEERS
from benchmarks.peers.environments import UnavailableError, python_for, requirements, script
from benchmarks.values import Goal, Measured, Point, Sense, Setting, Sizes, median_ratio, percentile

TINY = Sizes(
    rounds=2,
    burst=20,
    sequence=10,
    latency=5,
    power_latency=3,
    progress=50,
    journals=(30, 60),
    reads=3,
    metadata_reads=1,
    cleanup=30,
    usual_submits=5,
    memory_from=5,
    memory_to=10,
    starts=1,
    imports=1,
    log_calls=20,
    log_lines=50,
    still_tasks=30,
    still_values=100,
    still_queued=20,
    still_watchers=3,
    still_reads=20,
    still_events=20,
    still_functions=3,
    still_seconds=0.05,
)

FIGURES = {
    "burst": 1,
    "sequence": 1,
    "latency": 4,
    "progress": 2,
    "logs": 4,
    "growth": 13,
    "loop": 5,
    "still": 10,
    "memory": 1,
    "start": 4,
    "uvloop": 3,
}
"""How many figures each measurement gives."""


@pytest.mark.parametrize("name", goals.GOALS)
def test_each_goal_is_measured(name: str, tmp_path: Path) -> None:
    """Each measurement runs at a tiny size and gives its figures, all named and comparable with their goals."""
    if name == "uvloop":
        pytest.importorskip("uvloop", reason="not for every platform")
    [(_, measured)] = goals.measure([name], Setting(TINY, tmp_path))
    assert isinstance(measured, Measured), measured
    assert len(measured.goals) == FIGURES[name]
    for goal in measured.goals:
        assert goal.name == name
        assert goal.what
        assert goal.ratio >= 0 or goal.unit != "x"
        assert goal.holds is (None if goal.goal is None else goal.holds)
    assert any(goal.goal is not None for goal in measured.goals) is (name != "uvloop")
    assert all(point.y > 0 for point in measured.points)


@pytest.mark.parametrize(
    ("sense", "ratio", "goal", "holds"),
    [
        (Sense.AT_LEAST, 0.5, 0.5, True),
        (Sense.AT_LEAST, 0.4, 0.5, False),
        (Sense.AT_MOST, 3.0, 3.0, True),
        (Sense.AT_MOST, 3.1, 3.0, False),
        (Sense.AT_MOST, 3.1, None, None),
    ],
)
def test_a_goal_holds_on_its_side(sense: Sense, ratio: float, goal: float | None, holds: bool | None) -> None:  # noqa: FBT001 - a table
    """A figure is compared with its goal on the side that was meant, and without a goal not at all."""
    assert Goal("some", "figure", ratio, sense, goal).holds is holds


def test_a_measurement_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One measurement that fails is told with its error, and keeps no other one from being made."""

    def fail(_setting: Setting) -> Measured:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(goals, "GOALS", {"bad": fail, "good": lambda _setting: Measured(())})
    (_, bad), (_, good) = goals.measure(["bad", "good"], Setting(TINY, tmp_path))
    assert isinstance(bad, RuntimeError)
    assert good == Measured(())


def test_statistics() -> None:
    """The ratio is the median of the rounds' own, and a percentile is one of the values."""
    assert median_ratio([(1.0, 2.0), (3.0, 3.0), (90.0, 10.0)]) == 1.0
    assert percentile([4.0, 1.0, 3.0, 2.0], 50) == 2.0
    assert percentile(range(1, 101), 99) == 99


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command measures what is named, prints the table and writes JSON; an unknown name is refused."""
    monkeypatch.setattr(command, "QUICK", TINY)
    figures = tmp_path / "figures.json"
    assert command.main(["--only", "burst", "--quick", "--json", str(figures)]) in {0, 1}
    assert "| burst " in capsys.readouterr().out
    whole = json.loads(figures.read_text(encoding="utf-8"))
    assert [goal["name"] for goal in whole["goals"]] == ["burst"]
    assert whole["machine"]["sqlite"]
    assert command.main(["--only", "nothing"]) == 2


def test_charts(tmp_path: Path) -> None:
    """Each kind of figure has its chart, with a transparent ground and no black text."""
    charts = pytest.importorskip("benchmarks.charts", reason="only charts need matplotlib", exc_type=ImportError)
    points = [
        Point("throughput", "ailf", "ailf", 1000.0),
        Point("latency", "ailf", "ailf", 0.3),
        Point("latency", "ailf", "ailf", 2.0),
        Point("history", "ailf", "ailf", 2.0),
        Point("growth", "one task by id", 10, 0.1),
        Point("growth", "one task by id, plain sqlite3", 10, 0.05),
    ]
    written = charts.draw(points, tmp_path / "charts")
    assert [path.name for path in written] == ["throughput.svg", "latency.svg", "history.svg", "growth.svg"]
    for path in written:
        text = path.read_text(encoding="utf-8")
        assert "#808080" in text
        assert "#ffffff" not in text
        assert "fill: #000000" not in text


def test_peers_are_pinned_and_have_scripts() -> None:
    """Each library has a script, and a list of exact versions that begins with itself."""
    for peer in PEERS:
        assert script(peer).exists()
        if peer.library != OURS:
            lines = requirements(peer).read_text(encoding="utf-8").split()
            assert lines[0].startswith(f"{peer.library}==")
            assert all("==" in line for line in lines)


def test_a_campaign_of_one(tmp_path: Path) -> None:
    """The campaign runs a library in a process of its own; one that does not install is skipped with its reason."""
    said: list[str] = []
    [standing] = campaign.compete([OURS], tmp_path, campaign.Size(10, 5, 1), said.append)
    assert standing.runs[0].rate > 0
    assert standing.runs[0].history is not None
    assert said
    table = report.table(campaign.HEAD, [campaign.row(standing), campaign.row(campaign.Standing(PEERS[1], (), "no"))])
    assert "skipped" in table


def test_an_environment_that_cannot_be(tmp_path: Path) -> None:
    """A library for which there is no Python says so."""
    far = PEERS[1].__class__("huey", "", "", "", "", least_python=(3, 99))
    with pytest.raises(UnavailableError, match=r"3\.99"):
        python_for(far, tmp_path)


def test_what_is_measured_is_a_value() -> None:
    """A measurement is a value: equal where its figures are."""
    assert Measured((Goal("a", "b", 1.0),)) == Measured((Goal("a", "b", 1.0),))
