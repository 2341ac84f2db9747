"""From query vectors to answers: scores of all items, what is allowed, candidates, the ranking stage, the best k."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from trainer import contract
from trainer.catalogue import Catalogue
from trainer.index import NO_ROW, ExactIndex, best, pick
from trainer.ranking_stage import RankingStage, Request

Tensors = Mapping[str, tf.Tensor]


class Answers(tf.Module):
    """Answers requests from the index.

    Args:
      catalogue: the items.
      index: their vectors.
      rows: finds catalogue rows by item id, -1 for an unknown one.
      stage: scores candidates again; None leaves the towers' scores.
    """

    def __init__(
        self, catalogue: Catalogue, index: ExactIndex, rows: tf.lookup.StaticHashTable, stage: RankingStage | None
    ) -> None:
        super().__init__(name="answers")
        self._index, self._rows, self._stage = index, rows, stage
        # A pad before the first item, so that row -1 reads as "".
        self.ids = tf.Variable(["", *catalogue.ids], trainable=False, name="item_ids")
        self._titles = tf.Variable(["", *catalogue.titles], trainable=False, name="titles")

    def best(
        self,
        queries: tf.Tensor,
        inputs: Tensors,
        *,
        request: Request | None = None,
        banned: tf.Tensor | None = None,
        known: tf.Tensor | None = None,
    ) -> Tensors:
        """Answers the k best items of each row.

        Args:
          queries: [batch, dim].
          inputs: the raw inputs of the signature.
          request: what the ranking stage needs to know; None goes without the stage.
          banned: [batch] int64, one more row that must not be answered; negative bans nothing.
          known: bool [batch], which rows get an answer at all; None means all.

        Returns:
          The outputs of a signature that answers items, K = min(max(k), items) of them.

        Raises:
          tf.errors.InvalidArgumentError: in the graph, for a k below 1.
        """
        k = inputs[contract.K]
        with tf.control_dependencies([tf.debugging.assert_positive(k, message="k must be at least 1")]):
            width = tf.clip_by_value(tf.reduce_max(k), 0, self._index.size)
        scores = self._index.scores(queries)
        excluded = self._rows.lookup(inputs[contract.EXCLUDE])
        if banned is not None:
            excluded = tf.concat([excluded, banned[:, tf.newaxis]], axis=1)
        allowed = _without(scores, excluded)
        if request is None or self._stage is None:
            rows = best(allowed, width)
            found = pick(allowed, rows)
        else:
            rows, found = _by_score(*self._ranked(request, scores, allowed, width), width)
        wanted = (tf.range(width)[tf.newaxis, :] < k[:, tf.newaxis]) & (rows >= 0)
        if known is not None:
            wanted &= known[:, tf.newaxis]
        return self._named(tf.where(wanted, rows, NO_ROW), tf.where(wanted, found, -np.inf))

    def scores_of(self, request: Request, candidates: tf.Tensor) -> tf.Tensor:
        """Scores given items as `best` does, item ids [batch, n] to [batch, n]; minus infinity for unknown items."""
        rows = self._rows.lookup(candidates)
        scores = self._index.scores_of(request.queries, rows)
        if self._stage is None:
            return scores
        return tf.where(rows >= 0, self._stage.scores(request, rows, scores), -np.inf)

    def _ranked(
        self, request: Request, scores: tf.Tensor, allowed: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Lets the stage pick candidates and score them; rows and scores [batch, C]."""
        assert self._stage is not None
        # Equal scores keep the order in which they come: the catalogue's.
        rows = tf.sort(self._stage.candidates(request, allowed, count), axis=1)
        return rows, tf.where(rows >= 0, self._stage.scores(request, rows, pick(scores, rows)), -np.inf)

    def _named(self, rows: tf.Tensor, scores: tf.Tensor) -> Tensors:
        return {
            "item_ids": tf.gather(self.ids, rows + 1),
            "scores": scores,
            "titles": tf.gather(self._titles, rows + 1),
        }


def _by_score(rows: tf.Tensor, scores: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts candidates [batch, C] by score and keeps the first, [batch, width]; pads where C is smaller."""
    missing = tf.maximum(width - tf.shape(rows)[1], 0)
    scores = tf.pad(scores, [[0, 0], [0, missing]], constant_values=-np.inf)
    rows = tf.pad(rows, [[0, 0], [0, missing]], constant_values=tf.constant(NO_ROW, tf.int64))
    scores, places = tf.math.top_k(scores, k=width)
    return tf.gather(rows, places, batch_dims=1), scores


def _without(scores: tf.Tensor, excluded: tf.Tensor) -> tf.Tensor:
    """Sets scores [batch, items] to minus infinity at the rows `excluded` [batch, e]; negative ones are ignored."""
    places = tf.where(excluded >= 0)
    cells = tf.stack([places[:, 0], tf.gather_nd(excluded, places)], axis=1)
    return tf.tensor_scatter_nd_update(scores, cells, tf.fill([tf.shape(cells)[0]], -np.float32(np.inf)))
