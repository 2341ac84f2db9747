"""What a call over gRPC takes beyond the bare run of its graph: both in turn, so that other load hits both."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import numpy as np

from benchmarks.served_models import half_request
from benchmarks.serving_load import METHOD
from serving.predictor import Predictor

_CALLS, _WARM = 1500, 200


def measure_overhead(address: str, folder: Path) -> tuple[float, float]:
    """Measures half_plus_two.

    Args:
      address: HOST:PORT of the server that serves it.
      folder: of the same SavedModel.

    Returns:
      By how much p50 and p99 of a call are above those of the bare run, ms.
    """
    predictor = Predictor(folder)
    signature, inputs = predictor.signature(""), {"x": np.array([1.0, 2.0, 5.0], np.float32)}
    request = half_request()
    bare, called = [], []
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(METHOD)
        for number in range(_WARM + _CALLS):
            began = time.perf_counter()
            predictor.predict(signature, inputs)
            between = time.perf_counter()
            ask(request, timeout=10.0)
            ended = time.perf_counter()
            if number >= _WARM:
                bare.append(between - began)
                called.append(ended - between)
    predictor.close()
    return tuple(np.subtract(*(np.percentile(each, [50, 99]) for each in (called, bare))) * 1000)
