"""Aisle beside FastAPI over the loaded signature: the same model, the same calls, the same clients, in turn."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import served_models
from benchmarks.served_processes import Served, aisle, fastapi
from benchmarks.serving_load import measure, write_requests
from benchmarks.serving_table import Measured
from serving.predictor import Predictor
from serving.versions import list_versions

CLIENTS, WORKERS = 8, 2
RIVAL_CLIENTS = (1, 2, 4, CLIENTS)


def base_path(run: Path) -> Path:
    """Finds the base path of the model that a run has pushed."""
    return next(path for path in sorted((run / "serving").iterdir()) if list_versions(path))


def measure_rivals(folder: Path, half: Path, run: Path | None, rounds: int, seconds: float) -> list[Measured]:
    """Measures aisle's throughput beside the rival's.

    Args:
      folder: for requests.
      half: base path of half_plus_two.
      run: a run's folder, or None.
      rounds: of each.
      seconds: of a round.
    """
    shops: list[tuple[str, Path, str, list[Mapping[str, Any]], list[bytes]]] = [
        (served_models.HALF, half, "serving_default", [served_models.HALF_INPUTS], [served_models.half_request()])
    ]
    if run is not None:
        base, inputs = base_path(run), served_models.shop_inputs(run / "histories.parquet")
        asked = served_models.shop_requests(base.name, inputs)
        shops.append(("recommend with ranking", base, "recommend", list(inputs), asked))
    found = []
    for name, base, signature, inputs_of, requests in shops:
        ours = write_requests(folder / "ours.calls", requests)
        version = next(iter(list_versions(base).values()))
        # A loaded signature knows no defaults: whoever calls it brings every input.
        defaults = _defaults(version, signature)
        theirs = write_requests(folder / "theirs.calls", [_json({**defaults, **each}) for each in inputs_of])
        words = ("--model-name", base.name, "--workers", str(WORKERS))
        with aisle(base, *words) as server, fastapi(version, signature) as rival:
            _round(server, rival, ours, theirs, seconds)  # both are slow at first
            loads = [_round(server, rival, ours, theirs, seconds) for _ in range(rounds)]
        mine, most, equal = (statistics.median(each[place] for each in loads) for place in (0, 1, 2))
        found += [
            Measured(f"{name}: aisle, {CLIENTS} clients", mine, "/s"),
            Measured(f"{name}: FastAPI, {CLIENTS} clients", most, "/s"),
            Measured(f"{name}: FastAPI with no worse a p99 than aisle's", equal, "/s"),
            Measured(f"{name}: aisle's throughput / FastAPI's at equal p99", mine / equal, "x", least=5.0),
        ]
    return found


def _defaults(version: Path, signature: str) -> Mapping[str, Any]:
    predictor = Predictor(version)
    defaults = dict(predictor.signature(signature).defaults)
    predictor.close()
    return defaults


def _round(server: Served, rival: Served, ours: Path, theirs: Path, seconds: float) -> tuple[float, float, float]:
    """Measures calls a second: of aisle, of the rival, and of the rival where its p99 is no worse than aisle's.

    The rival gets fewer clients for that; where one alone waits longer, what that one gets counts.
    """
    mine = measure(server.grpc, ours, clients=CLIENTS, seconds=seconds)
    loads = [measure(rival.rest, theirs, clients=each, seconds=seconds, rest_path="/") for each in RIVAL_CLIENTS]
    good = [load.calls_per_s for load in loads if load.p99_ms <= mine.p99_ms] or [loads[0].calls_per_s]
    return mine.calls_per_s, loads[-1].calls_per_s, max(good)


def _json(inputs: Mapping[str, Any]) -> bytes:
    def plain(value: Any) -> Any:
        return value.decode() if isinstance(value, bytes) else value

    lists = {
        name: np.vectorize(plain, otypes=[object])(value).tolist() if value.dtype == object else value.tolist()
        for name, value in inputs.items()
    }
    return json.dumps(lists).encode()
