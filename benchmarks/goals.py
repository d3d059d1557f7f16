"""The goals by name, in the order in which they are measured, and how all of them are."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import footprint, history, logs, loop, still, throughput
from benchmarks.values import Measured, Setting, Sizes

GOALS: Mapping[str, Callable[[Setting], Measured]] = {
    "burst": throughput.burst,
    "sequence": throughput.sequence,
    "latency": throughput.latency,
    "progress": throughput.progress,
    "logs": logs.logs,
    "growth": history.history,
    "loop": loop.loop,
    "still": still.still,
    "memory": footprint.memory,
    "start": footprint.start,
    "uvloop": throughput.uvloop,
}


@contextmanager
def setting(sizes: Sizes, folder: Path | None = None) -> Iterator[Setting]:
    """A setting in a temporary folder, which goes with all its journals.

    Args:
        sizes: how much work to do.
        folder: where to make it; None is the system's place for temporary files.
    """
    with TemporaryDirectory(prefix="ailf-benchmarks-", dir=folder) as home:
        yield Setting(sizes, Path(home).absolute())


def measure(names: Iterable[str], chosen: Setting) -> Iterator[tuple[str, Measured | Exception]]:
    """Measure the goals of these names, one after the other; one that fails is given as its error."""
    # Imported journals and long runs are no news while measuring.
    logging.getLogger("ailf").setLevel(logging.ERROR)
    for name in names:
        try:
            measured = GOALS[name](chosen)
        except Exception as error:
            logging.getLogger(__name__).exception("%s was not measured", name)
            yield name, error
        else:
            yield name, measured
