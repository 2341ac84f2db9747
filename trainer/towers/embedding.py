"""Vectors of the values of one feature, as both towers start and restrain them."""

from __future__ import annotations

import keras

SMALL = 0.02  # spread of what is added up: no part drowns the others before anything was learned


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
        embeddings_initializer=keras.initializers.RandomNormal(stddev=SMALL),
        embeddings_regularizer=keras.regularizers.L2(l2),
        name=name,
    )
