"""From query vectors to answers: all scores, what is allowed, candidates, the ranking stage, boosts, the best k."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline import schema
from trainer import contract
from trainer.catalogue import Catalogue
from trainer.index import NO_ROW, ExactIndex, best, cells_of, pick
from trainer.ranking_stage import RankingStage, Request
from trainer.rules.attributes import ItemAttributes
from trainer.rules.boosts import Boosts, boosted
from trainer.rules.diversity import best_within_caps
from trainer.rules.facets import Facets
from trainer.rules.fallback import COUNTRY, Fallback, Popularity
from trainer.rules.filters import Filters
from trainer.rules.selection import Selection

Tensors = Mapping[str, tf.Tensor]


class Answers(tf.Module):
    """Answers requests from the index.

    Args:
      catalogue: the items.
      attributes: what rules know of them.
      index: their vectors.
      rows: finds catalogue rows by item id, -1 for an unknown one.
      popularity: answers requests that say nothing.
      stage: scores candidates again; None leaves the towers' scores.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        attributes: ItemAttributes,
        *,
        index: ExactIndex,
        rows: tf.lookup.StaticHashTable,
        popularity: Popularity,
        stage: RankingStage | None,
    ) -> None:
        super().__init__(name="answers")
        self._index, self._rows, self._stage = index, rows, stage
        # A pad before the first item, so that row -1 reads as "".
        self.ids = tf.Variable(["", *catalogue.ids], trainable=False, name="item_ids")
        self._titles = tf.Variable(["", *catalogue.titles], trainable=False, name="titles")
        self._filters, self._facets = Filters(attributes, rows), Facets(attributes)
        self._fallback = Fallback(popularity)
        self._boosts = Boosts(rows, index.size)

    def best(
        self,
        queries: tf.Tensor,
        inputs: Tensors,
        *,
        request: Request | None = None,
        banned: tf.Tensor | None = None,
        known: tf.Tensor | None = None,
        silent: tf.Tensor | None = None,
        fused: Callable[[tf.Tensor], tf.Tensor] | None = None,
        reasons: Callable[[tf.Tensor], Tensors] | None = None,
    ) -> Tensors:
        """Answers the k best items of each row.

        Args:
          queries: [batch, dim].
          inputs: the raw inputs of the signature.
          request: what the ranking stage needs to know; None goes without the stage.
          banned: [batch] int64, one more row that must not be answered; negative bans nothing.
          known: bool [batch], which rows get an answer at all; None means all.
          silent: bool [batch], which rows are answered by popularity; None means none.
          fused: scores all items, [batch, items], in place of the towers alone; it is told which are allowed.
          reasons: says more of the answered rows [batch, K], -1 pads; None says no more.

        Returns:
          The outputs of a signature that answers items, K = min(max(k), items) of them.

        Raises:
          tf.errors.InvalidArgumentError: in the graph, naming the input that is out of its limits.
        """
        selection, weights = Selection.read(inputs, self._index.size), self._boosts.weights(inputs)
        may = self._filters.allowed(inputs, banned)
        towers = self._index.scores(queries) if fused is None else fused(may)
        evidence, scores = self._look(request, towers), self._spoken_for(towers, inputs, silent)
        allowed = boosted(tf.where(may, scores, -np.inf), weights)
        rows = tf.sort(self._candidates(evidence, allowed, selection), axis=1)  # so equal ones keep their order
        staged = None if evidence is None else self._staged(evidence, rows, silent, scores)
        found = pick(allowed, rows) if staged is None else boosted(staged, weights, rows)
        rows, found = selection.select(rows, found, vectors=self._index.vectors, path_of=self._filters.path_of)
        return self._named(*(rows, found) if known is None else _only(known, rows, found), reasons)

    def scores_of(self, request: Request, silent: tf.Tensor) -> tf.Tensor:
        """Scores the candidates [batch, n] of `rank`, minus infinity for unknown items and those that are filtered."""
        inputs = request.inputs
        rows = self._rows.lookup(inputs[contract.CANDIDATES])
        scores = self._spoken_for(self._index.scores_of(request.queries, rows), inputs, silent, rows)
        if self._stage is not None:
            evidence = self._stage.look(request, self._index.scores(request.queries))
            scores = _unless(silent, self._stage.scores(evidence, rows), scores)
        return tf.where((rows >= 0) & cells_of(self._filters.allowed(inputs), rows), scores, -np.inf)

    def facets(self, found: tf.Tensor, inputs: Tensors) -> Tensors:
        """Counts by kind the items of result sets, bool [batch, items], that the filters allow."""
        return self._facets.count(found & self._filters.allowed(inputs), inputs[contract.FACET_SIZE])

    def _look(self, request: Request | None, towers: tf.Tensor) -> Any:
        return None if request is None or self._stage is None else self._stage.look(request, towers)

    def _staged(self, evidence: Any, rows: tf.Tensor, silent: tf.Tensor | None, scores: tf.Tensor) -> tf.Tensor:
        """Lets the stage score candidates [batch, C], the best of which matter; of silent lines it knows nothing."""
        assert self._stage is not None  # who else has found evidence
        found = _unless(silent, self._stage.scores(evidence, rows, best=True), pick(scores, rows))
        return tf.where(rows >= 0, found, -np.inf)

    def _named(self, rows: tf.Tensor, scores: tf.Tensor, reasons: Callable[[tf.Tensor], Tensors] | None) -> Tensors:
        ids, titles = (tf.gather(texts, rows + 1) for texts in (self.ids, self._titles))
        more = {} if reasons is None else reasons(rows)
        return {"item_ids": ids, "scores": scores, "titles": titles, **self._filters.prices_of(rows), **more}

    def _spoken_for(
        self, scores: tf.Tensor, inputs: Tensors, silent: tf.Tensor | None, rows: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Puts popularity in place of the scores [batch, n] of silent rows; `rows` are the items, None for all."""
        if silent is None:
            return scores

        def popular() -> tf.Tensor:
            found = self._fallback.scores(inputs.get(COUNTRY, tf.zeros_like(inputs[schema.RAW_USER_ID])))
            return tf.where(silent[:, tf.newaxis], found if rows is None else pick(found, rows), scores)

        return tf.cond(tf.reduce_any(silent), popular, lambda: scores)

    def _candidates(self, evidence: Any, allowed: tf.Tensor, selection: Selection) -> tf.Tensor:
        """Picks rows to choose the answer from, [batch, C]; no row twice."""

        def pool(scores: tf.Tensor) -> tf.Tensor:
            if self._stage is None or evidence is None:
                return best(scores, selection.pool)
            return self._stage.candidates(evidence, scores, selection.pool)

        def enough_of_each() -> tuple[tf.Tensor, tf.Tensor]:
            # Whatever the stage prefers, with these among them k items are left that keep to the caps.
            rows = best_within_caps(allowed, self._filters.path_of, selection.caps, selection.width)
            return rows, _without(allowed, rows)

        def none() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.zeros([tf.shape(allowed)[0], 0], tf.int64), allowed

        needed, others = tf.cond(selection.capped, enough_of_each, none)
        return tf.concat([needed, pool(others)], axis=1)


def _unless(silent: tf.Tensor | None, scores: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Takes the other scores [batch, n] in silent lines [batch]: of those the stage knows nothing, either."""
    return scores if silent is None else tf.where(silent[:, tf.newaxis], others, scores)


def _only(known: tf.Tensor, rows: tf.Tensor, scores: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Empties the lines [batch] that are not known."""
    return tf.where(known[:, tf.newaxis], rows, NO_ROW), tf.where(known[:, tf.newaxis], scores, -np.inf)


def _without(scores: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Sets scores [batch, items] to minus infinity at the rows [batch, n]; `NO_ROW` is ignored."""
    places = tf.where(rows >= 0)
    cells = tf.stack([places[:, 0], tf.gather_nd(rows, places)], axis=1)
    return tf.tensor_scatter_nd_update(scores, cells, tf.fill([tf.shape(cells)[0]], -np.float32(np.inf)))
