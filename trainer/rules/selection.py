"""How many items a request wants, how different, and which candidates those are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from trainer import contract
from trainer.index import NO_ROW
from trainer.rules.diversity import marginal_relevance, within_caps
from trainer.rules.limits import checked

Tensors = Mapping[str, tf.Tensor]

MAX_DIVERSE = 1_000
_POOL_FACTOR, _POOL_LEAST = 4, 100


@dataclass(frozen=True)
class Selection:
    """What requests say of the number of answers and of their variety.

    Args:
      k: [batch] int32, how many items each row wants.
      width: how many columns the answer has, a scalar int32: the largest k or all items.
      pool: how many candidates are needed, a scalar int32.
      strengths: [batch] float32, the strength of maximal marginal relevance; 0 for none.
      caps: [batch] int32, how many items of a category; 0 sets no limit.
    """

    k: tf.Tensor
    width: tf.Tensor
    pool: tf.Tensor
    strengths: tf.Tensor
    caps: tf.Tensor

    @classmethod
    def read(cls, inputs: Tensors, size: int) -> Selection:
        """Reads and checks the inputs of a signature.

        Args:
          inputs: the raw inputs.
          size: number of items.

        Raises:
          tf.errors.InvalidArgumentError: in the graph, naming the input that is out of its limits.
        """
        k, strengths = inputs[contract.K], inputs[contract.DIVERSITY]
        caps = inputs.get(contract.MAX_PER_CATEGORY, tf.zeros_like(k))
        k = checked(k, k >= 1, f"{contract.K} must be at least 1")
        within = (strengths >= 0) & (strengths <= 1)
        strengths = checked(strengths, within, f"{contract.DIVERSITY} must be between 0 and 1")
        small = (k <= MAX_DIVERSE) | (strengths <= 0)
        k = checked(k, small, f"{contract.K} must be at most {MAX_DIVERSE} where {contract.DIVERSITY} is above 0")
        caps = checked(caps, caps >= 0, f"{contract.MAX_PER_CATEGORY} must not be negative; 0 sets no limit")
        width = tf.clip_by_value(tf.reduce_max(k), 0, size)
        larger = tf.maximum(_POOL_FACTOR * tf.minimum(width, MAX_DIVERSE), tf.maximum(width, _POOL_LEAST))
        pool = tf.where(tf.reduce_any(strengths > 0), tf.minimum(larger, size), width)
        return cls(k, width, pool, strengths, caps)

    @property
    def capped(self) -> tf.Tensor:
        """Whether any row sets a cap, a scalar."""
        return tf.reduce_any(self.caps > 0)

    def select(
        self, rows: tf.Tensor, scores: tf.Tensor, *, vectors: tf.Tensor, path_of: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Chooses the answer among candidates.

        Args:
          rows: [batch, C] int64; -1 pads. Equal scores keep their order.
          scores: [batch, C] float32.
          vectors: [items, dim], the index's.
          path_of: [items] int32, the category of each item, -1 for none.

        Returns:
          Rows and scores [batch, width], best first, or in the order in which maximal marginal relevance picked them.
          A row that wants or has fewer ends with `NO_ROW` and minus infinity.
        """
        rows, scores = _sorted(rows, tf.where(rows >= 0, scores, -np.inf), self.width)

        def capped() -> tuple[tf.Tensor, tf.Tensor]:
            kept = within_caps(tf.gather(path_of, tf.maximum(rows, 0)), self.caps)
            return _first(*_sorted(rows, tf.where(kept, scores, -np.inf), self.width), self.width)

        def diverse() -> tuple[tf.Tensor, tf.Tensor]:
            known = tf.maximum(rows, 0)
            places = marginal_relevance(
                scores,
                tf.math.l2_normalize(tf.gather(vectors, known), axis=-1),
                tf.gather(path_of, known),
                strengths=self.strengths,
                caps=self.caps,
                count=self.width,
            )
            return _picked(rows, scores, places)

        def plain() -> tuple[tf.Tensor, tf.Tensor]:
            return tf.cond(self.capped, capped, lambda: _first(rows, scores, self.width))

        chosen, values = tf.cond(tf.reduce_any(self.strengths > 0), diverse, plain)
        wanted = (tf.range(self.width)[tf.newaxis, :] < self.k[:, tf.newaxis]) & (values > -np.inf)
        return tf.where(wanted, chosen, NO_ROW), tf.where(wanted, values, -np.inf)


def _sorted(rows: tf.Tensor, scores: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Sorts candidates [batch, C] by score; at least `width` wide."""
    missing = tf.maximum(width - tf.shape(rows)[1], 0)
    scores = tf.pad(scores, [[0, 0], [0, missing]], constant_values=-np.inf)
    rows = tf.pad(rows, [[0, 0], [0, missing]], constant_values=tf.constant(NO_ROW, tf.int64))
    scores, places = tf.math.top_k(scores, k=tf.shape(scores)[1])
    return tf.gather(rows, places, batch_dims=1), scores


def _picked(rows: tf.Tensor, scores: tf.Tensor, places: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    found = tf.maximum(places, 0)
    rows, scores = tf.gather(rows, found, batch_dims=1), tf.gather(scores, found, batch_dims=1)
    return tf.where(places >= 0, rows, NO_ROW), tf.where(places >= 0, scores, -np.inf)


def _first(rows: tf.Tensor, scores: tf.Tensor, width: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return rows[:, :width], scores[:, :width]
