"""A text encoder from TensorFlow Hub, or any SavedModel from strings to vectors."""

from __future__ import annotations

import keras
import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401  # registers the ops that most text modules hold


class HubEncoder(keras.layers.Layer):
    """Turns strings into vectors of length 1 with a module that is loaded as it is; it does not learn.

    Args:
      source: a TensorFlow Hub handle or the folder of a SavedModel that can be called with strings [batch].
    """

    def __init__(self, source: str) -> None:
        super().__init__(name="text_encoder", dtype="float32", trainable=False)
        self.module = hub.load(source)
        if not callable(self.module):
            raise ValueError(
                f"encoder.preset: the SavedModel {source} cannot be called; expected one that turns strings [batch] "
                "into vectors [batch, width], saved from an object with a __call__ tf.function"
            )
        probe = self.module(tf.constant(["probe"]))
        if not isinstance(probe, tf.Tensor) or probe.shape.rank != 2:
            raise ValueError(f"encoder.preset: {source} must answer one tensor [batch, width], got {probe!r}")
        self.width = int(probe.shape[-1])
        self.built = True

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encodes strings [batch] to [batch, width] float32."""
        del training
        return tf.math.l2_normalize(tf.cast(self.module(inputs), tf.float32), axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns [batch, width]."""
        return (input_shape[0], self.width)
