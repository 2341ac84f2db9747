"""The exact index inside the served graph: the best items for query vectors, without what is excluded."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import tfrs_adapter

NO_ROW = -1


class ExactIndex(tf.Module):
    """Ranks the whole catalogue by dot product; TFRS's BruteForce holds the vectors.

    Args:
      item_vectors: [items, dim] float32, at least one item.
    """

    def __init__(self, item_vectors: npt.NDArray[np.float32]) -> None:
        super().__init__(name="index")
        if item_vectors.ndim != 2 or not len(item_vectors):
            raise ValueError(
                f"an index needs vectors [items, dim] of at least one item, got shape {item_vectors.shape}"
            )
        if not np.isfinite(item_vectors).all():
            row = int(np.flatnonzero(~np.isfinite(item_vectors).all(axis=1))[0])
            raise ValueError(f"the vector of item row {row} is not finite: the training diverged")
        self.size = len(item_vectors)
        self._brute_force = tfrs_adapter.brute_force_index(item_vectors)

    @property
    def vectors(self) -> tf.Variable:
        """The vectors, [items, dim]."""
        return tfrs_adapter.candidates(self._brute_force)

    def top(self, queries: tf.Tensor, k: tf.Tensor, excluded: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds the best items of each row.

        Args:
          queries: [batch, dim] float32.
          k: [batch] int32, how many items each row wants.
          excluded: [batch, e] int64, catalogue rows that must not be answered; negative ones are ignored.

        Returns:
          Rows [batch, K] int64 and scores [batch, K], best first, equal scores in the catalogue's order.
          K = min(max(k), items). A row that wants or has fewer ends with `NO_ROW` and minus infinity.

        Raises:
          tf.errors.InvalidArgumentError: in the graph, for a k below 1.
        """
        with tf.control_dependencies([tf.debugging.assert_positive(k, message="k must be at least 1")]):
            width = tf.clip_by_value(tf.reduce_max(k), 0, self.size)
        # At most so many of a row's answers can be excluded ones: with as many more, enough are left.
        spare = tf.reduce_max(tf.reduce_sum(tf.cast(excluded >= 0, tf.int32), axis=1))
        fetched = tf.clip_by_value(width + tf.maximum(spare, 0), 0, self.size)
        scores, rows = self._brute_force(queries, k=fetched)
        rows = tf.cast(rows, tf.int64)
        scores = tf.where(self._is_excluded(rows, excluded), -np.inf, scores)
        # Equal values keep their order in top_k, so what is left stays sorted as it was.
        scores, places = tf.math.top_k(scores, k=width)
        wanted = tf.range(width)[tf.newaxis, :] < k[:, tf.newaxis]
        scores = tf.where(wanted, scores, -np.inf)
        rows = tf.where(scores > -np.inf, tf.gather(rows, places, batch_dims=1), NO_ROW)
        return rows, scores

    def scores_of(self, queries: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Scores given items.

        Args:
          queries: [batch, dim] float32.
          rows: [batch, n] int64 catalogue rows, negative for an unknown item.

        Returns:
          [batch, n], minus infinity for unknown items.
        """
        vectors = tf.gather(self.vectors, tf.maximum(rows, 0))
        return tf.where(rows >= 0, tf.linalg.matvec(vectors, queries), -np.inf)

    def _is_excluded(self, rows: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
        """Tells which of `rows` [batch, n] are in the same line of `excluded` [batch, e]."""
        # One sorted list of (line, row) pairs as numbers: no [batch, n, e] comparison, no [batch, items] mask.
        lines = tf.range(tf.shape(rows, tf.int64)[0])[:, tf.newaxis] * self.size
        given = tf.reshape(tf.where(excluded >= 0, lines + excluded, -1), [-1])
        keys = tf.sort(tf.concat([given, tf.constant([-1], tf.int64)], axis=0))
        asked = tf.reshape(lines + rows, [-1])
        places = tf.searchsorted(keys, asked)
        found = tf.gather(keys, tf.minimum(places, tf.size(keys) - 1))
        return tf.reshape(tf.equal(found, asked), tf.shape(rows))
