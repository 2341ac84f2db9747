"""Orders the best items of a search anew, in the served graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import RerankConfig
from trainer.index import NO_ROW, best, pick
from trainer.reranking.pairing import PADDING_ID, paired

Score = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


class Reranker(tf.Module):
    """Mixes the score that the best items have with what a cross-encoder says of query and item.

    Args:
      config: depth, share, length.
      score: scores sequences, token ids and segment ids [n, tokens], to [n].
      weights: that `score` reads; they are saved with the module.
      item_tokens: int [items, tokens], what the encoder reads of the items, 0 pads.
    """

    def __init__(
        self, config: RerankConfig, score: Score, *, weights: list[tf.Variable], item_tokens: npt.NDArray[Any]
    ) -> None:
        super().__init__(name="reranker")
        used = max(1, int((item_tokens != PADDING_ID).sum(axis=1).max(initial=1)))
        self._config, self._score, self._weights = config, score, weights
        self._items = tf.Variable(item_tokens[:, :used].astype(np.int32), trainable=False, name="item_tokens")

    def __call__(self, scores: tf.Tensor, allowed: tf.Tensor, queries: tf.Tensor) -> tf.Tensor:
        """Orders the best of the allowed items anew.

        Args:
          scores: float32 [batch, items].
          allowed: bool, as [batch, items] or what stands for it; other items keep their score.
          queries: int [batch, tokens] of what was typed, 0 pads.

        Returns:
          float32 [batch, items]. The first `depth` allowed items share the range that their scores had, so the best
          score stays the best, and none falls below an item that was not among them.
        """
        rows = best(tf.where(allowed, scores, -np.inf), tf.minimum(self._config.depth, tf.shape(scores)[1]))
        before, valid = pick(scores, rows), rows >= 0
        share = self._config.share
        mixed = (1.0 - share) * _spread(before, valid) + share * _spread(self._read(queries, rows), valid)
        lowest, highest = _ends(before, valid)
        after = lowest + (highest - lowest) * _spread(mixed, valid)
        places = tf.where(valid)
        cells = tf.stack([places[:, 0], tf.gather_nd(rows, places)], axis=1)
        return tf.tensor_scatter_nd_update(scores, cells, tf.gather_nd(after, places))

    def _read(self, queries: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Scores queries with items, [batch, n]; what it says of pads means nothing."""
        count = tf.shape(rows)[1]
        items = tf.gather(self._items, tf.reshape(tf.maximum(rows, NO_ROW + 1), [-1]))
        tokens, segments = paired(tf.repeat(queries, count, axis=0), items, self._config.sequence_length)
        return tf.reshape(self._score(tokens, segments), tf.shape(rows))


def _ends(values: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Answers the least and the greatest valid value of each line, [batch, 1] each."""
    lowest = tf.reduce_min(tf.where(valid, values, np.inf), axis=1, keepdims=True)
    return lowest, tf.reduce_max(tf.where(valid, values, -np.inf), axis=1, keepdims=True)


def _spread(values: tf.Tensor, valid: tf.Tensor) -> tf.Tensor:
    """Moves the valid values [batch, n] of each line to the range from 0 to 1."""
    lowest, highest = _ends(values, valid)
    return tf.where(valid, tf.math.divide_no_nan(values - lowest, highest - lowest), 0.0)
