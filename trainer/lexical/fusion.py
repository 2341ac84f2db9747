"""One score for each item, of its words and of its meaning."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from pipeline.config import SearchConfig
from trainer.index import ExactIndex, best


class Found(NamedTuple):
    """What words say.

    Args:
      by_words: float32 [batch, items], 0 to 1.
      named: bool [batch, items], which items the query names or quotes.
      says: bool [batch], whether anything was typed that can be looked up.
    """

    by_words: tf.Tensor
    named: tf.Tensor
    says: tf.Tensor


class Fusion:
    """Joins what words say with the towers' similarity.

    Args:
      config: the weights.
    """

    def __init__(self, config: SearchConfig) -> None:
        self._config = config

    def scores(self, found: Found, vectors: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Scores all items.

        Args:
          found: what words say.
          vectors: [batch, dim], what the towers make of the requests.
          index: the items' vectors.

        Returns:
          float32 [batch, items]; between -1 and 1, and more by `exact_bonus` where the query names an item.
        """
        towers = index.scores(vectors)
        scores = self._joined(found.by_words, towers)
        if self._config.feedback_items:
            scores = self._joined(found.by_words, index.scores(self._drawn(vectors, scores, index)))
        scores += tf.where(found.named, self._config.exact_bonus, 0.0)
        # Where nothing was typed, the towers know as much as ever.
        return tf.where(found.says[:, tf.newaxis], scores, towers)

    def _joined(self, by_words: tf.Tensor, by_meaning: tf.Tensor) -> tf.Tensor:
        return self._config.words_weight * by_words + (1.0 - self._config.words_weight) * by_meaning

    def _drawn(self, vectors: tf.Tensor, scores: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Draws queries [batch, dim] towards the best items (Rocchio, Relevance feedback, 1971)."""
        rows = best(scores, tf.minimum(self._config.feedback_items, index.size))
        mean = tf.reduce_mean(tf.gather(index.vectors, tf.maximum(rows, 0)), axis=1)
        return tf.math.l2_normalize(vectors + self._config.feedback_weight * mean, axis=1)
