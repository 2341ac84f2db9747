"""The item tower: what an item is, with or without a past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline import schema
from trainer.towers.embedding import small_embedding, small_start

# How often an item is shown as if it were new: about four times an epoch, and at most every other time.
_NEW_SHOWN, _NEW_SHARE = 4.0, 0.5


class ItemTower(keras.layers.Layer):
    """Turns items into vectors of length 1.

    The projected text is the ground; what is learned about the id, the brand, the category and the price is added
    to it. An item without training events has the id vector 0, which stands for all new ones. It learns by taking
    the place of an item's own now and then, as often for a rare item as for a popular one: new items are to be
    thought as popular as the average item, not as the average sale.

    Args:
      dimension: width of the vectors.
      hidden: widths of the hidden layers.
      id_counts: [ids] training examples of each item that gets an id vector, from 1 on; None leaves ids out.
      sizes: number of values of each feature that is an index.
      price: whether there is a `price_scaled`.
      dropout: in the hidden layers.
      l2: weight of the penalty on what is learned.
      seed: of the id dropout.
    """

    def __init__(
        self,
        dimension: int,
        *,
        hidden: Sequence[int],
        id_counts: npt.NDArray[np.int64] | None,
        sizes: Mapping[str, int],
        price: bool,
        dropout: float,
        l2: float,
        seed: int,
    ) -> None:
        super().__init__(name="item_tower")
        small, penalty = small_start(dimension), keras.regularizers.L2(l2)
        self.dimension = dimension
        self.seeds = keras.random.SeedGenerator(seed)
        self.ids, self._new_shares = None, None
        if id_counts is not None:
            self.ids = small_embedding(len(id_counts) + 1, dimension, "item_id", l2)
            shares = np.minimum(_NEW_SHARE, _NEW_SHOWN / np.maximum(id_counts, 1))
            self._new_shares = tf.constant(np.concatenate([[0.0], shares]), tf.float32)
        self.tables = {name: small_embedding(size, dimension, name, l2) for name, size in sorted(sizes.items())}
        self.price = keras.layers.Dense(dimension, kernel_initializer=small, name="price") if price else None
        self.base = self.add_weight(name="base", shape=(dimension,), initializer=small)
        self.hidden_layers = [keras.layers.Dense(width, "gelu", kernel_regularizer=penalty) for width in hidden]
        self.dropout = keras.layers.Dropout(dropout, seed=seed)
        self.residual = keras.layers.Dense(dimension, kernel_initializer="zeros", kernel_regularizer=penalty)

    def call(
        self,
        features: Mapping[str, tf.Tensor],
        id_places: tf.Tensor,
        text: tf.Tensor | None,
        training: bool = False,
    ) -> tf.Tensor:
        """Computes item vectors.

        Args:
          features: transformed item features, each [batch].
          id_places: [batch] place in the table of id vectors, 0 for new items.
          text: [batch, dim] projected text, or None.
          training: whether ids and hidden units drop out.

        Returns:
          [batch, dim] float32.
        """
        parts = [] if text is None else [text]
        if self.ids is not None:
            if training:
                drawn = keras.random.uniform(tf.shape(id_places), seed=self.seeds)
                id_places = tf.where(drawn >= tf.gather(self._new_shares, id_places), id_places, 0)
            parts.append(self.ids(id_places))
        for name, table in self.tables.items():
            known = tf.cast(features[name] > 0, self.compute_dtype)
            parts.append(table(features[name]) * known[:, tf.newaxis])
        if self.price is not None:
            parts.append(self.price(features[schema.FEATURE_PRICE][:, tf.newaxis]))
        base = tf.cast(self.base, self.compute_dtype)
        parts.append(tf.broadcast_to(base, [tf.shape(id_places)[0], self.dimension]))
        total = state = tf.add_n(parts)
        for layer in self.hidden_layers:
            state = self.dropout(layer(state), training=training)
        vectors = total + self.residual(state)
        return tf.math.l2_normalize(tf.cast(vectors, tf.float32), axis=-1)
