"""Charts as SVG: transparent, with text and lines in greys and colours that show on light and on dark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.values import Point

GREY = "#808080"
OURS, PLAIN, OTHERS = "#3b82f6", "#f59e0b", "#8b949e"
LINES = ("#3b82f6", "#10b981", "#ef4444")

STYLE: Any = {
    "svg.fonttype": "none",  # text stays text, in the reader's own font
    "svg.hashsalt": "ailf",  # the same figures give the same file
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": GREY,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
}

TITLES = {
    "throughput": ("Throughput: more is better", "tasks a second"),
    "latency": ("Latency from submit to result: less is better", "milliseconds: median; a mark at the 99th percentile"),
    "history": ("Query of the newest 100 completed tasks: less is better", "milliseconds"),
    "growth": ("Reads as the journal grows", "tasks in the journal"),
}


def draw(points: Sequence[Point], folder: Path, prefix: str = "") -> list[Path]:
    """Draw one chart of each kind that there are points for.

    Args:
        points: the figures.
        folder: where the files go; made if need be.
        prefix: how their names begin.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(STYLE):
        for chart in dict.fromkeys(point.chart for point in points):
            chosen = [point for point in points if point.chart == chart]
            figure = Figure(figsize=(8, 4.5) if chart == "growth" else (8, 0.9 + 0.38 * len(_names(chosen))))
            axes = figure.add_subplot()
            (_growth if chart == "growth" else _bars)(axes, chosen)
            axes.set_title(TITLES[chart][0], loc="left", color=GREY)
            axes.set_xlabel(TITLES[chart][1])
            axes.grid(visible=True, axis="both" if chart == "growth" else "x", color=GREY, alpha=0.25)
            path = folder / f"{prefix}{chart}.svg"
            figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
            written.append(path)
    return written


def _names(points: Sequence[Point]) -> list[str]:
    return list(dict.fromkeys(str(point.x) for point in points))


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"  # noqa: PLR2004 - two or more digits


def _colour(name: str) -> str:
    if name.startswith("ailf"):
        return OURS
    return PLAIN if name.startswith("sqlite3") else OTHERS


def _bars(axes: Axes, points: Sequence[Point]) -> None:
    """A bar for each name, the first figure of it; further ones as a mark on it (a percentile, say)."""
    values: dict[str, list[float]] = {name: [] for name in _names(points)}
    for point in points:
        values[str(point.x)].append(point.y)
    names = sorted(values, key=lambda name: values[name][0], reverse=True)
    axes.barh(names, [values[name][0] for name in names], color=[_colour(name) for name in names], height=0.6)
    for place, name in enumerate(names):
        further = values[name][1:]
        axes.plot(further, [place] * len(further), marker="|", markersize=12, color=GREY, linestyle="none")
        axes.annotate(
            ", 99 %: ".join(_digits(value) for value in values[name]),
            (max(values[name]), place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            color=GREY,
        )
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter("{x:,g}")


def _growth(axes: Axes, points: Sequence[Point]) -> None:
    """A line for each read; the reference's are dashed in the same colour."""
    series = list(dict.fromkeys(point.series for point in points))
    reads = [name for name in series if not name.endswith("plain sqlite3")]
    for name in series:
        of = max((read for read in reads if name.startswith(read)), key=len)
        chosen = [point for point in points if point.series == name]
        axes.plot(
            [float(point.x) for point in chosen],
            [point.y for point in chosen],
            color=LINES[reads.index(of) % len(LINES)],
            linestyle="solid" if name == of else "dashed",
            marker="o",
            label=name,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_ylabel("milliseconds")
    axes.legend(frameon=False, labelcolor=GREY, loc="center left", bbox_to_anchor=(1, 0.5))
