"""Vectors of the values of one feature, as both towers start and restrain them."""

from __future__ import annotations

import math

import keras

_LENGTH = 0.16  # of a vector that is added to text of length 1: no part drowns the others before anything was learned


def small_start(dimension: int) -> keras.initializers.Initializer:
    """Makes what draws vectors that are short, however wide they are.

    Args:
      dimension: width of the vectors.
    """
    return keras.initializers.RandomNormal(stddev=_LENGTH / math.sqrt(dimension))


def small_embedding(size: int, dimension: int, name: str, l2: float) -> keras.layers.Embedding:
    """Makes a table of vectors.

    Args:
      size: number of values, the index 0 included.
      dimension: width of the vectors.
      name: of the feature.
      l2: weight of the penalty on them.
    """
    return keras.layers.Embedding(
        size,
        dimension,
        embeddings_initializer=small_start(dimension),
        embeddings_regularizer=keras.regularizers.L2(l2),
        name=name,
    )
