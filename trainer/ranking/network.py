"""The network of the ranking stage: DCN-v2 with a factorisation-machine term over binned features."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipeline.config import RankingConfig

Floats = npt.NDArray[np.float32]

BINS = 16
_SAMPLE = 200_000
_RARE = 0.02  # log-odds of a purchase start near those of a rare event
_SMALL = 0.01
# Numbers beyond every value that a shop can have; far apart, also after rounding.
_LOWEST, _MISSING = np.float32(-1e29), np.float32(-1e30)


class Bins(keras.layers.Layer):
    """Encodes numbers by how far they reach into each of the quantiles of the training data.

    A piecewise linear encoding: what follows can bend at every quantile. NaN is a value of its own.
    Gorishniy, Rubachev and Babenko, On embeddings for numerical features in tabular deep learning, 2022.

    Args:
      features: number of features.
    """

    def __init__(self, features: int) -> None:
        super().__init__(name="bins")
        fixed = {"shape": (features, BINS), "initializer": "zeros", "trainable": False}
        self.starts = self.add_weight(name="starts", **fixed)
        self.inverse_widths = self.add_weight(name="inverse_widths", **fixed)

    def adapt(self, values: Floats) -> None:
        """Places the bins by training data [n, features]; a feature with one value gets none."""
        starts, inverse = np.zeros((values.shape[1], BINS)), np.zeros((values.shape[1], BINS))
        sample = values[:: max(1, len(values) // _SAMPLE)].astype(np.float64)
        for place in range(values.shape[1]):
            known = sample[:, place][np.isfinite(sample[:, place])]
            edges = np.unique(np.quantile(known, np.linspace(0.0, 1.0, BINS + 1))) if len(known) else known
            count = max(len(edges) - 1, 0)
            starts[place, :count] = edges[:count]
            inverse[place, :count] = 1.0 / np.diff(edges)
        self.starts.assign(starts)
        self.inverse_widths.assign(inverse)

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Encodes [features, n] to [features, BINS + 1, n]; the last place says that the value is missing."""
        # One pass over the large tensor: a missing value lies so far below that it reaches into the last bin only.
        known = tf.where(tf.math.is_finite(values), tf.maximum(values, _LOWEST), _MISSING)[:, tf.newaxis]
        starts = tf.pad(tf.convert_to_tensor(self.starts), [[0, 0], [0, 1]], constant_values=_LOWEST)
        widths = tf.pad(tf.convert_to_tensor(self.inverse_widths), [[0, 0], [0, 1]], constant_values=-1.0)
        return tf.clip_by_value((known - starts[..., tf.newaxis]) * widths[..., tf.newaxis], 0.0, 1.0)


class CrossLayer(keras.layers.Layer):
    """Multiplies the input with a low-rank map of what came before it, and adds that.

    Wang et al., DCN V2: improved deep and cross network, 2021.

    Args:
      rank: of the map.
    """

    def __init__(self, rank: int, name: str) -> None:
        super().__init__(name=name)
        self.rank = rank

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes the weights for inputs [n, width]."""
        self.down = keras.layers.Dense(self.rank, use_bias=False)
        self.up = keras.layers.Dense(int(shape[-1] or 0))
        self.down.build(shape)
        self.up.build((None, self.rank))

    def call(self, start: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """Computes `start * map(state) + state`, [n, width]."""
        return start * self.up(self.down(state)) + state


class RankingNetwork(keras.Model):
    """Log-odds that a customer buys a candidate, by the features of the pair.

    A linear term over the bins, a factorisation machine over the vectors of the features (Rendle, 2010), cross layers
    and hidden layers over the same vectors, added up.

    Args:
      features: number of features.
      config: sizes.
      seed: of the start and of dropout.
    """

    def __init__(self, features: int, config: RankingConfig, seed: int) -> None:
        super().__init__(name=f"ranking_{seed}")
        self.bins = Bins(features)
        draw = keras.initializers.RandomNormal(stddev=0.3, seed=seed)
        shape = (features, BINS + 1, config.embedding)
        self.vectors = self.add_weight(name="vectors", shape=shape, initializer=draw)
        self.offsets = self.add_weight(name="offsets", shape=(features, config.embedding), initializer="zeros")
        self.linear = self.add_weight(name="linear", shape=(features, BINS + 1), initializer="zeros")
        self.bias = self.add_weight(
            name="bias", shape=(), initializer=keras.initializers.Constant(np.log(_RARE / (1 - _RARE)))
        )
        self.crosses = [CrossLayer(config.cross_rank, f"cross_{place}") for place in range(config.cross_layers)]
        self.deep = _hidden(config.hidden, config.dropout, seed)
        small = keras.initializers.RandomNormal(stddev=_SMALL, seed=seed)
        self.crossed = keras.layers.Dense(1, use_bias=False, kernel_initializer=small)
        self.deepened = keras.layers.Dense(1, use_bias=False, kernel_initializer=small)

    def call(self, values: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes log-odds, [n, features] to [n]."""
        return self.of_bins(self.bins(tf.transpose(values)), training=training)

    def of_bins(self, bins: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Computes log-odds of what `bins` has made of the values, [features, BINS + 1, n] to [n]."""
        # Candidates last: then each feature's bins meet its weights in one product, and nothing large is turned around.
        weights = tf.concat([self.vectors, tf.expand_dims(self.linear, -1)], axis=-1)
        read = tf.matmul(weights, bins, transpose_a=True)
        vectors = read[:, :-1] + tf.convert_to_tensor(self.offsets)[..., tf.newaxis]
        total = tf.reduce_sum(read[:, -1], axis=0) + self.bias + _factorisation(vectors)
        start = tf.transpose(tf.reshape(vectors, [vectors.shape[0] * vectors.shape[1], -1]))
        state = start
        for layer in self.crosses:
            state = layer(start, state)
        deep = start
        for layer in self.deep:
            deep = layer(deep, training=training)
        return total + self.crossed(state)[:, 0] + self.deepened(deep)[:, 0]


def _factorisation(vectors: tf.Tensor) -> tf.Tensor:
    """Sums the products of all pairs of vectors [features, e, n] to [n], by the number of features."""
    total = tf.reduce_sum(vectors, axis=0)
    pairs = 0.5 * tf.reduce_sum(total * total - tf.reduce_sum(vectors * vectors, axis=0), axis=0)
    return pairs * (0.1 / vectors.shape[0])


def _hidden(widths: Sequence[int], dropout: float, seed: int) -> list[keras.layers.Layer]:
    layers: list[keras.layers.Layer] = []
    for place, width in enumerate(widths):
        start = keras.initializers.HeNormal(seed=seed + place)
        layers.append(keras.layers.Dense(width, "relu", kernel_initializer=start))
        layers.append(keras.layers.Dropout(dropout, seed=seed + place))
    return layers
