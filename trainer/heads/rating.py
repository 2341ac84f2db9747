"""The rating head: how many stars a customer would give an item."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import tensorflow as tf

from pipeline import schema
from trainer.heads.stars import LEAST, MOST, StarBiases, ratings, star_biases
from trainer.heads.taste import Met, Taste
from trainer.interactions import Interactions
from trainer.ranking_stage import Request


class RatingHead(tf.Module):
    """Stars of 1 to 5, by user bias, item bias and taste.

    Args:
      taste: reads histories.
      events: of any type before the moment, at least one rating among them.
    """

    def __init__(self, taste: Taste, events: Interactions) -> None:
        super().__init__(name="rating")
        self.taste = taste
        biases = star_biases(ratings(events))
        self._mean = tf.constant(biases.mean, tf.float32)
        self._items = tf.Variable(biases.items, trainable=False, name="item_stars", dtype=tf.float32)
        self._users = _user_table(biases, events.user_ids)

    def start(self, rows: tf.Tensor) -> tf.Tensor:
        """Answers what is predicted without anything learned, the mean of all ratings, [batch, C]."""
        return tf.fill(tf.shape(rows), self._mean)

    def rival(self, request: Request, rows: tf.Tensor) -> tf.Tensor:
        """Predicts by user bias + item bias, [batch, C]."""
        return self.answer(self._mean + self._user_bias(request)[:, tf.newaxis] + tf.gather(self._items, rows))

    def features(self, request: Request, met: Met, rows: tf.Tensor) -> tf.Tensor:
        """Describes customers with items [batch, C], to [batch, C, features]."""
        taste = self.taste
        spending, dearness = taste.spending(met, rows), tf.gather(taste.dearness, rows)
        columns = [
            tf.broadcast_to(self._user_bias(request)[:, tf.newaxis], tf.shape(rows)),
            tf.gather(self._items, rows),
            dearness,
            dearness * spending[-1],
            *tf.unstack(tf.gather(taste.funnel, rows), axis=-1),
            *taste.likeness(met, rows),
            *taste.familiarity(met, rows),
            *spending,
            *taste.activity(met, rows),
        ]
        return tf.stack(columns, axis=-1)

    def answer(self, predicted: tf.Tensor) -> tf.Tensor:
        """Bounds predictions to what a rating can be."""
        return tf.clip_by_value(predicted, LEAST, MOST)

    def _user_bias(self, request: Request) -> tf.Tensor:
        return self._users.lookup(request.inputs[schema.RAW_USER_ID])


def _user_table(biases: StarBiases, user_ids: pa.Array) -> tf.lookup.StaticHashTable:
    rated = np.flatnonzero(biases.users)
    names = np.array([*user_ids.take(pa.array(rated)).to_pylist(), ""], object)
    values = np.append(biases.users[rated], 0.0).astype(np.float32)
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(tf.constant(names), values), 0.0)
