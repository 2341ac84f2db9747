"""Judges a model while it learns: the gate's metric over the whole catalogue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer import metrics
from trainer.validation_cases import ValidationCases
from trainer.models.tables import TrainingTables
from trainer.models.two_tower import TwoTower
from trainer.texts import TextVectors

_BATCH = 1024
_ITEM_BATCH = 8192


def catalogue_vectors(model: TwoTower, tables: TrainingTables) -> npt.NDArray[np.float32]:
    """Computes the vectors of the whole catalogue from the text vectors that the tables hold, [items, dim]."""

    @tf.function(reduce_retracing=True)
    def vectors(lines: tf.Tensor) -> tf.Tensor:
        features = {name: tf.gather(table, lines) for name, table in tables.features.items()}
        text = None if tables.item_text is None else tf.gather(tables.item_text, lines)
        return model.item_vectors(features, lines - 1, text)

    items = tables.probabilities.shape[0]
    parts = [vectors(tf.range(start, min(start + _ITEM_BATCH, items))) for start in range(1, items, _ITEM_BATCH)]
    return np.concatenate([part.numpy() for part in parts])


class Validation:
    """Ranks the catalogue for the cases of a window.

    Args:
      cases: the requests and what followed them; at least one.
      metric: the one that training is stopped by, as in `ndcg@20`.
      texts: encodes the queries of the cases.
    """

    def __init__(self, cases: ValidationCases, metric: str, texts: TextVectors | None) -> None:
        self.metric = metric
        self._cases = cases
        self._texts = texts
        self._depth = metrics.parse_metric(metric)[1]
        self._names = sorted({f"{name}@{self._depth}" for name in metrics.METRICS})

    def measure(self, model: TwoTower, item_vectors: npt.NDArray[np.float32]) -> dict[str, float]:
        """Computes all metrics at the k of the one that counts.

        Args:
          model: gives the query vectors.
          item_vectors: [items, dim].

        Returns:
          The mean over the cases, by metric.
        """
        ranked = self.rank(model, item_vectors)
        values = metrics.measure(ranked, self._cases.truth, self._names)
        return {name: float(of_cases.mean()) for name, of_cases in values.items()}

    def rank(self, model: TwoTower, item_vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """Answers the best rows of the catalogue for each case, best first, [cases, k]."""
        queries = self._query_function(model, tf.constant(item_vectors))
        text = self._encode_queries()
        k = min(self._depth, len(item_vectors))
        ranked = [queries(slice(start, start + _BATCH), text, k) for start in range(0, len(self._cases), _BATCH)]
        return np.concatenate(ranked)

    def _encode_queries(self) -> npt.NDArray[np.float32] | None:
        """Encodes the queries, zeros where there is none."""
        if self._texts is None or self._cases.texts is None:
            return None
        vectors = np.zeros((len(self._cases), self._texts.width), np.float32)
        searched = self._cases.searched
        vectors[searched] = self._texts.encode(self._cases.texts[searched])
        return vectors

    def _query_function(
        self, model: TwoTower, item_table: tf.Tensor
    ) -> Callable[[slice, npt.NDArray[np.float32] | None, int], npt.NDArray[np.int32]]:
        cases = self._cases

        @tf.function(reduce_retracing=True)
        def best(features: dict[str, tf.Tensor], history: tf.Tensor, text: tf.Tensor | None, k: tf.Tensor) -> tf.Tensor:
            queries = model.query_vectors(features, history, text, item_table)
            return tf.math.top_k(tf.matmul(queries, item_table, transpose_b=True), k).indices

        def rank(part: slice, text: npt.NDArray[np.float32] | None, k: int) -> npt.NDArray[np.int32]:
            features = {name: tf.constant(values[part]) for name, values in cases.features.items()}
            some = None if text is None else tf.constant(text[part])
            return best(features, tf.constant(cases.history_rows[part]), some, tf.constant(k)).numpy()

        return rank
