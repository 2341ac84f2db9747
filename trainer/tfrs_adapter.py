"""The only door to TensorFlow Recommenders: its retrieval task and its metric.

TFRS is written for Keras 2. Nothing behind this door holds a weight that is trained; our Keras 3 model calls
the task inside its own `compute_loss`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf

if not tf.keras.__name__.startswith("tf_keras"):
    raise ImportError(
        f"tf.keras is {tf.keras.__name__}, but TensorFlow Recommenders needs tf_keras (Keras 2): TensorFlow's Keras "
        "was used before the package 'trainer' was imported. Import 'trainer' first, or set TF_USE_LEGACY_KERAS=1 in "
        "the environment of this process"
    )

import tensorflow_recommenders as tfrs

Loss = Callable[..., tf.Tensor]


def retrieval_loss(temperature: float, hard_negatives: int | None = None) -> Loss:
    """Makes the retrieval loss with temperature, logQ correction and removal of accidental hits.

    The logQ correction is that of Yi et al., Sampling-bias-corrected neural modeling for large corpus item
    recommendations, 2019: logits lose the logarithm of the probability with which their candidate is sampled.

    Args:
      temperature: what dot products are divided by.
      hard_negatives: of each row, only so many negatives count, those with the highest corrected logits; None is all.

    Returns:
      A function of `queries` [batch, dim], `candidates` [batch, dim], `candidate_ids` [batch],
      `sampling_probabilities` [batch] and `sample_weights` [batch]; it answers the weighted loss of each row
      [batch], row i of `candidates` being the positive of row i of `queries`. Without probabilities (None) there is
      no correction.
    """
    task = tfrs.tasks.Retrieval(
        loss=tf.keras.losses.CategoricalCrossentropy(from_logits=True, reduction=tf.keras.losses.Reduction.NONE),
        temperature=temperature,
        remove_accidental_hits=True,
        num_hard_negatives=hard_negatives,
    )

    # The task relies on autograph, which Keras 3 does not apply to a `compute_loss`. Only the task itself is converted:
    # left to itself, autograph would also convert all of Keras 2 that lies between, which takes ten seconds.
    return functools.partial(_losses, tf.autograph.to_graph(type(task).call, recursive=False), task)


@tf.autograph.experimental.do_not_convert
def _losses(
    call: Loss,
    task: tfrs.tasks.Retrieval,
    *,
    queries: tf.Tensor,
    candidates: tf.Tensor,
    candidate_ids: tf.Tensor,
    sampling_probabilities: tf.Tensor | None,
    sample_weights: tf.Tensor,
) -> tf.Tensor:
    return call(
        task,
        queries,
        candidates,
        sample_weight=sample_weights,
        candidate_sampling_probability=sampling_probabilities,
        candidate_ids=candidate_ids,
        compute_metrics=False,
        compute_batch_metrics=False,
    )


def factorized_top_k(item_vectors: tf.Tensor, k: int) -> tfrs.metrics.FactorizedTopK:
    """Makes TFRS's metric over the whole catalogue, for one true item a query; our benchmark compares with it.

    Args:
      item_vectors: [items, dim] float32, in the catalogue's order.
      k: how many of the best items count.

    Returns:
      A metric: `update_state(queries [batch, dim], true_vectors [batch, dim], true_candidate_ids=rows [batch],
      sample_weight=weights [batch, 1])`; its `result()` is the weighted share of queries whose item is among the best.
    """
    index = tfrs.layers.factorized_top_k.BruteForce(k=k)
    index.index(item_vectors, tf.range(len(item_vectors), dtype=tf.int32))
    return tfrs.metrics.FactorizedTopK(index, ks=[k])
