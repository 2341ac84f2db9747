"""The demonstration: a simulated shop from its tables to answers over gRPC.

    python -m examples.demo

Each step is a command that a person could type; the demonstration prints it before it runs it.
"""

from __future__ import annotations

import contextlib
import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "runs"
DATA = RUNS / "simulated-data"
OUTPUT = RUNS / "simulated"
AISLE = (sys.executable, "-m", "pipeline.cli")
READY_TIMEOUT_S = 120.0


def aisle(*words: str) -> None:
    """Prints and runs one command; a failure ends the demonstration with its exit status."""
    _print_command(words)
    done = subprocess.run([*AISLE, *words], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(done.returncode)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serves `folder` on free ports while the block runs.

    Yields:
      The gRPC address, HOST:PORT.
    """
    words = ("serve", str(folder.relative_to(ROOT)), "--grpc-port", "0", "--rest-port", "0", "--json")
    _print_command(words)
    server = subprocess.Popen([*AISLE, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        yield _address(server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=READY_TIMEOUT_S)


def main() -> None:
    """Simulates, runs, serves and asks."""
    started = time.monotonic()
    if not DATA.is_dir():
        aisle(
            "simulate",
            "--users",
            "1000",
            "--items",
            "500",
            "--events",
            "50000",
            "--seed",
            "7",
            "--output",
            str(DATA.relative_to(ROOT)),
        )
    aisle("run", "examples/simulated.yaml")
    users = _busy_users(DATA / "events.csv", 3)
    with serving(OUTPUT / "serving" / "aisle") as address:
        histories = str((OUTPUT / "histories.parquet").relative_to(ROOT))
        aisle("recommend", "--server", address, "--histories", histories, "--users", *users, "somebody-new", "--k", "5")
        aisle("search", "--server", address, "--queries", "wooden spoon", "blue running shoes", "--k", "5")
    seconds = time.monotonic() - started
    sys.stdout.write(f"\ndemonstration done in {seconds:.0f} s; `aisle status runs/simulated` tells more\n")


def _print_command(words: tuple[str, ...]) -> None:
    sys.stdout.write(f"\n$ aisle {' '.join(word if ' ' not in word else repr(word) for word in words)}\n")
    sys.stdout.flush()


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    for line in server.stdout:
        with contextlib.suppress(json.JSONDecodeError):
            return str(json.loads(line)["grpc"])
    sys.exit("the server ended before it was ready")


def _busy_users(events: Path, count: int) -> list[str]:
    seen: dict[str, int] = {}
    with events.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["user_id"] and row["event_type"] == "purchase":
                seen[row["user_id"]] = seen.get(row["user_id"], 0) + 1
    return sorted(seen, key=lambda user: (-seen[user], user))[:count]


if __name__ == "__main__":
    main()
