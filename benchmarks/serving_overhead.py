"""What a call over gRPC takes beyond the bare run of its graph.

From a client in Python, which takes a good part of that itself, after each bare run; and from h2load, which takes
little, after all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np

from benchmarks.served_models import HALF_INPUTS, half_request
from benchmarks.serving_load import METHOD, Load
from serving.predictor import Predictor

_CALLS, _WARM = 1500, 200


def overhead_from_python(address: str, folder: Path) -> tuple[float, float]:
    """Measures half_plus_two, asked by gRPC's client for Python after each bare run.

    Args:
      address: HOST:PORT of the server that serves it.
      folder: of the same SavedModel.

    Returns:
      By how much p50 and p99 of a call are above those of the bare run, ms.
    """
    predictor = Predictor(folder)
    run, request = _bare(predictor), half_request()
    bare, called = [], []
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(METHOD)
        for number in range(_WARM + _CALLS):
            began = time.perf_counter()
            run()
            between = time.perf_counter()
            ask(request, timeout=10.0)
            ended = time.perf_counter()
            if number >= _WARM:
                bare.append(between - began)
                called.append(ended - between)
    predictor.close()
    return tuple(np.subtract(*(np.percentile(each, [50, 99]) for each in (called, bare))) * 1000)


def overhead_from_h2load(load: Callable[[], Load], folder: Path) -> tuple[float, float]:
    """Measures half_plus_two, asked by h2load after so many bare runs.

    Args:
      load: has one client ask the server of the same SavedModel again and again.
      folder: of the SavedModel.

    Returns:
      By how much p50 and p99 of a call are above those of the bare run, ms.
    """
    predictor = Predictor(folder)
    run, bare = _bare(predictor), []
    for number in range(_WARM + _CALLS):
        began = time.perf_counter()
        run()
        if number >= _WARM:
            bare.append(time.perf_counter() - began)
    predictor.close()
    seen = load()
    p50, p99 = np.percentile(bare, [50, 99]) * 1000
    return seen.p50_ms - p50, seen.p99_ms - p99


def _bare(predictor: Predictor) -> Callable[[], object]:
    signature = predictor.signature("")
    return lambda: predictor.predict(signature, HALF_INPUTS)
