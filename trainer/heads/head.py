"""A head: what it is told, and what it answers."""

from __future__ import annotations

from typing import Protocol

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


class LearnedHead(tf.Module):
    """A head with what it has learned.

    Args:
      head: says what is read.
      regression: what is added to what it starts with.
    """

    def __init__(self, head: Head, regression: Regression) -> None:
        super().__init__(name="learned_head")
        self.head, self._regression = head, regression

    def __call__(self, request: Request, rows: tf.Tensor) -> tf.Tensor:
        """Predicts for customers and items [batch, C], to [batch, C]; what it says of row -1 means nothing."""
        rows = tf.maximum(rows, 0)
        features = self.head.features(request, self.head.taste.look(request), rows)
        added = self._regression(tf.reshape(features, [-1, features.shape[-1]]))
        return self.head.answer(self.head.start(rows) + tf.reshape(added, tf.shape(rows)))
