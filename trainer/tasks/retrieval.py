"""The retrieval task: which item of the catalogue belongs to this request."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import tfrs_adapter
from trainer.tasks.global_batch import own_rows_first


class RetrievalTask:
    """Softmax over the items of the batch, corrected so that it stands for a softmax over the catalogue.

    Every item of a batch is a negative for all its other rows. Popular items are negatives more often than
    rare ones: the logQ correction takes that back. Where an item is in the batch twice it is not its own negative.
    Where several replicas learn together, the batch is that of all of them: many make the loss that one would.
    """

    def __init__(self, temperature: float, hard_negatives: int | None = None) -> None:
        """Makes the task.

        Args:
          temperature: what scores are divided by; the vectors are of length 1, so scores lie in [-1, 1].
          hard_negatives: negatives of each row that count, those that come nearest; None is all of the batch.
        """
        self._loss = tfrs_adapter.retrieval_loss(temperature, hard_negatives)

    def __call__(
        self,
        queries: tf.Tensor,
        items: tf.Tensor,
        *,
        item_rows: tf.Tensor,
        sampling_probabilities: tf.Tensor | None,
        weights: tf.Tensor,
    ) -> tf.Tensor:
        """Computes the loss of one batch, or this replica's part of it: the parts add up to the loss.

        Args:
          queries: [batch, dim].
          items: [batch, dim], the item of each query.
          item_rows: [batch] integer, which item of the catalogue each is.
          sampling_probabilities: [batch], relative frequency of each item among the training examples, up to a
            constant factor (the softmax does not see it); None leaves the correction out.
          weights: [batch], at least one of them more than 0.

        Returns:
          The weighted sum of the loss over these rows by the weight of all rows, a scalar of float32.
        """
        if sampling_probabilities is None:
            sampling_probabilities = tf.ones_like(weights)
        # Numbers of items are exact in float32 up to 16 million.
        columns = [tf.cast(column, tf.float32) for column in (item_rows, weights, sampling_probabilities)]
        whole = own_rows_first(tf.concat([tf.cast(items, tf.float32), tf.stack(columns, axis=1)], axis=1))
        all_rows, all_weights, all_probabilities = tf.unstack(whole[:, -3:], axis=1)
        losses = self._loss(
            queries=tf.cast(queries, tf.float32),
            candidates=whole[:, :-3],
            candidate_ids=all_rows,
            sampling_probabilities=all_probabilities,
            sample_weights=columns[1],
        )
        return tf.reduce_sum(losses) / tf.reduce_sum(all_weights)


def sampling_probabilities(counts: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Turns training counts into what the logQ correction needs.

    They are relative to the commonest item, not to the number of examples: TFRS clips at 1e-6, which is the share
    of an ordinary item in a large shop. A constant factor makes no difference to a softmax.

    Args:
      counts: [items] how many training examples each item has.

    Returns:
      [items], in (0, 1]; items without examples count as having one.
    """
    floored = np.maximum(np.asarray(counts, np.float64), 1.0)
    return (floored / floored.max()).astype(np.float32)
