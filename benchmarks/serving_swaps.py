"""What clients see while new versions take over: answers, times, memory."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import numpy as np

from benchmarks.served_models import HALF, half_request, save_half
from benchmarks.served_processes import aisle
from benchmarks.serving_load import METHOD
from benchmarks.serving_table import Measured
from serving import messages
from serving.tensors import decode

SWAPS, CLIENTS = 50, 4
# Versions are told apart by what they add.
_CONSTANTS = (2.0, 3.0)
_INPUTS = np.array([1.0, 2.0, 5.0])
_STEADY_S, _TAKE_OVER_S, _FREED_S = 3.0, 30.0, 0.3


@dataclass
class Seen:
    """What the clients have seen: (when, how long) of each call, seconds, and what went wrong."""

    calls: list[tuple[float, float]] = field(default_factory=list)
    failed: int = 0
    wrong: int = 0
    newest: int = 0


def measure_swaps(folder: Path, swaps: int = SWAPS) -> list[Measured]:
    """Serves half_plus_two and pushes versions.

    Args:
      folder: for the models.
      swaps: how many versions are pushed after the first.
    """
    for place, constant in enumerate(_CONSTANTS):
        save_half(folder / f"model-{place}", constant)
    base = folder / HALF
    _push(folder, base, 1)
    words = ("--model-name", HALF, "--file-system-poll-wait-seconds", "0.2")
    with aisle(base, *words) as server:
        seen, stop = Seen(), threading.Event()
        clients = [threading.Thread(target=_ask, args=(server.grpc, seen, stop)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            time.sleep(_STEADY_S)
            steady, memory, spans = len(seen.calls), [], []
            for version in range(2, 2 + swaps):
                spans.append(_swap(folder, base, version, seen))
                memory.append(server.resident_mib())
        finally:
            stop.set()
            for client in clients:
                client.join()
    return _judged(seen, steady, spans, memory)


def _judged(seen: Seen, steady: int, spans: list[tuple[float, float]], memory: list[float]) -> list[Measured]:
    calm = [seconds for _, seconds in seen.calls[steady // 3 : steady]]
    during = [s for began, s in seen.calls if any(start <= began <= end for start, end in spans)]
    ratio = float(np.percentile(during, 99) / np.percentile(calm, 99))
    return [
        Measured(
            f"failed or wrong answers in {len(spans)} swaps, {len(seen.calls):,} calls",
            seen.failed + seen.wrong,
            most=0,
        ),
        Measured("p99 during a swap / steady", ratio, "x", most=3.0),
        Measured(
            "memory after the last swap / after the 5th", memory[-1] / memory[min(4, len(memory) - 1)], "x", most=1.1
        ),
    ]


def _push(folder: Path, base: Path, version: int) -> None:
    """Copies a model beside the versions and renames it, as the Pusher does."""
    partial = base / f".{version}.partial"
    shutil.copytree(folder / f"model-{version % len(_CONSTANTS)}", partial)
    partial.rename(base / str(version))


def _swap(folder: Path, base: Path, version: int, seen: Seen) -> tuple[float, float]:
    """Pushes a version and takes away the one before it; returns when that began and when it was over."""
    start = time.perf_counter()
    _push(folder, base, version)
    while seen.newest < version:
        if time.perf_counter() > start + _TAKE_OVER_S:
            raise SystemExit(f"version {version} has not taken over in {_TAKE_OVER_S:g} s")
        time.sleep(0.02)
    shutil.rmtree(base / str(version - 1))
    time.sleep(_FREED_S)
    return start, time.perf_counter()


def _ask(address: str, seen: Seen, stop: threading.Event) -> None:
    request = half_request()
    with grpc.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        ask = channel.unary_unary(METHOD)
        while not stop.is_set():
            began = time.perf_counter()
            try:
                answer = messages.PredictResponse.FromString(ask(request, timeout=10.0))
            except grpc.RpcError:
                seen.failed += 1
                continue
            seen.calls.append((began, time.perf_counter() - began))
            version = answer.model_spec.version.value
            expected = _INPUTS / 2 + _CONSTANTS[version % len(_CONSTANTS)]
            seen.wrong += not np.allclose(decode(answer.outputs["y"]), expected)
            seen.newest = max(seen.newest, version)
