"""Programs of containers as processes on this machine, ended with the test."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

AISLE = (sys.executable, "-m", "pipeline.cli")
# What a container's program is here. The stock server's flags are those of ours.
PROGRAMS = {"aisle": AISLE, "python": (sys.executable,), "/usr/bin/tensorflow_model_server": (*AISLE, "serve")}
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """A process and the file of what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        """Returns the end of what it said."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def check(self) -> None:
        """Fails if it has ended."""
        assert self.process.poll() is None, f"it has ended with {self.process.returncode}: {self.said()}"


@contextmanager
def start(words: Sequence[str], log: Path) -> Iterator[Server]:
    """Starts a container's command, bound to this machine by its words."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*PROGRAMS[words[0]], *words[1:]],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )
    try:
        yield Server(process, log)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Finds a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found
