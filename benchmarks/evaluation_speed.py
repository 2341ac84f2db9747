"""How fast the evaluation measures, beside TFRS's own metric for the same recall.

    python -m benchmarks.evaluation_speed

Vectors and truths are drawn at random, as many as Online Retail has: 1,333 users, 3,630 items, and about as many
items in a truth as a customer of that shop buys in four weeks. The catalogue is ranked as the served graph ranks it.
TFRS's `FactorizedTopK` knows one true item a query, so it is asked about a user once for each item of the truth;
weighted by the size of the truth, the result is the same recall.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from trainer import metrics, tfrs_adapter
from trainer.metrics import ItemTraits, Lists, Past

USERS, ITEMS, DIMENSION = 1333, 3630, 64
MEAN_TRUTH, MEAN_SEEN, GROUPS = 24, 60, 10
DEPTHS, K = (5, 10, 20, 100), 20
ROUNDS = 3
LIMIT_S, LEAST_RATIO = 5.0, 10.0
_BATCH = 4096  # of TFRS: of the sizes tried the fastest

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shop:
    """What is measured.

    Args:
      queries: float32 [users, dim].
      items: what is known of the items, their vectors among it.
      past: what users had and took.
    """

    queries: npt.NDArray[np.float32]
    items: ItemTraits
    past: Past


def main() -> None:
    """Measures and prints the table."""
    shop = _shop()
    ours, recall = _fastest(lambda: _recall(shop))
    whole, _ = _fastest(lambda: _everything(shop))
    theirs, their_recall = _fastest(_tfrs(shop))
    table = Table("what", "seconds", f"recall@{K}")
    table.add_row(f"recall@{K} from vectors", f"{ours:.3f}", f"{recall:.6f}")
    table.add_row(f"tfrs.metrics.FactorizedTopK, recall@{K}", f"{theirs:.3f}", f"{their_recall:.6f}")
    table.add_row("all ranking and list metrics, intervals", f"{whole:.3f}", "")
    console = Console()
    console.print(table)
    console.print(
        f"{theirs / ours:.1f} x as fast as TFRS (at least {LEAST_RATIO:g}); all in {whole:.2f} s (limit {LIMIT_S:g})"
    )
    if abs(recall - their_recall) > 1e-5:
        raise SystemExit(f"the recalls differ: ours {recall:.6f}, theirs {their_recall:.6f}")


def _shop(seed: int = 7) -> Shop:
    generator = np.random.default_rng(seed)
    vectors, queries = (_unit(generator.normal(size=(count, DIMENSION))) for count in (ITEMS, USERS))
    chances = generator.pareto(1.0, ITEMS)
    chances /= chances.sum()

    def take(mean: int) -> list[Rows]:
        sizes = np.clip(generator.geometric(1 / mean, USERS), 1, 400)
        return [generator.choice(ITEMS, size, replace=False, p=chances) for size in sizes]

    seen = take(MEAN_SEEN)
    counts = np.bincount(np.concatenate(seen), minlength=ITEMS)
    traits = ItemTraits(counts, generator.integers(0, GROUPS, ITEMS), vectors)
    return Shop(queries, traits, Past(seen, [np.ones(len(rows), np.int64) for rows in seen], take(MEAN_TRUTH)))


def _unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _rank(shop: Shop, k: int) -> Rows:
    """Ranks the catalogue by TensorFlow's ops, as an exported model does."""
    scores = tf.matmul(shop.queries, shop.items.vectors, transpose_b=True)
    return tf.math.top_k(scores, k).indices.numpy()


def _recall(shop: Shop) -> float:
    name = f"recall@{K}"
    return float(metrics.measure(_rank(shop, K), shop.past.truth, [name])[name].mean())


def _everything(shop: Shop) -> float:
    """Ranks, and computes what the report holds of one ranker."""
    ranked = _rank(shop, DEPTHS[-1])
    names = [f"{metric}@{depth}" for metric in metrics.METRICS for depth in DEPTHS]
    values = metrics.measure(ranked, shop.past.truth, names)
    metrics.bootstrap_interval(np.stack(list(values.values()), axis=1), seed=7)
    metrics.measure_lists(Lists(ranked, shop.items, shop.past), DEPTHS)
    return float(values[f"recall@{K}"].mean())


def _tfrs(shop: Shop) -> Callable[[], float]:
    """Prepares the same recall by TFRS; everything but the metric itself is left out of the measured time."""
    sizes = np.array([len(rows) for rows in shop.past.truth])
    users, rows = np.repeat(np.arange(USERS), sizes), np.concatenate(shop.past.truth)
    weights = 1.0 / np.minimum(sizes, K)[users]
    vectors = tf.constant(shop.items.vectors)
    columns = (shop.queries[users], rows.astype(np.int32), weights[:, np.newaxis].astype(np.float32))
    starts = range(0, len(users), _BATCH)
    batches = [tuple(tf.constant(column[start : start + _BATCH]) for column in columns) for start in starts]
    metric = tfrs_adapter.factorized_top_k(vectors, K)

    @tf.function(reduce_retracing=True)
    def update(queries: tf.Tensor, true_rows: tf.Tensor, sample_weight: tf.Tensor) -> None:
        true_vectors = tf.gather(vectors, true_rows)
        metric.update_state(queries, true_vectors, true_candidate_ids=true_rows, sample_weight=sample_weight)

    def run() -> float:
        metric.reset_states()
        for batch in batches:
            update(*batch)
        # The mean is weighted; recall is the sum over a user's items, averaged over users.
        return float(metric.result()[0]) * float(weights.sum()) / USERS

    run()  # traces
    return run


def _fastest(work: Callable[[], float]) -> tuple[float, float]:
    """Returns the seconds of the fastest of several rounds, and the result."""
    seconds, result = float("inf"), 0.0
    for _ in range(ROUNDS):
        started = time.perf_counter()
        result = work()
        seconds = min(seconds, time.perf_counter() - started)
    return seconds, result


if __name__ == "__main__":
    main()
