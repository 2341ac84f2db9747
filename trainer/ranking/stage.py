"""The ranking stage in the served graph: evidence, candidates, features, networks, trees."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.config import Config
from trainer.ranking.candidates import propose
from trainer.ranking.knowledge import Knowledge
from trainer.ranking.network import RankingNetwork
from trainer.ranking.pair_features import Evidence, gather_evidence, pair_features, stack
from trainer.ranking.trees import BoostedTrees
from trainer.ranking_stage import Request


class Lookout(tf.Module):
    """Finds candidates and describes them: all of the stage but what networks and trees say.

    Args:
      knowledge: of the shop at a moment.
      config: of the shop.
    """

    def __init__(self, knowledge: Knowledge, config: Config) -> None:
        super().__init__(name="lookout")
        self.knowledge = knowledge
        self._length = config.ranking.history_length
        self._candidates = config.ranking.candidates
        self._truth_types = tuple(config.split.truth_events)

    def look(self, request: Request, scores: tf.Tensor) -> Evidence:
        """Reads the histories of requests; `scores` [batch, items] are the towers'."""
        return gather_evidence(_cut(request, self._length), scores, self.knowledge, self._truth_types)

    def candidates(self, evidence: Evidence, allowed: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Picks items; see `RankingStage.candidates`."""
        return propose(evidence, self.knowledge, allowed, count, self._candidates)

    def features(self, evidence: Evidence, places: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Describes the candidates at `places` [n, 2] of rows [batch, C], to [features, n]."""
        return stack(pair_features(evidence, self.knowledge, places[:, 0], tf.gather_nd(rows, places)))


class TwoStage(tf.Module):
    """What `trainer.ranking_stage.RankingStage` promises.

    Args:
      lookout: finds and describes.
      networks: their log-odds are averaged. They have learned from the same lists, so they read the same bins.
      trees: the first of them and the rest, as `fit_trees` makes them. Their log-odds weigh as much as those of all
        networks; None goes without.
      depth: candidates of a request that networks and later trees read where only the best matter, the best by the
        first trees.

    Raises:
      ValueError: if the networks read different bins.
    """

    def __init__(
        self,
        lookout: Lookout,
        networks: Sequence[RankingNetwork],
        trees: tuple[BoostedTrees, BoostedTrees] | None = None,
        *,
        depth: int,
    ) -> None:
        super().__init__(name="ranking")
        self._lookout, self._depth = lookout, depth
        self._trees: Any = trees
        # The Keras models stay out of the saved object; only their weights are served.
        self._weights = [variable.value for network in networks for variable in network.variables]
        for network in networks[1:]:
            if not np.array_equal(network.bins.starts, networks[0].bins.starts):
                raise ValueError(
                    "expected networks with the same bins, as one set of lists makes them; got different ones"
                )
        self._bins: Any = networks[0].bins.__call__
        self._networks: tuple[Any, ...] = tuple(network.of_bins for network in networks)

    def look(self, request: Request, scores: tf.Tensor) -> Evidence:
        """Reads requests; see `RankingStage.look`."""
        return self._lookout.look(request, scores)

    def candidates(self, evidence: Evidence, allowed_scores: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Picks candidates; see `RankingStage.candidates`."""
        return self._lookout.candidates(evidence, allowed_scores, count)

    def scores(self, evidence: Evidence, rows: tf.Tensor, *, best: bool = False) -> tf.Tensor:
        """Scores candidates by the log-odds that they are bought; see `RankingStage.scores`."""
        # Lines have different numbers of candidates, and all that follows costs time by the candidate.
        places = tf.where(rows >= 0)
        values = self._lookout.features(evidence, places, rows)
        if self._trees is None:
            odds = self._told(values)
        else:
            rough = self._trees[0](values)
            odds = self._read_best(values, rough, places, rows) if best else self._read(values, rough)
        return tf.tensor_scatter_nd_update(tf.zeros(tf.shape(rows)), places, odds)

    def _read(self, values: tf.Tensor, rough: tf.Tensor) -> tf.Tensor:
        """What all say of features [features, n] of which the first trees say `rough`, [n]."""
        return (rough + self._trees[1](values) + self._told(values)) / 2

    def _read_best(self, values: tf.Tensor, rough: tf.Tensor, places: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """The same for the best of each line by the first trees; the others stay no higher, in their order by these.

        How many are read does not depend on how many are asked for: of the same candidates, a longer answer begins
        as a shorter one.
        """
        lines = places[:, 0]
        table = tf.tensor_scatter_nd_update(tf.fill(tf.shape(rows), -np.float32(np.inf)), places, rough)
        depth = tf.minimum(self._depth, tf.shape(rows)[1])
        # The least of a line that is read, equal ones with it; minus infinity where all of the line are.
        least = tf.reduce_min(tf.math.top_k(table, depth, sorted=False).values, axis=1)
        read = tf.where(rough >= tf.gather(least, lines))[:, 0]
        odds = self._read(tf.gather(values, read, axis=1), tf.gather(rough, read))
        lowest = tf.math.unsorted_segment_min(odds, tf.gather(lines, read), tf.shape(rows)[0])
        below = tf.gather(lowest, lines) + (rough - tf.gather(least, lines))
        return tf.tensor_scatter_nd_update(below, read[:, tf.newaxis], odds)

    def _told(self, values: tf.Tensor) -> tf.Tensor:
        """What the networks say, features in rows: [features, n] to [n]."""
        bins = self._bins(values)
        return tf.add_n([network(bins) for network in self._networks]) / len(self._networks)


def _cut(request: Request, length: int) -> Request:
    """Keeps the newest `length` events of the histories."""
    return dataclasses.replace(
        request,
        history_rows=request.history_rows[:, :length],
        history_types=request.history_types[:, :length],
        history_ages_days=request.history_ages_days[:, :length],
        history_quantities=request.history_quantities[:, :length],
    )
