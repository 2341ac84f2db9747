"""The exact index inside the served graph: the score of every item, and the best of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

NO_ROW = -1


def row_table(item_ids: Sequence[str] | npt.NDArray[np.object_]) -> tf.lookup.StaticHashTable:
    """Makes the table that finds catalogue rows by item id: int64, `NO_ROW` for an unknown one."""
    rows = tf.range(len(item_ids), dtype=tf.int64)
    initialiser = tf.lookup.KeyValueTensorInitializer(tf.constant(list(item_ids)), rows)
    return tf.lookup.StaticHashTable(initialiser, default_value=NO_ROW)


class ExactIndex(tf.Module):
    """Scores the whole catalogue by dot product.

    Args:
      item_vectors: [items, dim] float32, at least one item.
    """

    def __init__(self, item_vectors: npt.NDArray[np.float32]) -> None:
        super().__init__(name="index")
        if item_vectors.ndim != 2 or not len(item_vectors):
            raise ValueError(
                f"an index needs vectors [items, dim] of at least one item, got shape {item_vectors.shape}"
            )
        _check_finite(item_vectors)
        self.size = len(item_vectors)
        self.vectors = tf.Variable(item_vectors, trainable=False, dtype=tf.float32, name="item_vectors")
        # Single requests are bound by memory: along this way all items take a third to a half of the time.
        self._columns = tf.Variable(
            np.ascontiguousarray(item_vectors.T), trainable=False, dtype=tf.float32, name="item_columns"
        )

    def fill(self, item_vectors: npt.NDArray[np.float32]) -> None:
        """Takes other vectors, of the same shape, in place of those it was made with."""
        _check_finite(item_vectors)
        self.vectors.assign(item_vectors)
        self._columns.assign(item_vectors.T)

    def scores(self, queries: tf.Tensor) -> tf.Tensor:
        """Scores every item, [batch, dim] to [batch, items]."""
        return tf.matmul(queries, self._columns)

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


def _check_finite(item_vectors: npt.NDArray[np.float32]) -> None:
    if not np.isfinite(item_vectors).all():
        row = int(np.flatnonzero(~np.isfinite(item_vectors).all(axis=1))[0])
        raise ValueError(f"the vector of item row {row} is not finite: the training diverged")


def best(scores: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Finds the best items of each row.

    Args:
      scores: [batch, items] float32, minus infinity for an item that must not be answered.
      count: how many, a scalar int32 of at most `items`.

    Returns:
      Rows [batch, count] int64, best first, equal scores in the catalogue's order; `NO_ROW` at the end of a row that
      has fewer.
    """
    values, rows = tf.math.top_k(scores, k=count)
    return tf.where(values > -np.inf, tf.cast(rows, tf.int64), NO_ROW)


def pick(values: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Takes the values of given items, minus infinity for `NO_ROW`.

    Args:
      values: [batch, items] float32.
      rows: [batch, n] int64.

    Returns:
      [batch, n].
    """
    return tf.where(rows >= 0, tf.gather(values, tf.maximum(rows, 0), batch_dims=1), -np.inf)


def cells_of(table: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Takes cells of a table that stands for [batch, items], one of its sides or both being 1 where all are equal.

    Args:
      table: [1 or batch, 1 or items].
      rows: [batch, n] int64; what is taken for `NO_ROW` means nothing.

    Returns:
      [batch, n].
    """
    lines = tf.range(tf.shape(rows, tf.int64)[0])[:, tf.newaxis] + tf.zeros_like(rows)
    last = tf.shape(table, tf.int64) - 1
    return tf.gather_nd(table, tf.stack([tf.minimum(lines, last[0]), tf.clip_by_value(rows, 0, last[1])], axis=-1))
