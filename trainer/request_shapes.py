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


def spread_history(values: tf.Tensor, batch: tf.Tensor, *, given: tf.Tensor, pad: str | float) -> tf.Tensor:
    """Brings one part of the histories to the number of events that the request lists.

    Args:
      values: [1 or batch, n], newest first; a single value counts for all `given` events.
      batch: size of the batch, a scalar.
      given: how many events the request's histories list, a scalar.
      pad: what fills short lists.

    Returns:
      [batch, given], padded at the end; at least one wide.
    """
    width, given = tf.shape(values)[1], tf.maximum(given, 1)
    wide = tf.broadcast_to(values, [batch, tf.where(tf.equal(width, 1), given, width)])[:, :given]
    return _pad(wide, given, pad)


def newest(values: tf.Tensor, *, length: int, pad: str | float) -> tf.Tensor:
    """Cuts or pads histories [batch, n] to the fixed length that the model reads, [batch, length]."""
    return tf.ensure_shape(_pad(values[:, :length], length, pad), [None, length])


def _pad(values: tf.Tensor, width: tf.Tensor | int, pad: str | float) -> tf.Tensor:
    missing = width - tf.shape(values)[1]
    return tf.pad(values, [[0, 0], [0, missing]], constant_values=tf.constant(pad, values.dtype))
