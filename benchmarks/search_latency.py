"""How long one client waits for an answer of `search` over gRPC."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from benchmarks import serving_load
from benchmarks.served_processes import aisle
from pipeline.config import SearchConfig
from trainer.index import ExactIndex
from trainer.lexical.fusion import Fusion, FusionWeights
from trainer.lexical.search import WordSearch
from trainer.lexical.texts import ItemTexts

_SEED = 7
_WORDS = 16  # queries up to so many count


def print_times(model: str, queries: list[str], seconds: float) -> None:
    """Serves a model in a process of its own and asks it.

    Args:
      model: folder of the SavedModel.
      queries: what is asked, in turn.
      seconds: how long.
    """
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder, "aisle")
        base.mkdir()
        (base / "1").symlink_to(Path(model).resolve(), target_is_directory=True)
        requests = serving_load.write_requests(Path(folder, "requests"), list(_requests(queries)))
        with aisle(base) as served:
            found = serving_load.measure(served.grpc, requests, clients=1, seconds=seconds)
    print("\n| one client, gRPC | p50 | p99 | searches a second |\n|---|---|---|---|")
    print(f"| search, k 20 | {found.p50_ms:.1f} ms | {found.p99_ms:.1f} ms | {found.calls_per_s:.0f} |")


def _requests(queries: list[str]) -> Iterator[bytes]:
    for query in queries:
        if len(query.split()) <= _WORDS:
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = "aisle", "search"
            request.inputs["query"].CopyFrom(tf.make_tensor_proto([query]))
            yield request.SerializeToString()


def print_scale(titles: list[str], queries: list[str], items: int = 100_000, width: int = 384) -> None:
    """Times the part of an answer that grows with the catalogue: words, meaning and their fusion, without the encoder.

    Args:
      titles: of real items; those of the made catalogue are halves of two of them.
      queries: what is asked, in turn, each for a vector by chance.
      items: in the made catalogue.
      width: of the vectors.
    """
    generator = np.random.default_rng(_SEED)
    split = [title.split() for title in titles]
    pairs = generator.integers(len(titles), size=(items, 2))
    made = [" ".join(split[a][: len(split[a]) // 2] + split[b][len(split[b]) // 2 :]) for a, b in pairs]
    ids = np.array([f"i{row:07}" for row in range(items)], object)
    config = SearchConfig(texts=(("title",),))
    search = WordSearch(config, ItemTexts(ids, {"title": np.array(made, object)}, config.texts))
    fusion, index = Fusion(config, FusionWeights.fixed(config, search.size)), ExactIndex(_unit(generator, items, width))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None, width], tf.float32)])
    def answer(typed: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
        found = search.find(search.read(typed), typed)
        relevance = fusion.relevance(found, vectors, index)
        return tf.math.top_k(fusion.scores(relevance, found, vectors, index), 20).indices

    times = []
    for query in [queries[0], *queries]:
        asked = tf.constant([query]), tf.constant(_unit(generator, 1, width))
        started = time.perf_counter()
        answer(*asked).numpy()
        times.append(1_000 * (time.perf_counter() - started))
    p50, p99 = np.percentile(times[1:], [50, 99])
    print(f"| {items:,} items in this process, without the encoder | {p50:.1f} ms | {p99:.1f} ms | |")


def _unit(generator: np.random.Generator, rows: int, width: int) -> npt.NDArray[np.float32]:
    vectors = generator.standard_normal((rows, width), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
