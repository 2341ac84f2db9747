"""The batch of a step beyond this replica: what all devices and workers that learn together bring to it."""

from __future__ import annotations

import tensorflow as tf


def own_rows_first(rows: tf.Tensor) -> tf.Tensor:
    """Gathers the rows of all replicas; gradients flow back to where a row came from.

    By a sum of what each replica has, zeros elsewhere: one exchange for the values, one for their gradients.
    TensorFlow's own `all_gather` takes five, since it allows for batches of different sizes.

    Args:
      rows: [batch, n] float, with the same batch on all replicas.

    Returns:
      [batch * replicas, n]: the rows of this replica, those of the ones after it, and round to the one before it.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:  # None where a model is only being built
        return rows
    batch = tf.shape(rows)[0]
    before = context.replica_id_in_sync_group * batch
    after = (context.num_replicas_in_sync - 1) * batch - before
    padded = tf.pad(rows, [[before, after], [0, 0]])
    return tf.roll(context.all_reduce(tf.distribute.ReduceOp.SUM, padded), -before, axis=0)
