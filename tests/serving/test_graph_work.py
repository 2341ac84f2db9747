"""Which graphs may answer in the event loop: those of which no value makes more work."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tiny_models import save_half_plus

from benchmarks.served_models import save_half
from serving.graph_work import follows_size, may_loop, op_names


def _ops(folder: Path) -> frozenset[str]:
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return op_names(saved.meta_graphs[0].graph_def)


def test_half_plus_two_follows_the_size_of_its_inputs(tmp_path: Path) -> None:
    save_half(tmp_path / "1")
    assert follows_size(_ops(tmp_path / "1"))
    assert not may_loop(_ops(tmp_path / "1"))


def test_a_loop_within_a_function_is_seen(tmp_path: Path) -> None:
    save_half_plus(tmp_path / "1")
    assert may_loop(_ops(tmp_path / "1"))


def test_a_graph_that_makes_as_much_as_a_value_says_may_surprise(tmp_path: Path) -> None:
    module = tf.Module()
    module.count = tf.function(lambda n: {"y": tf.range(n[0])}, input_signature=[tf.TensorSpec([1], tf.int32)])
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.count.get_concrete_function())
    assert not follows_size(_ops(tmp_path / "1"))
    assert not may_loop(_ops(tmp_path / "1"))
