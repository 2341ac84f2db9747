"""How long `aisle index` takes to add products to the pushed model of a run, which it leaves as it is."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import ROOT
from pipeline.config import load_config

_CONFIG, _SEED = ROOT / "examples" / "esci.yaml", 7


def print_growth(folder: Path, count: int = 1_000) -> None:
    """Adds products to a copy of a run's pushed model, and prints how long that took.

    Args:
      folder: of a finished run of examples/esci.yaml.
      count: of products to add.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy, products = Path(scratch, "run"), Path(scratch, "products.jsonl.gz")
        for name in ("serving", "cache"):
            shutil.copytree(folder / name, copy / name)
        shutil.copy(folder / "run.json", copy)
        path = load_config(_CONFIG).tables.items.path
        assert path is not None
        known = _read(Path(path))
        with gzip.open(products, "wt", encoding="utf-8") as lines:
            lines.writelines(json.dumps(each) + "\n" for each in [*known, *_made(known, count)])
        words = ["--output", str(copy), "--set", f"tables.items.path={products}", "--json"]
        command = [sys.executable, "-m", "pipeline.cli", "index", str(_CONFIG), *words]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    report = json.loads(done.stdout)
    print("\n| `aisle index` | added | seconds |\n|---|---|---|")
    print(f"| {len(known):,} products known before | {report['added']:,} | {report['seconds']:.0f} |")


def _read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _made(known: list[dict[str, Any]], count: int) -> Iterator[dict[str, Any]]:
    """Makes products of the first half of one's words and the last half of another's, so that no text is known."""
    generator = np.random.default_rng(_SEED)
    for number, (one, other) in enumerate(generator.integers(len(known), size=(count, 2))):
        first, second = known[one], known[other]
        texts = {name: _halves(first[name], second[name]) for name in ("title", "description", "bullet_points")}
        yield {**first, **texts, "product_id": f"new-{number}"}


def _halves(first: str, second: str) -> str:
    head, tail = first.split(), second.split()
    return " ".join(head[: len(head) // 2] + tail[len(tail) // 2 :])
