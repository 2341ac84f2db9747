"""The projection of text vectors, shared by the words of a query and the words of an item."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

_SAMPLE = 100_000


class TextProjection(keras.layers.Layer):
    """Maps text vectors to the width of the towers, linearly and without a constant.

    It starts as a projection that keeps dot products as well as so many dimensions can. As both towers use the
    very same one, a query finds items by their words before anything has been learned.

    Args:
      matrix: [width, dim] where it starts; see `principal_projection`.
      l2: weight of the penalty on it.
    """

    def __init__(self, matrix: npt.NDArray[np.float32], *, l2: float = 0.0) -> None:
        super().__init__(name="text_projection")
        self.dense = keras.layers.Dense(
            matrix.shape[1],
            use_bias=False,
            kernel_initializer=lambda shape, dtype=None: tf.cast(tf.reshape(tf.constant(matrix), shape), dtype),
            kernel_regularizer=keras.regularizers.L2(l2),
            name="text_projection",
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Maps [..., width] to [..., dim]."""
        return self.dense(inputs)


def principal_projection(vectors: npt.NDArray[np.float32], dimension: int) -> npt.NDArray[np.float32]:
    """Returns the orthonormal projection that keeps most of the vectors' dot products.

    It spans the first principal directions of the uncentred vectors. Where the target is as wide as the vectors,
    nothing is lost, and further columns are zero.

    Args:
      vectors: [n, width]; directions beyond their span are filled orthonormally.
      dimension: width of the target.

    Returns:
      [width, dimension].
    """
    width = vectors.shape[1]
    step = max(1, len(vectors) // _SAMPLE)
    sample = vectors[::step].astype(np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)
    matrix = np.zeros((width, dimension), np.float32)
    kept = min(width, dimension)
    matrix[:, :kept] = directions[:, ::-1][:, :kept]
    return matrix
