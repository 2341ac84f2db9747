"""Signatures that compute the same are run by the same tensors; any others are not."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.client.pywrap_tf_session import TF_OperationName

from serving.errors import ServingError
from serving.predictor import Predictor

_PAIR = [tf.TensorSpec([None], tf.float32, name="x"), tf.TensorSpec([None], tf.float32, name="z")]
VALUES = {"x": np.array([5.0], np.float32), "z": np.array([3.0], np.float32)}


class Calculator(tf.Module):
    """Two functions that differ by what they compute, by the order of their inputs, or by the names of outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable(1.0)

    @tf.function(input_signature=_PAIR)
    def less(self, x: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": self.scale * (x - z)}

    @tf.function(input_signature=_PAIR)
    def swapped(self, x: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": self.less(z, x)["y"]}

    @tf.function(input_signature=_PAIR)
    def renamed(self, x: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"other": self.less(x, z)["y"]}

    @tf.function(input_signature=_PAIR)
    def plus(self, x: tf.Tensor, z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": self.scale * (x + z)}


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    module = Calculator()
    signatures = {name: getattr(module, name) for name in ("less", "swapped", "renamed", "plus")}
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={**signatures, "serving_default": module.less})
    return Predictor(tmp_path / "1")


def tensors_of(predictor: Predictor, name: str) -> set[str]:
    signature = predictor.signatures[name]
    return {TF_OperationName(each.oper) for each in (*signature.inputs.values(), *signature.outputs.values())}


def test_another_name_of_a_signature_is_run_by_the_same_tensors(predictor: Predictor) -> None:
    assert tensors_of(predictor, "serving_default") == tensors_of(predictor, "less")
    for name in ("swapped", "renamed", "plus"):
        assert not tensors_of(predictor, name) & tensors_of(predictor, "less"), name
    answers = {
        name: predictor.predict(predictor.signature(name), VALUES)
        for name in ("serving_default", "less", "swapped", "renamed", "plus")
    }
    assert {name: {alias: values.tolist() for alias, values in answer.items()} for name, answer in answers.items()} == {
        "serving_default": {"y": [2.0]},
        "less": {"y": [2.0]},
        "swapped": {"y": [-2.0]},
        "renamed": {"other": [2.0]},
        "plus": {"y": [8.0]},
    }


def test_a_twin_speaks_of_itself(predictor: Predictor) -> None:
    with pytest.raises(ServingError, match="less_z"):
        predictor.predict(predictor.signature("less"), {"x": VALUES["x"], "w": VALUES["z"]})
    with pytest.raises(ServingError, match="serving_default_z"):
        predictor.predict(predictor.signature(""), {"x": VALUES["x"], "w": VALUES["z"]})
