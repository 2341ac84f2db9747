"""One score for each item, of its words and of its meaning."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.config import SearchConfig
from trainer.index import ExactIndex, best

_SAME = 1e-6  # what vectors of length 1 differ by where they should be the same


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
      words: whether there are words to look up at all; else meaning alone decides.
    """

    def __init__(self, config: SearchConfig, words: bool = True) -> None:
        self._config = config if words else config.model_copy(update={"words_weight": 0.0, "feedback_items": 0})

    def relevance(self, found: Found, vectors: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Says how well all items fit what was typed, whoever asks.

        Args:
          found: what words say.
          vectors: [batch, dim], what the towers make of the queries alone.
          index: the items' vectors.

        Returns:
          float32 [batch, items], between -1 and 1; means nothing where nothing was typed.
        """
        return self._relevance(found, vectors, index.scores(vectors), index)

    def relevant(self, relevance: tf.Tensor, found: Found) -> tf.Tensor:
        """Tells which items are relevant: named, or at least `relevant_share` as relevant as the best one.

        Args:
          relevance: [batch, items].
          found: what words say.

        Returns:
          bool [batch, items]; every item where nothing was typed.
        """
        return (relevance >= self._bar(relevance)) | found.named | ~found.says[:, tf.newaxis]

    def scores(
        self, found: Found, vectors: tf.Tensor, index: ExactIndex, personal: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Scores all items.

        Args:
          found: what words say.
          vectors: [batch, dim], what the towers make of the queries alone.
          index: the items' vectors.
          personal: [batch, dim], what they make of the requests with all that is known of who asks; None: no more.

        Returns:
          float32 [batch, items]; between -1 and 1, and more by `exact_bonus` where the query names an item.
        """
        towers = index.scores(vectors)
        relevance = self._relevance(found, vectors, towers, index)
        further = tf.zeros_like(vectors) if personal is None else personal - vectors

        def shifted() -> tf.Tensor:
            liking = index.scores(further)
            scores = relevance + self._shifts(relevance, liking)
            # Where nothing was typed, the towers know as much as ever.
            return tf.where(found.says[:, tf.newaxis], scores, towers + liking)

        known = tf.reduce_any(tf.abs(further) > _SAME) | ~tf.reduce_all(found.says)
        return tf.cond(known, shifted, lambda: relevance) + tf.where(found.named, self._config.exact_bonus, 0.0)

    def _relevance(self, found: Found, vectors: tf.Tensor, towers: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        scores = self._joined(found.by_words, towers)
        if self._config.feedback_items:
            scores = self._joined(found.by_words, index.scores(self._drawn(vectors, scores, index)))
        return scores

    def _bar(self, relevance: tf.Tensor) -> tf.Tensor:
        """Answers the relevance [batch, 1] from which on an item is relevant."""
        best_of_all = tf.reduce_max(relevance, axis=1, keepdims=True)
        return tf.where(best_of_all > 0, self._config.relevant_share * best_of_all, -np.inf)

    def _shifts(self, relevance: tf.Tensor, liking: tf.Tensor) -> tf.Tensor:
        """Bounds what liking [batch, items] may change; none that is relevant falls among those that are not."""
        bound, bar = self._config.personal_bound, self._bar(relevance)
        if not bound:
            return tf.zeros_like(relevance)
        shifts = tf.maximum(bound * tf.tanh(liking / bound), bar - relevance)
        return tf.where(relevance >= bar, shifts, 0.0)

    def _joined(self, by_words: tf.Tensor, by_meaning: tf.Tensor) -> tf.Tensor:
        return self._config.words_weight * by_words + (1.0 - self._config.words_weight) * by_meaning

    def _drawn(self, vectors: tf.Tensor, scores: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Draws queries [batch, dim] towards the best items (Rocchio, Relevance feedback, 1971)."""
        rows = best(scores, tf.minimum(self._config.feedback_items, index.size))
        mean = tf.reduce_mean(tf.gather(index.vectors, tf.maximum(rows, 0)), axis=1)
        return tf.math.l2_normalize(vectors + self._config.feedback_weight * mean, axis=1)
