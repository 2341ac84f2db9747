"""Batches for a training step: the data of an epoch is a function of the seed and the epoch's number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.columns import Columns
from trainer.inputs import HISTORY_ROWS, ITEM_ROW, QUERY, WEIGHT, EventExamples

DISTINCT_ROWS, HISTORY_PLACES, ITEM_PLACES = "distinct_rows", "history_places", "item_places"
FRESH_PLACES, FRESH_QUERIES, QUERY_PLACES = "fresh_places", "fresh_queries", "query_places"
_DISTINCT_MULTIPLE, _FRESH_MULTIPLE, _PREFETCHED = 256, 8, 4


@dataclass(frozen=True)
class BatchPlan:
    """How the examples become batches.

    Args:
      examples: what to learn from.
      batch_size: examples of a replica in a step; fewer only where there are fewer examples.
      items: size of the catalogue.
      seed: of the shuffling.
      features: names of the query tower's features in the examples.
      encodes: whether the text encoder runs in the step, and so needs the texts to encode.
      replicas: devices, of all workers, that take a batch each in every step; an epoch has whole steps only.
    """

    examples: EventExamples
    batch_size: int
    items: int
    seed: int
    features: tuple[str, ...]
    encodes: bool
    replicas: int = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch; what does not fill a batch is left for another epoch's order."""
        return max(1, len(self.examples) // (self.batch_size * self.replicas))

    def dataset(self, epoch: int, worker: int = 0, workers: int = 1) -> tf.data.Dataset:
        """Returns the batches of one epoch, as `numpy_batches`, for a training step."""
        probe = next(self.numpy_batches(epoch))
        signature = {
            name: tf.TensorSpec([None, *values.shape[1:]], tf.as_dtype(values.dtype)) for name, values in probe.items()
        }
        batches = tf.data.Dataset.from_generator(
            lambda: self.numpy_batches(epoch, worker, workers), output_signature=signature
        )
        count = self.steps * self.replicas // workers
        # There is nothing to tune, and Keras lets go of the data only when the tuner's thread wakes, which it does ever
        # more rarely (10.24 s and 20.48 s after the start, ...): every other epoch would wait for it.
        untuned = tf.data.Options()
        untuned.autotune.enabled = False
        whole = batches.apply(tf.data.experimental.assert_cardinality(count))
        return whole.prefetch(_PREFETCHED).with_options(untuned)

    def numpy_batches(self, epoch: int, worker: int = 0, workers: int = 1) -> Iterator[Columns]:
        """Yields the batches of one epoch.

        Each holds the examples' columns, but items by their place in `distinct_rows` [u]: rows of the catalogue
        plus 1, each once, the first and what fills up to a multiple being 0, which is padding.

        Args:
          epoch: from 0.
          worker: yield the batches of this worker's replicas only; it reads no others.
          workers: that share each step's replicas evenly.
        """
        order = np.random.default_rng((self.seed, epoch)).permutation(len(self.examples))
        size, held = min(self.batch_size, len(order) // self.replicas), self.replicas // workers
        for step in range(self.steps):
            first = step * self.replicas + worker * held
            for start in range(first * size, (first + held) * size, size):
                yield self._batch(self.examples.take(order[start : start + size]))

    def _batch(self, columns: Columns) -> Columns:
        history, items = columns[HISTORY_ROWS], columns[ITEM_ROW]
        distinct, places = _number(np.concatenate([history.ravel(), items]), self.items, _DISTINCT_MULTIPLE)
        batch = {
            DISTINCT_ROWS: distinct,
            HISTORY_PLACES: places[: history.size].reshape(history.shape),
            ITEM_PLACES: places[history.size :],
            WEIGHT: columns[WEIGHT],
            QUERY: columns[QUERY],
            **{name: columns[name] for name in self.features},
        }
        if self.encodes:
            fresh, _ = _number(batch[ITEM_PLACES], len(distinct), _FRESH_MULTIPLE)
            queries, query_places = _number(columns[QUERY], len(self.examples.query_texts), _FRESH_MULTIPLE)
            batch |= {FRESH_PLACES: fresh, FRESH_QUERIES: queries, QUERY_PLACES: query_places}
        return batch


def _number(
    values: npt.NDArray[np.int32], largest: int, multiple: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Returns 0 and the distinct values, filled up with 0 to a multiple, and each value's place among them."""
    present = np.zeros(largest + 1, np.bool_)
    present[values] = True
    present[0] = True
    distinct = np.flatnonzero(present)
    numbers = np.zeros(largest + 1, np.int32)
    numbers[distinct] = np.arange(len(distinct))
    filled = np.zeros(-(-len(distinct) // multiple) * multiple, np.int32)
    filled[: len(distinct)] = distinct
    return filled, numbers[values]
