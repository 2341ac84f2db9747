"""From past windows to a ranking stage: who asked, what was proposed, what was bought."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from pipeline import schema
from pipeline.config import Config
from trainer.cases import case_inputs
from trainer.catalogue import Catalogue
from trainer.device import deterministic_ops
from trainer.index import ExactIndex
from trainer.interactions import Interactions
from trainer.phase import TrainedModel
from trainer.ranking.fitting import fit_network
from trainer.ranking.knowledge import Knowledge, Wares
from trainer.ranking.lists import CandidateLists, join
from trainer.ranking.stage import Lookout, TwoStage
from trainer.ranking.trees import fit_trees
from trainer.request_reader import RequestReader, TextReader
from trainer.transform import TransformGraph

_LOG = logging.getLogger(__name__)
_BATCH = 64

Table = npt.NDArray[np.float32]


@dataclass(frozen=True)
class PastWindow:
    """A window that is over, and towers that have learned nothing from it.

    Args:
      cases: its requests with their truth, all at its start.
      towers: trained before its start.
    """

    cases: pa.Table
    towers: TrainedModel

    @property
    def start(self) -> int:
        """Seconds since 1970 UTC."""
        return int(self.cases["timestamp"][0].as_py())


@dataclass(frozen=True)
class RankingTraining:
    """What the ranking stage is made of, beside the windows.

    Args:
      config: of the shop.
      catalogue: the items.
      wares: what is known of the items at any time.
      bought: truth events of named users; of each window only those before it are looked at.
      transform_graph: folder of the Transform step's output for events.
    """

    config: Config
    catalogue: Catalogue
    wares: Wares
    bought: Interactions
    transform_graph: str

    def learn(self, windows: Sequence[PastWindow], end: int) -> TwoStage | None:
        """Trains networks and trees on past windows and joins them with what is known at the end.

        Args:
          windows: what to learn from.
          end: up to when the towers that are served have learned, seconds since 1970 UTC.

        Returns:
          The stage; None where no window holds a request with a candidate that was bought.
        """
        found = [self._lists(window) for window in windows]
        lists = join(found) if found else None
        if lists is None or not len(lists.with_hits()):
            _LOG.warning("ranking: no past window has a customer with a purchase to learn from; the towers rank alone")
            return None
        _LOG.info(
            "ranking: %d requests of %d windows, %d candidates", len(lists.with_hits()), len(found), len(lists.labels)
        )
        ranking, training = self.config.ranking, self.config.training
        with deterministic_ops(training.deterministic and not training.xla):
            networks = [fit_network(lists, ranking, self.config.seed + place) for place in range(ranking.ensemble)]
        trees = fit_trees(lists, ranking.trees, self.config.seed) if ranking.trees.count else None
        return TwoStage(self._lookout(end), networks, trees, depth=ranking.depth)

    def _lookout(self, end: int) -> Lookout:
        return Lookout(Knowledge(self.bought.before(end), self.wares, self.config.ranking), self.config)

    def _lists(self, window: PastWindow) -> CandidateLists:
        cases = _thinned(window.cases, self.config.ranking.max_requests)
        describe = self._describe(window, self._inputs(cases.slice(0, 1)))
        truth = cases["truth"].to_pylist()
        features, labels, lengths = [], [], []
        for first in range(0, len(cases), _BATCH):
            values, rows = (each.numpy() for each in describe(self._inputs(cases.slice(first, _BATCH))))
            there = rows >= 0
            features.append(values)
            labels.append(_hits(rows, [self.catalogue.rows(items) for items in truth[first : first + _BATCH]])[there])
            lengths.append(there.sum(axis=1))
        starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        return CandidateLists(np.concatenate(features), np.concatenate(labels), starts)

    def _inputs(self, cases: pa.Table) -> dict[str, tf.Tensor]:
        found = case_inputs(cases, self.config.features.context)
        return {name: tf.constant(values) for name, values in found.items()}

    def _describe(self, window: PastWindow, like: Mapping[str, tf.Tensor]) -> tf.types.experimental.PolymorphicFunction:
        """Makes the graph from raw requests, of whatever size, to candidates and their features: the one served."""
        lookout = self._lookout(window.start)
        ids = tf.constant(list(self.catalogue.ids))
        numbered = tf.lookup.KeyValueTensorInitializer(ids, tf.range(len(self.catalogue), dtype=tf.int64))
        model, index = window.towers.model, ExactIndex(window.towers.item_vectors)
        reader = RequestReader(
            self.config,
            model=model,
            texts=TextReader(self.config, model),
            transform=TransformGraph(self.transform_graph),
            rows=tf.lookup.StaticHashTable(numbered, default_value=-1),
            item_vectors=index.vectors,
        )
        count = tf.constant(min(self.config.serving.default_k, len(self.catalogue)))

        def describe(inputs: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            request = reader.read(inputs)
            evidence = lookout.look(request, index.scores(request.queries))
            rows = lookout.candidates(evidence, evidence.towers, count)
            return tf.transpose(lookout.features(evidence, tf.where(rows >= 0), rows)), rows

        shapes = {name: tf.TensorSpec([None] * len(each.shape), each.dtype) for name, each in like.items()}
        return tf.function(describe, input_signature=[shapes], autograph=False)


def _thinned(cases: pa.Table, most: int) -> pa.Table:
    step = -(-len(cases) // most)
    return cases.take(pa.array(np.arange(0, len(cases), max(step, 1))))


def _hits(rows: npt.NDArray[np.int64], truth: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.bool_]:
    return np.stack([np.isin(line, items[items >= 0]) for line, items in zip(rows, truth, strict=True)])


def price_levels(catalogue: Catalogue) -> Table:
    """Takes the items' prices as the towers read them, [items], NaN where unknown or left out."""
    scaled: Any = catalogue.features.get(schema.FEATURE_PRICE)
    if scaled is None:
        return np.full(len(catalogue), np.nan, np.float32)
    bucket: Any = catalogue.features[schema.FEATURE_PRICE_BUCKET]
    return np.where(bucket > 0, scaled, np.nan).astype(np.float32)
