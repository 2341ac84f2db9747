"""Limits of inputs, checked in the graph: what is out of them is an INVALID_ARGUMENT that names the input."""

from __future__ import annotations

import tensorflow as tf


def checked(values: tf.Tensor, fine: tf.Tensor, message: str) -> tf.Tensor:
    """Fails the request unless all is fine; what is computed from the answer waits for that.

    Args:
      values: what came, of any shape.
      fine: bool, one for each value.
      message: what was expected, naming the input.

    Returns:
      `values`.
    """
    wrong = tf.boolean_mask(values, ~fine)
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(fine), [message + "; got", wrong], summarize=3)]):
        return tf.identity(values)
