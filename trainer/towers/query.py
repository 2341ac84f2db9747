"""The query tower: who asks, when, after what, and with which words; any of it may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from pipeline import schema
from trainer.towers.embedding import small_embedding, small_start
from trainer.towers.history import HistoryPooling

# Share of the training examples from which each part is taken away, so that answers without it make sense.
HISTORY_DROPOUT, CONTEXT_DROPOUT, QUERY_DROPOUT, USER_DROPOUT = 0.1, 0.1, 0.1, 0.3


class QueryTower(keras.layers.Layer):
    """Turns requests into vectors of length 1.

    A learned constant (what anybody wants), the history, the projected query text, the context and the user are
    added up; hidden layers over all of them add what only their combination says.

    Args:
      dimension: width of the vectors.
      hidden: widths of the hidden layers.
      history: turns the events before the request into a vector.
      context: number of values of each context feature; 0 means missing, but for hour, weekday and month.
      user_buckets: number of hash buckets of users; 0 leaves them out.
      query: whether requests may carry a text.
      dropout: in the hidden layers.
      l2: weight of the penalty on what is learned.
      seed: of the dropout of parts.
    """

    def __init__(
        self,
        dimension: int,
        *,
        hidden: Sequence[int],
        history: HistoryPooling,
        context: Mapping[str, int],
        user_buckets: int,
        query: bool,
        dropout: float,
        l2: float,
        seed: int,
    ) -> None:
        super().__init__(name="query_tower")
        small, penalty = small_start(dimension), keras.regularizers.L2(l2)
        self.seeds = keras.random.SeedGenerator(seed)
        self.history = history
        self.query = query
        self.tables = {name: small_embedding(size, dimension, name, l2) for name, size in sorted(context.items())}
        self.users = small_embedding(user_buckets + 1, dimension, "user", l2) if user_buckets else None
        self.base = self.add_weight(name="base", shape=(dimension,), initializer=small)
        self.hidden_layers = [keras.layers.Dense(width, "gelu", kernel_regularizer=penalty) for width in hidden]
        self.dropout = keras.layers.Dropout(dropout, seed=seed)
        self.residual = keras.layers.Dense(dimension, kernel_initializer="zeros", kernel_regularizer=penalty)

    def call(
        self,
        features: Mapping[str, tf.Tensor],
        entries: tf.Tensor,
        present: tf.Tensor,
        text: tf.Tensor | None,
        training: bool = False,
    ) -> tf.Tensor:
        """Computes query vectors.

        Args:
          features: transformed features of the requests, [batch, H] for the history's types and ages, else [batch].
          entries: [batch, H, dim] the item vectors of the history.
          present: bool [batch, H], where the history holds an item of the catalogue.
          text: [batch, dim] projected query text, zeros where nobody typed; None where the shop has no search.
          training: whether parts and hidden units drop out.

        Returns:
          [batch, dim] float32.
        """
        batch = tf.shape(entries)[0]
        context = self._context(features, batch, training)
        parts = [context]
        if text is not None:
            parts.append(self._keep(text, QUERY_DROPOUT, training))
        present &= (self._kept(batch, HISTORY_DROPOUT, training) > 0)[:, tf.newaxis]
        entries = tf.cast(entries, self.compute_dtype)
        types, ages = features[schema.FEATURE_HISTORY_TYPES], features[schema.FEATURE_HISTORY_AGES]
        parts.append(self.history(entries, present, types, ages, tf.add_n(parts)))
        if self.users is not None:
            bucket = features[schema.FEATURE_USER_BUCKET]
            user = self.users(bucket) * tf.cast(bucket > 0, self.compute_dtype)[:, tf.newaxis]
            parts.append(self._keep(user, USER_DROPOUT, training))
        total = tf.add_n(parts) + tf.cast(self.base, self.compute_dtype)
        state = tf.concat(parts, axis=-1)
        for layer in self.hidden_layers:
            state = self.dropout(layer(state), training=training)
        vectors = total + self.residual(state)
        return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1)

    def _context(self, features: Mapping[str, tf.Tensor], batch: tf.Tensor, training: bool) -> tf.Tensor:
        total = tf.zeros([batch, self.base.shape[0]], self.compute_dtype)
        for name, table in self.tables.items():
            vectors = table(features[name])
            if name.startswith(schema.FEATURE_CONTEXT_PREFIX):
                vectors *= tf.cast(features[name] > 0, self.compute_dtype)[:, tf.newaxis]
            total += self._keep(vectors, CONTEXT_DROPOUT, training)
        return total

    def _keep(self, vectors: tf.Tensor, rate: float, training: bool) -> tf.Tensor:
        """Takes the vectors away from a share `rate` of the rows; the others stay as they are."""
        if not training:
            return vectors
        return vectors * tf.cast(self._kept(tf.shape(vectors)[0], rate, training), vectors.dtype)[:, tf.newaxis]

    def _kept(self, batch: tf.Tensor, rate: float, training: bool) -> tf.Tensor:
        if not training:
            return tf.ones([batch])
        return tf.cast(keras.random.uniform([batch], seed=self.seeds) >= rate, tf.float32)
