"""The task of a cross-encoder: which of a few texts belongs to this one."""

from __future__ import annotations

import tensorflow as tf

_NEVER = -1e9


def candidate_loss(logits: tf.Tensor, *, present: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Computes the softmax cross-entropy over the candidates of each text (Gao et al., 2021, localized contrastive).

    Args:
      logits: [batch, candidates], the right one first.
      present: bool [batch, candidates], which there are; the first always is.
      weights: [batch], at least one more than 0.

    Returns:
      The weighted mean, a scalar.
    """
    labels = tf.zeros_like(weights, tf.int32)
    values = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, tf.where(present, logits, _NEVER))
    return tf.reduce_sum(weights * values) / tf.reduce_sum(weights)


def margin_loss(margins: tf.Tensor, taught: tf.Tensor, *, weights: tf.Tensor) -> tf.Tensor:
    """Computes by how much margins differ from a teacher's (Hofstaetter et al., 2020, margin-MSE).

    Args:
      margins: [n], how much higher the pupil scores the right text than the wrong one.
      taught: [n], how much higher the teacher does.
      weights: [n].

    Returns:
      The weighted mean of the squares, a scalar; 0 without any margin.
    """
    squares = tf.math.squared_difference(margins, taught)
    return tf.math.divide_no_nan(tf.reduce_sum(weights * squares), tf.reduce_sum(weights))
