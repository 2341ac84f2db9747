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
      by_words: float32 [batch, items], 0 to 1, of each text that words are looked up in.
      named: bool [batch, items], which items the query names or quotes.
      says: bool [batch], whether anything was typed that can be looked up.
    """

    by_words: tuple[tf.Tensor, ...]
    named: tf.Tensor
    says: tf.Tensor


class FusionWeights(NamedTuple):
    """How much each part counts.

    Args:
      texts: of the words, for each text that they are looked up in.
      meaning: of the similarity; 1 together with `texts`.
      feedback: of the best items' meaning in the query's, whose own is 1.
    """

    texts: tuple[float, ...]
    meaning: float
    feedback: float

    @classmethod
    def fixed(cls, config: SearchConfig, texts: int) -> FusionWeights:
        """Takes the configuration's weights; `texts` share the words', and without any meaning alone decides."""
        if not texts:
            return cls((), 1.0, 0.0)
        return cls((config.words_weight / texts,) * texts, 1.0 - config.words_weight, config.feedback_weight)


class Fusion(tf.Module):
    """Joins what words say with the towers' similarity.

    Args:
      config: bounds and bonuses.
      weights: for as many texts as words are looked up in; none of them means that there are no words.
    """

    def __init__(self, config: SearchConfig, weights: FusionWeights) -> None:
        super().__init__(name="fusion")
        self._config, self._feedback_items = config, config.feedback_items if weights.texts else 0
        # A list, by which a saved model is read; texts, then meaning, then feedback.
        self._weights = [tf.Variable([*weights.texts, *weights[1:]], trainable=False, dtype=tf.float32)]

    def feedback(self, found: Found, vectors: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Answers the mean of the items' vectors that join the queries', [batch, dim]; zeros where none do."""
        if not self._feedback_items:
            return tf.zeros_like(vectors)
        return self._mean_of_best(self._joined(found.by_words, index.scores(vectors)), index)

    def relevance(self, found: Found, vectors: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Says how well all items fit what was typed, whoever asks.

        Args:
          found: what words say.
          vectors: [batch, dim], what the towers make of the queries alone.
          index: the items' vectors.

        Returns:
          float32 [batch, items], between -1 and 1; means nothing where nothing was typed.
        """
        scores = self._joined(found.by_words, index.scores(vectors))
        if self._feedback_items:
            scores = self._joined(found.by_words, index.scores(self._drawn(vectors, scores, index)))
        return scores

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
        self,
        relevance: tf.Tensor,
        found: Found,
        vectors: tf.Tensor,
        index: ExactIndex,
        personal: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Scores all items by what fits and who asks.

        Args:
          relevance: [batch, items], how well items fit what was typed.
          found: what words say.
          vectors: [batch, dim], what the towers make of the queries alone.
          index: the items' vectors.
          personal: [batch, dim], what they make of the requests with all that is known of who asks; None: no more.

        Returns:
          float32 [batch, items]; between -1 and 1, and more by `exact_bonus` where the query names an item.
        """
        further = tf.zeros_like(vectors) if personal is None else personal - vectors

        def by_towers(scores: tf.Tensor, liking: tf.Tensor) -> tf.Tensor:
            # Where nothing was typed, the towers know as much as ever.
            return tf.where(found.says[:, tf.newaxis], scores, index.scores(vectors) + liking)

        def shifted() -> tf.Tensor:
            liking = index.scores(further)
            scores = relevance + self._shifts(relevance, liking)
            return tf.cond(tf.reduce_all(found.says), lambda: scores, lambda: by_towers(scores, liking))

        known = tf.reduce_any(tf.abs(further) > _SAME) | ~tf.reduce_all(found.says)
        return tf.cond(known, shifted, lambda: relevance) + tf.where(found.named, self._config.exact_bonus, 0.0)

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

    def _joined(self, by_words: tuple[tf.Tensor, ...], by_meaning: tf.Tensor) -> tf.Tensor:
        weights = tf.unstack(self._weights[0])
        return tf.add_n([weight * each for weight, each in zip(weights, (*by_words, by_meaning), strict=False)])

    def _drawn(self, vectors: tf.Tensor, scores: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        """Draws queries [batch, dim] towards the best items (Rocchio, Relevance feedback, 1971)."""
        return tf.math.l2_normalize(vectors + self._weights[0][-1] * self._mean_of_best(scores, index), axis=1)

    def _mean_of_best(self, scores: tf.Tensor, index: ExactIndex) -> tf.Tensor:
        rows = best(scores, tf.minimum(self._feedback_items, index.size))
        return tf.reduce_mean(tf.gather(index.vectors, tf.maximum(rows, 0)), axis=1)
