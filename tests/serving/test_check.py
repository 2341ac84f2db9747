"""The infrastructure check lets good models through and says what is wrong with others."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny_models import request, save_half_plus, save_shop, write_warmup

from serving.check import CheckError, check_model


def test_a_good_model_passes(tmp_path: Path) -> None:
    save_shop(tmp_path / "model")
    check_model(str(tmp_path / "model"), "shop")


def test_a_model_without_warm_up_requests_fails(tmp_path: Path) -> None:
    save_half_plus(tmp_path / "model")
    with pytest.raises(CheckError, match="brings no warm-up requests"):
        check_model(str(tmp_path / "model"), "m")


def test_a_failing_request_is_named(tmp_path: Path) -> None:
    save_half_plus(tmp_path / "model")
    write_warmup(tmp_path / "model", [request("m", "refuse", x=np.ones(1, np.float32))])
    with pytest.raises(CheckError, match=r"is not served: .*a warm-up request failed: INVALID_ARGUMENT"):
        check_model(str(tmp_path / "model"), "m")


def test_an_op_of_python_is_named(tmp_path: Path) -> None:
    module = tf.Module()
    module.call = tf.function(
        lambda x: {"y": tf.numpy_function(lambda array: array, [x], tf.float32)},
        input_signature=[tf.TensorSpec([None], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.call})
    with pytest.raises(CheckError, match=r"TensorFlow Serving has no op .*PyFunc"):
        check_model(str(tmp_path / "model"), "m")


def test_broken_warm_up_requests_are_said_so(tmp_path: Path) -> None:
    save_half_plus(tmp_path / "model")
    (tmp_path / "model/assets.extra").mkdir()
    (tmp_path / "model/assets.extra/tf_serving_warmup_requests").write_bytes(b"no record at all" * 9)
    with pytest.raises(CheckError, match="is no TFRecord file of PredictionLogs"):
        check_model(str(tmp_path / "model"), "m")
