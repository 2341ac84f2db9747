"""What ops and variables tell of a graph: whether it may answer in the event loop, and on how many threads."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tiny_models import save_half_plus

from benchmarks.served_models import save_catalogue, save_half
from serving import predictor
from serving.graph_work import follows_size, has_long_products, may_loop, op_names


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


def test_only_a_large_index_is_worth_several_threads_an_op(tmp_path: Path) -> None:
    save_catalogue(tmp_path / "small", 1_000)
    save_catalogue(tmp_path / "large", 2**16)  # of width 64
    save_half_plus(tmp_path / "plain")
    assert has_long_products(tmp_path / "large")
    assert not has_long_products(tmp_path / "small")
    assert not has_long_products(tmp_path / "plain")


def test_ops_of_small_products_keep_to_one_thread() -> None:
    small, large = (predictor.session_config(4, shares_ops=shares) for shares in (False, True))
    assert (small.intra_op_parallelism_threads, small.inter_op_parallelism_threads) == (1, 4)
    assert (large.intra_op_parallelism_threads, large.inter_op_parallelism_threads) == (4, 4)


def test_ops_of_models_of_unknown_make_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, configured = [], predictor.session_config

    def noted(threads: int, *, shares_ops: bool) -> Any:
        found.append(shares_ops)
        return configured(threads, shares_ops=shares_ops)

    monkeypatch.setattr(predictor, "session_config", noted)
    save_catalogue(tmp_path / "small", 1_000)
    save_half(tmp_path / "plain")
    for name in ("small", "plain"):
        predictor.Predictor(tmp_path / name).close()
    assert found == [False, True]
