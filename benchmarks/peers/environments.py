"""An environment for each library, made when it is first asked for and kept in a cache folder."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from benchmarks.peers.catalogue import OURS, Peer

HOME = Path(__file__).parent

INSTALL_SECONDS = 600


class UnavailableError(Exception):
    """A library that cannot be installed here; its text is the reason."""


def default_cache() -> Path:
    """Where the environments are: below the user's cache folder (XDG base directory specification)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ailf-benchmarks"


def requirements(peer: Peer) -> Path:
    """What is installed for it, pinned."""
    return HOME / f"{peer.library}.txt"


def script(peer: Peer) -> Path:
    """What runs it."""
    return HOME / f"run_{peer.library.replace('-', '_')}.py"


def python_for(peer: Peer, cache: Path) -> Path:
    """The Python of its environment, made if need be; ours is the one that runs this.

    Args:
        peer: the library.
        cache: where the environments are.

    Raises:
        UnavailableError: there is no Python for it, or it does not install.
    """
    if peer.library == OURS:
        return Path(sys.executable)
    pinned = requirements(peer).read_bytes()
    home = cache / f"{peer.library}-{sha256(pinned).hexdigest()[:12]}"
    python = home / "bin" / "python"
    ready = home / "is-complete"
    if ready.exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    _run([str(_interpreter(peer.least_python)), "-m", "venv", str(home)])
    _run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", str(requirements(peer))])
    ready.touch()
    return python


def _run(command: list[str]) -> None:
    try:
        # The commands are this module's own.
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise UnavailableError(lines[-1] if lines else f"{command[0]} ended with {done.returncode}")


def _interpreter(least: tuple[int, int]) -> Path:
    """A Python that is new enough: the one that runs this, else the oldest of the newer ones that works."""
    if sys.version_info >= least:
        return Path(sys.executable)
    for minor in range(least[1], least[1] + 4):
        for candidate in _candidates(f"python{least[0]}.{minor}"):
            # A name on the path may be a shim for a Python that is not there.
            if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:  # noqa: S603
                return candidate
    raise UnavailableError(f"it needs Python {least[0]}.{least[1]} or newer, and none is here")


def _candidates(name: str) -> Iterator[Path]:
    if found := shutil.which(name):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/*/bin/{name}"))
