"""Answers that are not twenty of the same: category caps and maximal marginal relevance, in the graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainer.index import NO_ROW, best

_SMALLEST_POOL, _GROWTH = 64, 4
_NO_SPREAD = 1e-12


def within_caps(categories: tf.Tensor, caps: tf.Tensor) -> tf.Tensor:
    """Tells which candidates are among the first of their category.

    Args:
      categories: [batch, n] int32, best candidate first; -1 for one that is in none, and so never too many.
      caps: [batch] int32, how many each category may have; 0 sets no limit.

    Returns:
      bool [batch, n].
    """
    # The place of each candidate among those of its category: no comparison of all with all.
    order = tf.argsort(categories, axis=1, stable=True)
    grouped = tf.gather(categories, order, batch_dims=1)
    places = tf.range(tf.shape(categories)[1])[tf.newaxis, :] - tf.searchsorted(grouped, grouped)
    places = tf.gather(places, tf.argsort(order, axis=1), batch_dims=1)
    limits = caps[:, tf.newaxis]
    return (categories < 0) | (limits <= 0) | (places < limits)


def best_within_caps(scores: tf.Tensor, path_of: tf.Tensor, caps: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Finds the best items of which no category has too many, however far down the catalogue they are.

    Args:
      scores: [batch, items] float32, minus infinity for an item that must not be answered.
      path_of: [items] int32, the category of each item, -1 for none.
      caps: [batch] int32, how many each category may have; 0 sets no limit.
      count: how many, a scalar int32.

    Returns:
      [batch, count] int64 rows, best first, `NO_ROW` at the end of a row that has fewer.
    """
    size = tf.shape(scores)[1]

    def look(pool: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        rows = best(scores, pool)
        kept = within_caps(tf.gather(path_of, tf.maximum(rows, 0)), caps) & (rows >= 0)
        return rows, kept

    def starves(pool: tf.Tensor, rows: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
        del rows
        fewest = tf.reduce_min(tf.reduce_sum(tf.cast(kept, tf.int32), axis=1))
        return (fewest < count) & (pool < size)

    def grow(pool: tf.Tensor, rows: tf.Tensor, kept: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        del rows, kept
        pool = tf.minimum(pool * _GROWTH, size)
        return (pool, *look(pool))

    first = tf.clip_by_value(2 * count, tf.minimum(_SMALLEST_POOL, size), size)
    shapes = (tf.TensorShape([]), tf.TensorShape([None, None]), tf.TensorShape([None, None]))
    _, rows, kept = tf.while_loop(starves, grow, (first, *look(first)), shape_invariants=shapes)
    # Kept ones first, each part in its order.
    order = tf.argsort(tf.cast(~kept, tf.int32), axis=1, stable=True)[:, :count]
    return tf.gather(tf.where(kept, rows, NO_ROW), order, batch_dims=1)


def marginal_relevance(
    scores: tf.Tensor,
    vectors: tf.Tensor,
    categories: tf.Tensor,
    *,
    strengths: tf.Tensor,
    caps: tf.Tensor,
    count: tf.Tensor,
) -> tf.Tensor:
    """Picks candidates one by one, each for its score and for its distance to those picked before.

    Maximal marginal relevance: Carbonell and Goldstein, The use of MMR, diversity-based reranking, 1998. The next pick
    is the one of largest (1 - strength) * relevance - strength * similarity, with the relevance from 0 to 1 between the
    row's worst and best candidate and the similarity the largest cosine to a pick.

    Args:
      scores: [batch, n] float32, best first; minus infinity pads and is never picked.
      vectors: [batch, n, dim] of length 1.
      categories: [batch, n] int32, -1 for none.
      strengths: [batch] float32 from 0, the order of the scores, to 1.
      caps: [batch] int32, how many of a category are picked; 0 sets no limit.
      count: how many to pick, a scalar int32.

    Returns:
      [batch, count] int32 places in the candidates, -1 where none was left.
    """
    weight = strengths[:, tf.newaxis]
    pool = _Pool((1.0 - weight) * _relevance(scores), weight, vectors, categories, caps[:, tf.newaxis])
    state = (
        tf.constant(0),
        scores > -np.inf,
        tf.zeros_like(categories),
        tf.zeros_like(scores),
        tf.TensorArray(tf.int32, size=count, element_shape=[None]),
    )
    picks = tf.while_loop(lambda step, *_: step < count, pool.pick, state)[-1]
    return tf.reshape(tf.transpose(picks.stack()), [tf.shape(scores)[0], count])


class _Pool(NamedTuple):
    """What stays the same from pick to pick: relevance times its weight, and what the candidates are like."""

    relevance: tf.Tensor
    weight: tf.Tensor
    vectors: tf.Tensor
    categories: tf.Tensor
    limits: tf.Tensor

    def pick(
        self, step: tf.Tensor, open_: tf.Tensor, taken: tf.Tensor, nearest: tf.Tensor, picks: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        """Picks one: candidates not yet picked, picks of their category, their similarity to the nearest pick."""
        free = open_ & ((self.limits <= 0) | (taken < self.limits))
        value = tf.where(free, self.relevance - self.weight * nearest, -np.inf)
        place = tf.argmax(value, axis=1, output_type=tf.int32)
        category = tf.gather(self.categories, place, batch_dims=1)[:, tf.newaxis]
        taken += tf.cast((self.categories == category) & (self.categories >= 0), tf.int32)
        similar = tf.linalg.matvec(self.vectors, tf.gather(self.vectors, place, batch_dims=1))
        nearest = tf.where(step > 0, tf.maximum(nearest, similar), similar)
        open_ &= tf.range(tf.shape(open_)[1])[tf.newaxis, :] != place[:, tf.newaxis]
        found = tf.where(tf.reduce_any(free, axis=1), place, -1)
        return step + 1, open_, taken, nearest, picks.write(step, found)


def _relevance(scores: tf.Tensor) -> tf.Tensor:
    """Scales each row's finite scores to 0 to 1, [batch, n]."""
    finite = scores > -np.inf
    low = tf.reduce_min(tf.where(finite, scores, np.inf), axis=1, keepdims=True)
    high = tf.reduce_max(scores, axis=1, keepdims=True)
    spread = tf.maximum(high - low, _NO_SPREAD)
    return tf.where(finite, (scores - low) / spread, 0.0)
