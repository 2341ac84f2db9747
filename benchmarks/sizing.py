"""What a catalogue costs its server: items x width to memory, latency and throughput.

    python -m benchmarks.sizing [--docs]

Each size is saved, served by `aisle serve` in a process of its own and asked over gRPC, by one client and by eight,
without a ranking stage. With --docs the table goes into docs/operations.md. Run it on a machine that does nothing else:
twelve minutes, up to 4 GiB of memory.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from benchmarks.served_models import catalogue_requests, save_catalogue
from benchmarks.served_processes import ROOT, aisle
from benchmarks.serving_load import measure, write_requests

ITEMS = (10_000, 100_000, 1_000_000)
DIMENSIONS = (64, 128, 256)
_SECONDS = 10.0
_CLIENTS = 8
_PAGE = ROOT / "docs/operations.md"
_BEGIN, _END = "<!-- sizes: python -m benchmarks.sizing --docs -->", "<!-- end of sizes -->"
_HEAD = (
    "| items | width | on disk | memory | until it answers | p50, 1 client | p99, 1 client | calls/s, 8 clients |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def row(folder: Path, items: int, dimension: int) -> str:
    """Measures one size.

    Args:
      folder: where the model is saved.
      items: how many.
      dimension: the width of their vectors.

    Returns:
      A row of the table.
    """
    base = folder / f"{items}x{dimension}"
    save_catalogue(base / "1", items, dimension)
    on_disk = sum(file.stat().st_size for file in base.rglob("*") if file.is_file()) / 2**20
    calls = write_requests(folder / "calls", catalogue_requests("bench", items))
    began_s = time.monotonic()
    with aisle(base) as served:
        ready_s = time.monotonic() - began_s
        one = measure(served.grpc, calls, clients=1, seconds=_SECONDS)
        many = measure(served.grpc, calls, clients=_CLIENTS, seconds=_SECONDS)
        memory = served.resident_mib()
    failed = one.failed + many.failed
    assert not failed, f"{failed} calls of {items} x {dimension} failed"
    return (
        f"| {items:,} | {dimension} | {on_disk:,.0f} MiB | {memory:,.0f} MiB | {ready_s:.0f} s "
        f"| {one.p50_ms:.1f} ms | {one.p99_ms:.1f} ms | {many.calls_per_s:,.0f} |"
    )


def write_page(table: str) -> None:
    """Replaces the table in docs/operations.md."""
    page = _PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    _PAGE.write_text(f"{before}{_BEGIN}\n{table}{_END}{after}", encoding="utf-8")


def main() -> None:
    """Measures every size and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", action="store_true", help="write the table into docs/operations.md")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for items in ITEMS:
            for dimension in DIMENSIONS:
                rows.append(row(Path(folder), items, dimension))
                print(rows[-1], flush=True)
    table = _HEAD + "\n".join(rows) + f"\n\nMeasured with {os.cpu_count()} processors; load before: {load:.1f}.\n"
    if arguments.docs:
        write_page(table)


if __name__ == "__main__":
    main()
