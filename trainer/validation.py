"""Judges a model while it learns: the gate's metric over the whole catalogue."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import metrics
from trainer.models.tables import TrainingTables
from trainer.models.two_tower import TwoTower
from trainer.texts import TextVectors
from trainer.validation_cases import ValidationCases

_BATCH = 1024
_ITEM_BATCH = 8192


class CatalogueVectors:
    """Computes the vectors of the whole catalogue from the text vectors that the tables hold.

    Args:
      model: with the item tower.
      tables: features and text vectors of the items.
    """

    def __init__(self, model: TwoTower, tables: TrainingTables) -> None:
        self._items = int(tables.probabilities.shape[0])

        @tf.function(autograph=False, reduce_retracing=True)
        def vectors(lines: tf.Tensor) -> tf.Tensor:
            features = {name: tf.gather(table, lines) for name, table in tables.features.items()}
            text = None if tables.item_text is None else tf.gather(tables.item_text, lines)
            return model.item_vectors(features, lines - 1, text)

        self._vectors = vectors

    def compute(self) -> npt.NDArray[np.float32]:
        """Returns the vectors as the model is now, [items, dim]."""
        starts = range(1, self._items, _ITEM_BATCH)
        parts = [self._vectors(tf.range(start, min(start + _ITEM_BATCH, self._items))) for start in starts]
        return np.concatenate([part.numpy() for part in parts])


class Validation:
    """Ranks the catalogue for the cases of a window.

    Args:
      model: with the query tower.
      cases: the requests and what followed them; at least one.
      metric: the one that training is stopped by, as in `ndcg@20`.
      texts: encodes the queries of the cases; None where there is no encoder.
    """

    def __init__(self, model: TwoTower, cases: ValidationCases, metric: str, texts: TextVectors | None) -> None:
        self.metric = metric
        self._cases = cases
        self._texts = texts
        self._depth = metrics.parse_metric(metric)[1]
        self._names = [f"{name}@{self._depth}" for name in sorted(metrics.METRICS)]

        @tf.function(autograph=False, reduce_retracing=True)
        def best(
            features: dict[str, tf.Tensor], history: tf.Tensor, text: tf.Tensor | None, items: tf.Tensor, k: tf.Tensor
        ) -> tf.Tensor:
            queries = model.query_vectors(features, history, text, items)
            return tf.math.top_k(tf.matmul(queries, items, transpose_b=True), k).indices

        self._best = best

    def measure(self, item_vectors: npt.NDArray[np.float32]) -> dict[str, float]:
        """Computes all metrics at the k of the one that counts.

        Args:
          item_vectors: [items, dim] of the catalogue, as the model is now.

        Returns:
          The mean over the cases, by metric.
        """
        values = metrics.measure(self.rank(item_vectors), self._cases.truth, self._names)
        return {name: float(of_cases.mean()) for name, of_cases in values.items()}

    def rank(self, item_vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """Answers the best rows of the catalogue for each case, best first, [cases, k]."""
        text, items = self._encode_queries(), tf.constant(item_vectors)
        k = tf.constant(min(self._depth, len(item_vectors)))
        ranked = []
        for start in range(0, len(self._cases), _BATCH):
            part = slice(start, start + _BATCH)
            features = {name: tf.constant(values[part]) for name, values in self._cases.features.items()}
            some = None if text is None else tf.constant(text[part])
            ranked.append(self._best(features, tf.constant(self._cases.history_rows[part]), some, items, k).numpy())
        return np.concatenate(ranked)

    def _encode_queries(self) -> npt.NDArray[np.float32] | None:
        """Encodes the queries, zeros where there is none."""
        if self._texts is None or self._cases.texts is None:
            return None
        vectors = np.zeros((len(self._cases), self._texts.width), np.float32)
        searched = self._cases.searched
        vectors[searched] = self._texts.encode(self._cases.texts[searched])
        return vectors
