"""Where a graph runs: in the caller's thread once it is sure to end in time, else where a deadline can end it."""

import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from serving.errors import Code, ServingError
from serving.predictor import Predictor

X = {"x": np.array([1.0, 2.0], np.float32)}


class Double(tf.Module):
    """y = 2x, without a loop in it."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def double(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": 2 * x}


def test_short_runs_stay_in_the_callers_thread(tmp_path: Path) -> None:
    module = Double()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.double})
    predictor = Predictor(tmp_path / "1")
    signature = predictor.signature("")
    times = predictor._times["serving_default"]
    for number in range(40):
        assert times.stays_here(2, 10.0, room=True) == (number >= 20)
        np.testing.assert_array_equal(predictor.predict(signature, X, timeout_s=10.0)["y"], [2.0, 4.0])
    assert not times.stays_here(2, 0.0, room=False), "a deadline that is near needs watching"
    assert not times.stays_here(1_000_000, None, room=False), "of much larger inputs nothing is known"
    many = {"x": np.arange(1000, dtype=np.float32)}
    np.testing.assert_array_equal(predictor.predict(signature, many)["y"], 2 * many["x"])
    predictor.close()


def test_a_loop_is_ended_by_the_deadline_however_short_it_was_before(half_path: Path) -> None:
    predictor = Predictor(half_path / "1")
    signature = predictor.signature("loop")
    for _ in range(30):
        predictor.predict(signature, {"rounds": np.array([1], np.int64)}, timeout_s=10.0)
    started_s = time.monotonic()
    with pytest.raises(ServingError) as caught:
        predictor.predict(signature, {"rounds": np.array([10**9], np.int64)}, timeout_s=0.2)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    assert time.monotonic() - started_s < 10.0
    predictor.close()
