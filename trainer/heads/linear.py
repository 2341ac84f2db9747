"""A ridge regression that the graph can repeat: what little data can teach for sure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Floats = npt.NDArray[np.float32]

PENALTIES = (10000.0, 3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)  # the plainest first
_FARTHEST = 4.0  # standard deviations


class Linear(tf.Module):
    """A linear function of features that are put on one scale; a missing one counts as the usual.

    Args:
      features: [n, features] to learn from, at least one line.
      targets: [n].
      penalty: on the squares of the weights.
    """

    def __init__(self, features: Floats, targets: Floats, penalty: float) -> None:
        super().__init__(name="linear")
        values = np.where(np.isfinite(features), features, np.nan).astype(np.float64)
        counts = np.maximum(np.isfinite(values).sum(axis=0), 1)
        means = np.nansum(values, axis=0) / counts
        spreads = np.sqrt(np.nansum(np.square(values - means), axis=0) / counts)
        inverse = np.where(spreads > 1e-9, 1.0 / np.maximum(spreads, 1e-9), 0.0)
        self._means, self._inverse = _constant(means, "means"), _constant(inverse, "inverse_spreads")
        scaled = self._scaled(tf.constant(features, tf.float32)).numpy().astype(np.float64)
        offset = float(targets.mean())
        gram = scaled.T @ scaled + penalty * np.eye(scaled.shape[1])
        self._weights = _constant(np.linalg.solve(gram, scaled.T @ (targets - offset)), "weights")
        self._offset = tf.constant(offset, tf.float32)

    def __call__(self, features: tf.Tensor) -> tf.Tensor:
        """Computes the function, [n, features] to [n]."""
        return tf.linalg.matvec(self._scaled(features), self._weights) + self._offset

    def _scaled(self, features: tf.Tensor) -> tf.Tensor:
        far = (features - self._means) * self._inverse
        return tf.where(tf.math.is_finite(features), tf.clip_by_value(far, -_FARTHEST, _FARTHEST), 0.0)


def _constant(values: npt.NDArray[np.float64], name: str) -> tf.Variable:
    return tf.Variable(values, trainable=False, name=name, dtype=tf.float32)
