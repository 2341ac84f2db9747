"""A head: what it is told, and what it answers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.heads.regression import Regression
from trainer.heads.taste import Met, Taste
from trainer.ranking_stage import Request


class Head(Protocol):
    """What is regressed; a `tf.Module`."""

    taste: Taste

    def start(self, rows: tf.Tensor) -> tf.Tensor:
        """Answers what is predicted without anything learned, [batch, C]."""

    def rival(self, request: Request, rows: tf.Tensor) -> tf.Tensor:
        """Predicts as the trivial rival does, [batch, C]."""

    def features(self, request: Request, met: Met, rows: tf.Tensor) -> tf.Tensor:
        """Describes customers with items [batch, C], to [batch, C, features]; NaN where nothing is known."""

    def answer(self, predicted: tf.Tensor) -> tf.Tensor:
        """Turns what is regressed into what is answered."""


class Newcomers(tf.Module):
    """What is added for items of which nothing was learned.

    Args:
      is_known: bool [items], whether something was.
      regression: what is added where nothing was.
    """

    def __init__(self, is_known: npt.NDArray[np.bool_], regression: Regression) -> None:
        super().__init__(name="newcomers")
        self._is_known = tf.Variable(is_known, trainable=False, name="is_known")
        self._regression = regression

    def added(self, usual: tf.Tensor, features: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Puts another number in place of the usual one [n] for newcomers among the rows [n]."""
        return tf.where(tf.gather(self._is_known, rows), usual, self._regression(features))


class LearnedHead(tf.Module):
    """A head with what it has learned.

    Args:
      head: says what is read.
      regression: what is added to what it starts with.
      newcomers: what is added for some items in place of that; None makes no difference between items.
    """

    def __init__(self, head: Head, regression: Regression, newcomers: Newcomers | None = None) -> None:
        super().__init__(name="learned_head")
        self.head, self._regression, self._newcomers = head, regression, newcomers

    def __call__(self, request: Request, rows: tf.Tensor) -> tf.Tensor:
        """Predicts for customers and items [batch, C], to [batch, C]; what it says of row -1 means nothing."""
        rows = tf.maximum(rows, 0)
        features = self.head.features(request, self.head.taste.look(request), rows)
        features = tf.reshape(features, [-1, features.shape[-1]])
        added = self._regression(features)
        if self._newcomers is not None:
            added = self._newcomers.added(added, features, tf.reshape(rows, [-1]))
        return self.head.answer(self.head.start(rows) + tf.reshape(added, tf.shape(rows)))
