"""How fast and how steady a served model is, beside the graph itself and beside what people write instead.

    python -m benchmarks.serving [--run DIR] [--only overhead half ranked catalogues rivals swaps] [--rounds 5]

Clients run on the same machine, in a process of their own. Each number is the median of the rounds. `--run` is the
folder of a run of Online Retail, whose pushed model has a ranking stage; without one, what needs it is left out, and
said so. Prints each beside its limit; nothing fails.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

# TensorFlow is loaded by the measures below, and says too much.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks import served_models, serving_rivals, serving_swaps
from benchmarks.served_processes import Served, aisle
from benchmarks.serving_load import Load, measure, write_requests
from benchmarks.serving_overhead import overhead_from_h2load, overhead_from_python
from benchmarks.serving_table import Measured

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_RUN = ROOT / "runs/online_retail"
CATALOGUES = ((100_000, 100.0), (1_000_000, 0.0))
_PIPED_WIDTH = 120


@dataclass(frozen=True)
class Bench:
    """What is measured, and how long.

    Args:
      folder: for models and requests.
      run: the folder of a run, or None.
      rounds: of each measurement.
      seconds: of each round.
    """

    folder: Path
    run: Path | None
    rounds: int
    seconds: float

    def loads(self, server: Served, requests: Path, *, clients: int, rate: float = 0.0) -> tuple[Load, float]:
        """Measures some rounds of a load; the median of each number, and the server's processor time a call, ms."""
        rounds, costs = [], []
        for _ in range(self.rounds):
            began_s = server.processor_s()
            rounds.append(measure(server.grpc, requests, clients=clients, seconds=self.seconds, rate=rate))
            costs.append((server.processor_s() - began_s) / max(1, rounds[-1].answered) * 1000)
        return median(rounds), statistics.median(costs)

    def half(self) -> Path:
        """Returns the base path of half_plus_two."""
        base = self.folder / served_models.HALF
        if not base.exists():
            served_models.save_half(base / "1")
        return base

    def half_calls(self) -> Path:
        """Returns the file of the one call that half_plus_two is asked."""
        return write_requests(self.folder / "half.calls", [served_models.half_request()])


def median(rounds: Sequence[Load]) -> Load:
    """Takes the median of each number; failures add up."""
    return Load(
        statistics.median(each.calls_per_s for each in rounds),
        statistics.median(each.p50_ms for each in rounds),
        statistics.median(each.p99_ms for each in rounds),
        sum(each.answered for each in rounds),
        sum(each.failed for each in rounds),
    )


def overhead(bench: Bench) -> list[Measured]:
    """Measures what a call costs beyond the run of its graph."""
    model, requests = bench.half() / "1", bench.half_calls()
    with aisle(bench.half(), "--model-name", served_models.HALF) as server:
        clients: dict[str, Callable[[], tuple[float, float]]] = {
            "h2load": lambda: overhead_from_h2load(
                lambda: measure(server.grpc, requests, clients=1, seconds=bench.seconds), model
            ),
            "Python": lambda: overhead_from_python(server.grpc, model),
        }
        rounds = {name: [ask() for _ in range(bench.rounds)] for name, ask in clients.items()}
    return [
        Measured(f"a call from {name} beyond its graph, {what}", statistics.median(column), "ms", most=most)
        for name, found in rounds.items()
        for what, most, column in zip(("p50", "p99"), (0.6, 2.0), zip(*found, strict=True), strict=True)
    ]


def half(bench: Bench) -> list[Measured]:
    """Measures how many calls of the smallest model are answered."""
    requests = bench.half_calls()
    found = []
    for clients, workers, least in ((1, 1, 1500.0), (8, 2, 3000.0)):
        with aisle(bench.half(), "--model-name", served_models.HALF, "--workers", str(workers)) as server:
            load, cost = bench.loads(server, requests, clients=clients)
        name = f"half_plus_two, {clients} clients, {workers} workers"
        found += [
            Measured(name, load.calls_per_s, "/s", least),
            Measured(f"{name}: server's processor time a call", cost, "ms"),
        ]
    return found


def ranked(bench: Bench) -> list[Measured]:
    """Measures `recommend` of a run's model, with its customers' histories."""
    if bench.run is None:
        return []
    base = serving_rivals.base_path(bench.run)
    calls = served_models.shop_requests(base.name, served_models.shop_inputs(bench.run / "histories.parquet"))
    requests = write_requests(bench.folder / "ranked.calls", calls)
    found = []
    for clients, workers, least in ((1, 1, None), (8, 2, 400.0)):
        with aisle(base, "--workers", str(workers)) as server:
            load, cost = bench.loads(server, requests, clients=clients)
        name = f"recommend with ranking, {clients} clients, {workers} workers"
        found += [
            Measured(name, load.calls_per_s, "/s", least),
            Measured(f"{name}: p99", load.p99_ms, "ms"),
            Measured(f"{name}: server's processor time a call", cost, "ms"),
        ]
    return found


def catalogues(bench: Bench) -> list[Measured]:
    """Measures `recommend` of large catalogues, without a ranking stage."""
    found = []
    for items, rate in CATALOGUES:
        base = bench.folder / f"items-{items}"
        served_models.save_catalogue(base / "1", items)
        calls = served_models.catalogue_requests("bench", items)
        requests = write_requests(bench.folder / f"{items}.calls", calls)
        name = f"recommend, {items:,} items"
        with aisle(base) as server:
            load, cost = bench.loads(server, requests, clients=8 if rate else 1, rate=rate)
            memory = server.resident_mib() / 1024
        if rate:
            found.append(Measured(f"{name} at {rate:g}/s, p99", load.p99_ms, "ms", most=60.0))
        else:
            found.append(Measured(f"{name}, p50", load.p50_ms, "ms", most=150.0))
            found.append(Measured(f"{name}, memory", memory, "GiB", most=2.0))
        found.append(Measured(f"{name}: server's processor time a call", cost, "ms"))
        if load.failed:
            found.append(Measured(f"{name}, failed calls", load.failed, "", most=0.0))
    return found


def rivals(bench: Bench) -> list[Measured]:
    """Measures FastAPI over the loaded signature beside aisle."""
    return serving_rivals.measure_rivals(bench.folder, bench.half(), bench.run, bench.rounds, bench.seconds)


def swaps(bench: Bench) -> list[Measured]:
    """Measures what clients see of new versions."""
    return serving_swaps.measure_swaps(bench.folder / "swaps")


MEASURES: dict[str, Callable[[Bench], list[Measured]]] = {
    measured.__name__: measured for measured in (overhead, half, ranked, catalogues, rivals, swaps)
}


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=DEFAULT_RUN, help="folder of a run with a ranking stage")
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), help="what to measure")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round")
    arguments = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    run = arguments.run if (arguments.run / "histories.parquet").is_file() else None
    if run is None:
        sys.stderr.write(
            f"{arguments.run}: no run there, so nothing with a ranking stage is measured; make one with "
            f"`aisle run examples/online_retail.yaml --output {DEFAULT_RUN}`\n"
        )
    table = Table("what", "measured", "limit", "", box=None, padding=(0, 2, 0, 0))
    with tempfile.TemporaryDirectory(prefix="aisle-serving-") as folder:
        bench = Bench(Path(folder), run, arguments.rounds, arguments.seconds)
        for name in arguments.only:
            began = time.monotonic()
            for measured in MEASURES[name](bench):
                table.add_row(*measured.row())
            sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f}\n")
    console.print(table)


if __name__ == "__main__":
    main()
