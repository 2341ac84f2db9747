"""Servers of a benchmark, each in a process of its own that ends with the benchmark."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
_START_S = 120.0
_STOP_S = 20.0


@dataclass(frozen=True)
class Served:
    """A server that answers.

    Args:
      grpc: HOST:PORT; "" where it does not speak gRPC.
      rest: HOST:PORT.
      pid: of its first process.
    """

    grpc: str
    rest: str
    pid: int

    def resident_mib(self) -> float:
        """Returns the memory that its processes hold, MiB."""
        return sum(each.memory_info().rss for each in self._processes()) / 2**20

    def processor_s(self) -> float:
        """Returns the processor time that its processes have taken, seconds: other load does not change that much."""
        return sum(sum(each.cpu_times()[:2]) for each in self._processes())

    def _processes(self) -> list[psutil.Process]:
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]


@contextlib.contextmanager
def aisle(base_path: Path, *words: str) -> Iterator[Served]:
    """Runs `aisle serve` on free ports.

    Args:
      base_path: of the model.
      words: further flags.
    """
    command = [sys.executable, "-m", "pipeline.cli", "serve", str(base_path), "--grpc-port", "0", "--rest-port", "0"]
    with _process([*command, "--json", *words]) as (process, line):
        told = json.loads(line)
        yield Served(told["grpc"], told["rest"], process.pid)


@contextlib.contextmanager
def fastapi(folder: Path, signature: str) -> Iterator[Served]:
    """Runs the rival.

    Args:
      folder: of the SavedModel.
      signature: the one that it serves.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.serving_rival", str(folder), str(port), signature]
    with _process(command) as (process, _):
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield Served("", f"127.0.0.1:{port}", process.pid)


@contextlib.contextmanager
def _process(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{' '.join(command)}: ended without a word; run it by hand to see why")
            yield process, line
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
