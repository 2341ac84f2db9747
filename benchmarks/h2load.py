"""Loads of one and the same short call, made by h2load: a client in Python would take half of the machine.

h2load is nghttp2's load generator (Debian: nghttp2-client). It speaks HTTP/2, over which gRPC goes, and HTTP/1.1.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_GRPC = ("--header", "content-type: application/grpc", "--header", "te: trailers")
_REST = ("--h1", "--header", "content-type: application/json")
_OK = 200


class H2loadError(RuntimeError):
    """h2load is missing, or did not do its work."""


@dataclass(frozen=True)
class Calls:
    """What h2load has seen.

    Args:
      taken_s: how long each call took that was answered after the warm-up, seconds.
      answered: calls with an answer, those of the warm-up among them.
      failed: calls without one.
    """

    taken_s: Sequence[float]
    answered: int
    failed: int


def ask(address: str, path: str, call: bytes, *, clients: int, seconds: float, warm_s: float, over_grpc: bool) -> Calls:
    """Asks again and again; each client has a connection of its own and one call under way.

    Args:
      address: HOST:PORT.
      path: of the method.
      call: the message, or the JSON text.
      clients: how many.
      seconds: how long, after the warm-up.
      warm_s: how long that is.
      over_grpc: whether the call is a message for gRPC; else it goes over HTTP/1.1.

    Raises:
      H2loadError: if h2load is missing or fails; or if gRPC refuses the call, which its HTTP status does not show.
    """
    if shutil.which("h2load") is None:
        raise H2loadError("h2load is missing; run benchmarks/install.sh (on Debian it is in nghttp2-client)")
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "call"), Path(folder, "log")
        body.write_bytes(framed(call) if over_grpc else call)
        command = ["h2load", "--duration", f"{round((seconds + warm_s) * 1000)}ms", "--clients", str(clients)]
        command += ["--threads", "1", "--max-concurrent-streams", "1", "--data", str(body), "--log-file", str(log)]
        command += [*(_GRPC if over_grpc else _REST), f"http://{address}{path}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=seconds + 60)
        if done.returncode:
            raise H2loadError(f"h2load ended with status {done.returncode}: {done.stderr.strip()}")
        found = read_log(log.read_text(), warm_s)
    carried = re.search(r"\((\d+)\) data", done.stdout)
    if over_grpc and found.answered and (carried is None or not int(carried[1])):
        raise H2loadError(f"{address}{path}: gRPC refuses the call")
    return found


def framed(message: bytes) -> bytes:
    """Puts gRPC's head before a message: not compressed, so many bytes."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def read_log(text: str, warm_s: float) -> Calls:
    """Reads h2load's log: a line a call, with its start, its HTTP status and its time, in microseconds.

    Args:
      text: the log.
      warm_s: calls that start so soon after the first are the warm-up.
    """
    lines = np.array([line.split("\t")[:3] for line in text.splitlines()], np.int64).reshape(-1, 3)
    started_us, status, taken_us = lines.T
    good = status == _OK
    timed = good & (started_us >= started_us.min(initial=np.iinfo(np.int64).max) + warm_s * 1e6)
    return Calls((taken_us[timed] / 1e6).tolist(), int(good.sum()), int((~good).sum()))
