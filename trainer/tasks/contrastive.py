"""The contrastive task: which text belongs to this one."""

from __future__ import annotations

import tensorflow as tf

_NEVER = -1e9


def contrastive_loss(
    anchors: tf.Tensor,
    candidates: tf.Tensor,
    *,
    foreign: tf.Tensor,
    weights: tf.Tensor,
    temperature: float,
) -> tf.Tensor:
    """Computes InfoNCE in both directions (van den Oord et al., 2018), weighted.

    Args:
      anchors: [batch, width] of length 1.
      candidates: [batch + n, width] of length 1: the text of each anchor in its row, then n hard negatives.
      foreign: bool [batch, batch + n], which candidates are wrong for an anchor; its own row does not matter. What is
        neither foreign nor its own (the same text again, another text of the same item) takes no part.
      weights: [batch], at least one more than 0.
      temperature: what products are divided by.

    Returns:
      The weighted mean, a scalar; each direction counts half.
    """
    batch = tf.shape(anchors)[0]
    scores = tf.matmul(anchors, candidates, transpose_b=True) / temperature
    own = tf.eye(batch, tf.shape(candidates)[0], dtype=tf.bool)
    scores = tf.where(own | foreign, scores, _NEVER)
    labels = tf.range(batch)
    forward = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, scores)
    backward = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.transpose(scores[:, :batch]))
    return tf.reduce_sum(weights * (forward + backward)) / (2.0 * tf.reduce_sum(weights))
