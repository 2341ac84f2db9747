"""The limits of whole commands: how long they take and how much memory their largest process holds.

    python -m benchmarks.limits

Runs the demonstration in runs/, as `make demo` does, twice, and Online Retail in a temporary
folder, where its table is to be had. Prints each beside its limit; nothing fails.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pipeline.config import load_config

ROOT = Path(__file__).resolve().parents[1]
ONLINE_RETAIL = ROOT / "examples" / "online_retail.yaml"


@dataclass(frozen=True)
class Limit:
    """One command and what it may take.

    Args:
      name: for people.
      command: its words.
      minutes: at most.
    """

    name: str
    command: tuple[str, ...]
    minutes: float


def main() -> None:
    """Runs the commands and prints the table."""
    table = Table("command", "minutes", "limit", "largest process, GiB", "status")
    with tempfile.TemporaryDirectory() as folder:
        for limit in _limits(folder):
            started = time.monotonic()
            done = subprocess.run(limit.command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)
            minutes = (time.monotonic() - started) / 60
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            table.add_row(limit.name, f"{minutes:.1f}", f"{limit.minutes:g}", f"{peak:.1f}", str(done.returncode))
    Console().print(table)


def _limits(folder: str) -> list[Limit]:
    demo = (sys.executable, "-m", "examples.demo")
    limits = [Limit("the demonstration", demo, 8), Limit("the demonstration again", demo, 3)]
    if Path(str(load_config(ONLINE_RETAIL).tables.events.path)).is_file():
        run = (sys.executable, "-m", "pipeline.cli", "run", str(ONLINE_RETAIL), "--output", f"{folder}/run")
        return [*limits, Limit("Online Retail to a pushed model", run, 8)]
    sys.stderr.write("Online Retail is left out: its table is not there (set AISLE_DATA)\n")
    return limits


if __name__ == "__main__":
    main()
