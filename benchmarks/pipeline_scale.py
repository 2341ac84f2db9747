"""How import, statistics and Transform grow with the number of events: rows a second and peak memory of each step.

    python -m benchmarks.pipeline_scale [--events 50000 500000 5000000] [--output FILE]

Each size is simulated, then goes through the pipeline as `aisle run` runs it, up to Transform. Users grow with the
events, the catalogue stays. A step's process holds the imported libraries before it does anything; the memory that
is its own is what it holds beyond them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
SIZES = (50_000, 500_000, 5_000_000)
LAST_STEP = "ItemTransform"
EVENTS_A_USER = 50
ITEMS = 500
MEMORY_LIMIT = 1.5
_PIPED_WIDTH = 120


@dataclass(frozen=True)
class Measured:
    """One step at one size.

    Args:
      step: its name.
      events: simulated events.
      rows: what the step works on: events, or the examples made of them.
      seconds: how long it took.
      peak_mib: the most memory that its process held, MiB.
      own_mib: what of that is not the imported libraries.
    """

    step: str
    events: int
    rows: int
    seconds: float
    peak_mib: int
    own_mib: int


def measure(events: int, folder: Path) -> list[Measured]:
    """Simulates a shop and runs its pipeline up to Transform.

    Args:
      events: how many.
      folder: where everything goes.

    Returns:
      A measurement of each step.
    """
    words = ("simulate", "--users", str(events // EVENTS_A_USER), "--items", str(ITEMS), "--events", str(events))
    command = [sys.executable, "-m", "pipeline.cli", *words, "--seed", "7", "--output", str(folder / "shop")]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    os.environ["AISLE_SIMULATED"] = str(folder / "shop")
    from pipeline import local_runner
    from pipeline.config import load_config
    from pipeline.progress import StepLines
    from pipeline.run_folder import RunFolder
    from pipeline.run_log import captured
    from pipeline.step_process import run_apart

    config = load_config(ROOT / "examples" / "simulated.yaml")
    run_folder = RunFolder(folder / "run")
    with run_folder.locked(), captured(run_folder.log, sys.stdout) as stream:
        imported_mib = run_apart(lambda: 0).peak_mib
        run = local_runner.run(config, run_folder, StepLines(Console(file=stream)), last_step=LAST_STEP)
    report = json.loads((run.uri("EventExampleGen", "cases") / "report.json").read_text(encoding="utf-8"))
    examples = report["train"] + report["validation"]
    rows = {"TableGen": events, "EventExampleGen": events, "EventStatisticsGen": examples, "EventTransform": examples}
    return [
        Measured(step.name, events, rows[step.name], step.seconds, step.peak_mib, step.peak_mib - imported_mib)
        for step in run.steps
        if step.name in rows
    ]


def show(measured: list[Measured], console: Console) -> None:
    """Prints a table of the measurements, and how time and memory have grown from the smallest size on."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("step", no_wrap=True)
    for name in ("events", "rows", "seconds", "rows/s", "peak MiB", "own MiB", "peak growth"):
        table.add_column(name, justify="right", no_wrap=True)
    for step in dict.fromkeys(one.step for one in measured):
        sizes = [one for one in measured if one.step == step]
        for one in sizes:
            work = (f"{one.events:,}", f"{one.rows:,}", f"{one.seconds:.1f}", f"{one.rows / one.seconds:,.0f}")
            growth = f"{one.peak_mib / sizes[0].peak_mib:.2f}x"
            table.add_row(step, *work, f"{one.peak_mib:,}", f"{one.own_mib:,}", growth)
    console.print(table)
    console.print(f"The limit of the peak's growth is {MEMORY_LIMIT}x over a hundredfold of events.", highlight=False)


def main() -> None:
    """Measures every size and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=SIZES, help="numbers of events")
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    measured: list[Measured] = []
    for events in arguments.events:
        console.print(f"{events:,} events", highlight=False)
        with tempfile.TemporaryDirectory(prefix="aisle-scale-") as folder:
            measured += measure(events, Path(folder))
    show(measured, console)
    if arguments.output is not None:
        arguments.output.write_text(json.dumps([asdict(one) for one in measured], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
