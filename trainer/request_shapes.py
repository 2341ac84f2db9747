"""Brings what a request gives to the shapes that the graph computes with."""

from __future__ import annotations

import tensorflow as tf


def fit_batch(values: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Repeats a single value for the whole batch.

    Args:
      values: [1] or [batch].
      batch: size of the batch, a scalar.

    Returns:
      [batch]. Any other size is an INVALID_ARGUMENT error of the graph.
    """
    return tf.broadcast_to(values, [batch])


def fit_lists(values: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    """Repeats a single list for the whole batch, [1, n] or [batch, n] to [batch, n]."""
    return tf.broadcast_to(values, [batch, tf.shape(values)[1]])


def fit_history(values: tf.Tensor, batch: tf.Tensor, *, given: tf.Tensor, length: int, pad: str | float) -> tf.Tensor:
    """Brings one part of the histories to the fixed length that training used.

    Args:
      values: [1 or batch, n], newest first; a single value counts for all `given` events.
      batch: size of the batch, a scalar.
      given: how many events the request's histories list, a scalar.
      length: events that the model reads.
      pad: what fills short histories.

    Returns:
      [batch, length]: the newest `length` values, padded at the end.
    """
    width = tf.shape(values)[1]
    wide = tf.broadcast_to(values, [batch, tf.where(tf.equal(width, 1), tf.maximum(given, 1), width)])[:, :length]
    fitted = tf.pad(wide, [[0, 0], [0, length - tf.shape(wide)[1]]], constant_values=tf.constant(pad, values.dtype))
    return tf.ensure_shape(fitted, [None, length])
