"""Items that a request lifts or lowers, by a measure that means the same on every scale of scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from trainer import contract
from trainer.index import cells_of
from trainer.rules.limits import checked

Tensors = Mapping[str, tf.Tensor]

MAX_BOOST = 100.0
_NO_SPREAD = 1e-6


class Boosts(tf.Module):
    """Adds b standard deviations to the score of an item with boost b.

    The deviation is that of the row's own scores: over all allowed items where the towers decide, over the candidates
    where a ranking stage does. 1 is a nudge, 5 lifts nearly any item to the top, negative ones lower.

    Args:
      rows: finds catalogue rows by item id, -1 for an unknown one.
      size: number of items.
    """

    def __init__(self, rows: tf.lookup.StaticHashTable, size: int) -> None:
        super().__init__(name="boosts")
        self._rows, self._size = rows, size

    def weights(self, inputs: Tensors) -> tf.Tensor:
        """Reads the boosts of requests; the boosts of an item that is listed twice add up.

        Returns:
          float32 [batch, items], or [1, 1] of 0 where nobody boosts.

        Raises:
          tf.errors.InvalidArgumentError: in the graph, naming the input that is out of its limits.
        """
        ids, boosts = inputs[contract.BOOST_ITEMS], inputs[contract.BOOSTS]
        limits = f"{contract.BOOSTS} must be between {-MAX_BOOST:g} and {MAX_BOOST:g}"
        boosts = checked(boosts, tf.abs(boosts) <= MAX_BOOST, limits)
        width, needed = tf.shape(boosts)[1], tf.shape(ids)[1]
        matching = tf.equal(width, 1) | tf.equal(width, needed)
        expected = f"{contract.BOOSTS} must hold one number, or one for each of {contract.BOOST_ITEMS}"
        width = checked(width[tf.newaxis], matching[tf.newaxis], expected)[0]
        return tf.cond(
            tf.reduce_any(tf.not_equal(ids, "")),
            lambda: self._spread(self._rows.lookup(ids), tf.broadcast_to(boosts[:, :width], tf.shape(ids))),
            lambda: tf.zeros([1, 1]),
        )

    def _spread(self, rows: tf.Tensor, boosts: tf.Tensor) -> tf.Tensor:
        given = tf.where(rows >= 0)
        cells = tf.stack([given[:, 0], tf.gather_nd(rows, given)], axis=1)
        shape = tf.stack([tf.shape(rows, tf.int64)[0], tf.constant(self._size, tf.int64)])
        return tf.scatter_nd(cells, tf.gather_nd(boosts, given), shape)


def boosted(scores: tf.Tensor, weights: tf.Tensor, rows: tf.Tensor | None = None) -> tf.Tensor:
    """Adds boosts to scores.

    Args:
      scores: [batch, n] float32; minus infinity, for what must not be answered, stays.
      weights: what `Boosts.weights` gives.
      rows: [batch, n] int64, the items that are scored; None for all in the catalogue's order.

    Returns:
      [batch, n].
    """

    def lifted() -> tf.Tensor:
        own = weights if rows is None else cells_of(weights, rows)
        return scores + own * _deviation(scores)[:, tf.newaxis]

    return tf.cond(tf.reduce_any(tf.not_equal(weights, 0.0)), lifted, lambda: scores)


def _deviation(scores: tf.Tensor) -> tf.Tensor:
    """The standard deviation of each row's finite scores, 1 where they are all the same, [batch]."""
    finite = scores > -np.inf
    count = tf.maximum(tf.reduce_sum(tf.cast(finite, tf.float32), axis=1), 1.0)
    mean = tf.reduce_sum(tf.where(finite, scores, 0.0), axis=1) / count
    square = tf.reduce_sum(tf.where(finite, (scores - mean[:, tf.newaxis]) ** 2, 0.0), axis=1)
    deviation = tf.sqrt(square / count)
    return tf.where(deviation > _NO_SPREAD, deviation, 1.0)
